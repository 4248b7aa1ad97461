"""Answers in words: which of them are claims, and which mean the same."""

from __future__ import annotations

import re

MAX_WORDS = 2
NO_SOLUTION, ALL_REALS = "no solution", "all real numbers"
SAME = {
    NO_SOLUTION: (
        "no solutions", "no real solution", "no real solutions", "no such solution", "there is no solution", "there are no solutions",
        "empty set", "the empty set", "none", "no roots", "no real roots",
    ),
    ALL_REALS: (
        "all reals", "all real values", "real numbers", "the real numbers", "all real numbers x", "all real x",
        "the set of all real numbers", "any real number",
    ),
    "infinitely many solutions": (
        "infinitely many", "infinite solutions", "infinite number of solutions", "an infinite number of solutions",
    ),
    "does not exist": ("dne", "undefined", "not defined", "the limit does not exist"),
    "cannot be determined": ("not enough information", "it cannot be determined", "cannot determine", "indeterminate"),
    "diverges": ("divergent", "the series diverges"),
    "converges": ("convergent", "the series converges"),
}  # fmt: skip
ALONE = [
    "yes",
    "no",
    "true",
    "false",
    "even",
    "odd",
    "neither",
    "both",
    "never",
    "always",
    "impossible",
    "unknown",
    "increasing",
    "decreasing",
]
SPELLING = {other: name for name, others in SAME.items() for other in (name, *others)} | dict(zip(ALONE, ALONE, strict=True))
REFERS = re.compile(r"\b(?:above|below|see|here|answer|figure|graph|table|proof|it|this|that|following|placeholder)\b")
ARTICLE = re.compile(r"\A(?:an?|the)\s(?=\w{2})")
LETTERS = re.compile(r"[^\W\d_]+(?:[ '-]+[^\W\d_]+)*")


def claim(text: str, *, marked: bool) -> str | None:
    r"""The one spelling of an answer in words; None for prose, which states nothing.

    Of a text that is `marked` as such (`\text{…}`) up to two unknown words are a claim ("Tuesday", "Ann Lee"), else only known phrases.
    """
    shown = " ".join(text.split()).strip(" .,;:!()\"'").casefold()
    if shown in SPELLING:
        return SPELLING[shown]
    named = ARTICLE.sub("", shown)
    if not marked or not LETTERS.fullmatch(named) or len(named.split()) > MAX_WORDS or REFERS.search(named):
        return None
    return named
