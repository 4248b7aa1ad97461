"""What a formula can say. Expressions and sets of SymPy are handed from reading to comparison; everything around them is plain data."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from data.verifiers.quantity import Quantity

Expr: TypeAlias = Any
"""A SymPy expression, matrix or set."""


class Number(NamedTuple):
    """A plain number. `places` counts the decimals of one that was written with a point."""

    quantity: Quantity
    places: int | None = None


class Scalar(NamedTuple):
    """An expression with a letter or a root in it; `letters` is its text where that is nothing but letters."""

    expr: Expr
    letters: str | None = None


class Measure(NamedTuple):
    """A number or an expression with its unit; "°" are degrees."""

    value: Value
    unit: str


class Words(NamedTuple):
    """An answer in words, in one spelling."""

    text: str


class Group(NamedTuple):
    """Several values. `brackets` are "()", "[]", "[)", "(]", "{}", "" for a list without any, "or" for alternatives."""

    brackets: str
    items: tuple[Value, ...]


class Table(NamedTuple):
    """A matrix."""

    matrix: Expr


class Region(NamedTuple):
    """A set of reals, and the unknown that lies in it where one is named."""

    points: Expr
    name: str | None = None


class Named(NamedTuple):
    """`x = 5`, `f(x) = 2x`: a value and what it is called."""

    name: str
    value: Value


class System(NamedTuple):
    """`x = 1, y = 2`: values of several unknowns, by name."""

    values: tuple[Named, ...]


class Equation(NamedTuple):
    """A relation of more than one letter, or one that is not solved: `difference` (left - right) is 0, or as `sign` says.

    `asked` is a right side without letters, and the left one nothing but letters: of `a + b = 5` it is 5.
    """

    sign: str
    difference: Expr
    asked: Value | None = None


class Congruence(NamedTuple):
    """`name` is `residue` modulo `modulus`."""

    name: str
    residue: int
    modulus: int


class Based(NamedTuple):
    """Digits with their base as an index: 1011_2."""

    digits: str
    base: int


class Pieces(NamedTuple):
    """An expression by cases."""

    name: str
    pieces: tuple[tuple[Expr, Expr], ...]
    """(expression, set of reals where it holds)"""


class Labelled(NamedTuple):
    """The letter of an option, and its content."""

    letter: str
    value: Value


Value: TypeAlias = (
    Number | Scalar | Measure | Words | Group | Table | Region | Named | System | Equation | Congruence | Based | Pieces | Labelled
)
