r"""The value that a formula states: a number, an expression, a list, a pair, an interval, a relation, a text.

Structure is read here and in `relations` (kinds of brackets, lists, cases, congruences); what is left is one expression, which
Math-Verify's parser reads. A text of which a part cannot be read has no value: nothing is left out to make the rest readable.
"""

from __future__ import annotations

import re
from itertools import product

from data.verifiers.formula import sets
from data.verifiers.formula.brackets import LISTED, Piece, UnreadableError, enclosed, split
from data.verifiers.formula.lists import collected
from data.verifiers.formula.notation import AND, OR, plain
from data.verifiers.formula.plain_numbers import read_number, without_unit
from data.verifiers.formula.relations import CASES, by_cases, relation
from data.verifiers.formula.scalars import MAX_WORD_LETTERS, read_scalar, read_table
from data.verifiers.formula.units import DEGREES
from data.verifiers.formula.values import Based, Congruence, Group, Labelled, Measure, Number, Region, Scalar, Table, Value, Words
from data.verifiers.formula.words import claim

MAX_CHARACTERS = 1500
LABELLED = re.compile(r"\\text\{\s*\(?([A-J])(?:\)|\.)\s*\}\s*(\S.*)", re.DOTALL)
MARKED = re.compile(r"\(?\\text\{([^{}]*)\}\)?")
BARE = re.compile(r"[A-Za-z][A-Za-z' ]*")
CONGRUENCE = re.compile(r"(?P<name>[A-Za-z])\s*\\equiv\s*(?P<residue>-?\d+)\s*\\?\(?\s*\\?p?(?:b?mod)\s*\{?\s*(?P<modulus>\d+)\s*\}?\)?")
BASED = re.compile(r"(?P<digits>[0-9A-F]+)_(?:\{(?P<base>\d{1,2})\}|(?P<base1>\d))")
BUILDER = re.compile(r"\\\{\s*(?P<name>[A-Za-z])\s*(?:\\in\s*\\mathbb\{R\}\s*)?(?:\||:)\s*(?P<condition>.+)\\\}", re.DOTALL)
RELATION = re.compile(r"\\(?:le|ge|ne|in|notin|approx)(?![A-Za-z])|[<>=≈]")
PLUS_MINUS = re.compile(r"\\(?:pm|mp)(?![A-Za-z])")
MAX_PLUS_MINUS = 3
SET_SIGN = re.compile(r"\\(?:cup|cap|setminus)(?![A-Za-z])")


def read(text: str) -> Value | None:
    """The value of `text`, or None where it is no formula or would take a guess."""
    if len(text) > MAX_CHARACTERS:
        return None
    if (number := read_number(text)) is not None:
        return number
    try:
        return _value(plain(text))
    except UnreadableError:
        return None


def _value(text: str) -> Value:
    if not text:
        raise UnreadableError("nothing is stated")
    if labelled := LABELLED.fullmatch(text):
        return Labelled(labelled[1], _value(labelled[2]))
    if (said := _words(text)) is not None:
        return said
    if cases := CASES.fullmatch(text):
        return by_cases(cases, _value)
    if found := CONGRUENCE.fullmatch(text):
        modulus = int(found["modulus"])
        return Congruence(found["name"], int(found["residue"]) % modulus if modulus else 0, modulus)
    if found := BASED.fullmatch(text):
        return Based(found["digits"], int(found["base"] or found["base1"]))
    return _joined(text)


def _words(text: str) -> Words | None:
    """An answer in words; prose is unreadable."""
    if marked := MARKED.fullmatch(text):
        said = claim(marked[1], marked=True)
        if said is not None:
            return Words(said)
        if not re.search(r"[\d\\$]", marked[1]):
            raise UnreadableError("prose is no answer")
    if BARE.fullmatch(text):
        said = claim(text, marked=text.isalpha() and len(text) > MAX_WORD_LETTERS)
        return None if said is None else Words(said)
    return None


def _joined(text: str) -> Value:
    """Values joined by "or", then "and", then commas."""
    for sign in (OR, AND):
        pieces = split(text, re.compile(sign))
        if len(pieces) > 1:
            values = tuple(_value(piece.text) for piece in pieces)
            return collected(values, "or" if sign == OR else "", sets.union if sign == OR else sets.intersection)
    if (number := read_number(text)) is not None:
        return number
    pieces = split(text, LISTED)
    if len(pieces) > 1:
        return collected(tuple(_items(pieces)), "", sets.nontrivial)
    return _single(text)


def _items(pieces: list[Piece]) -> list[Value]:
    """The values of a list; where semicolons divide it, commas are decimal marks."""
    if any(piece.separator == ";" for piece in pieces):
        merged = [pieces[0].text]
        for piece in pieces[1:]:
            if piece.separator == ",":
                if not (re.search(r"\d\Z", merged[-1]) and re.match(r"\d", piece.text)):
                    raise UnreadableError("commas and semicolons divide one list")
                merged[-1] += f".{piece.text}"
            else:
                merged.append(piece.text)
        return [_value(part) for part in merged]
    return [_value(piece.text) for piece in pieces]


def _single(text: str) -> Value:
    """One value: a relation, a set, something in brackets, or an expression."""
    relations = split(text, RELATION)
    if len(relations) > 1:
        return relation(relations, _value)
    if PLUS_MINUS.search(text):
        return Group("", tuple(_value(variant) for variant in _both_signs(text)))
    operands = split(text, SET_SIGN)
    if len(operands) > 1:
        return Region(sets.combined([(piece.separator, sets.as_points(_value(piece.text))) for piece in operands]))
    if (points := sets.named_set(text)) is not None:
        return Region(points)
    if found := BUILDER.fullmatch(text):
        condition = _value(found["condition"].strip())
        if not isinstance(condition, Region) or condition.name != found["name"]:
            raise UnreadableError("the condition of a set is no region")
        return Region(condition.points)
    if (pair := enclosed(text)) is not None:
        return _bracketed(*pair)
    return _scalar(text)


def _both_signs(text: str) -> list[str]:
    r"""All that `text` means: each `\pm` has either sign, and `\mp` the opposite of the first."""
    count = len(re.findall(r"\\pm(?![A-Za-z])", text))
    if not 1 <= count <= MAX_PLUS_MINUS:
        raise UnreadableError("too many plus-minus signs")
    return [_signed(text, signs) for signs in product("+-", repeat=count)]


def _signed(text: str, signs: tuple[str, ...]) -> str:
    """`text` with these signs for its plus-minus signs."""
    left, opposite = iter(signs), "-" if signs[0] == "+" else "+"
    return PLUS_MINUS.sub(lambda found: next(left) if found[0] == "\\pm" else opposite, text)


def _bracketed(opening: str, content: str, closing: str) -> Value:
    if opening == "{":
        return _bracketed("\\{", content, "\\}") if len(split(content, LISTED)) > 1 else _value(content)
    if not content:
        if opening == "\\{":
            return Region(sets.combined([]))
        raise UnreadableError("empty brackets")
    pieces = split(content, LISTED)
    if opening == "\\{":
        return Group("{}", tuple(_items(pieces)))
    if len(pieces) == 1:
        return _value(content)
    return Group("()" if opening == "\\langle" else opening + closing, tuple(_items(pieces)))


def _scalar(text: str) -> Value:
    if (number := read_number(text)) is not None:
        return number
    bare, unit = without_unit(text)
    if unit is not None:
        return Measure(_single(bare), unit)
    if DEGREES in text and not re.search(r"\\(?:sin|cos|tan|cot|sec|csc)(?![A-Za-z])", text):
        return _angle(_scalar(text.replace(DEGREES, "")))
    if (table := read_table(text)) is not None:
        return Table(table)
    return Scalar(read_scalar(text), text if text.isalpha() and text.isascii() else None)


def _angle(value: Value) -> Measure:
    if isinstance(value, Measure) or (isinstance(value, Number) and value.quantity.percent):
        raise UnreadableError("no angle")
    return Measure(value, DEGREES)
