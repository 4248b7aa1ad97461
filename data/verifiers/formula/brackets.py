r"""Brackets of LaTeX text: where a formula may be cut without cutting a bracket, and what a pair of brackets holds."""

from __future__ import annotations

import re
from typing import NamedTuple

TOKEN = re.compile(r"\\\\|\\begin\{[^{}]*\}|\\end\{[^{}]*\}|\\[{}]|\\[A-Za-z]+|\\.|[(\[{)\]}]")
OPENING = {"(", "[", "{", "\\{", "\\langle"}
CLOSING = {")", "]", "}", "\\}", "\\rangle"}
MATCHING = {"{": "}", "\\{": "\\}"}
MAX_DEPTH = 40
LISTED = re.compile(r"[,;]")


class UnreadableError(ValueError):
    """A text that is no formula that can be read without a guess."""


class Piece(NamedTuple):
    """A part of a text and the separator before it ("" before the first)."""

    separator: str
    text: str


def split(text: str, separator: re.Pattern[str]) -> list[Piece]:
    """Cut `text` at the separators that stand in no bracket. Raises UnreadableError for unbalanced brackets."""
    pieces, begin, before = [], 0, ""
    outside = _outside(text)
    for found in separator.finditer(text):
        if outside[found.start()]:
            pieces.append(Piece(before, text[begin : found.start()].strip()))
            begin, before = found.end(), found[0]
    pieces.append(Piece(before, text[begin:].strip()))
    return pieces


def enclosed(text: str) -> tuple[str, str, str] | None:
    """(opening bracket, content, closing bracket) of a text that is one pair of brackets as a whole; kinds may differ: `[2,3)`."""
    opening = next((own for own in ("\\langle", "\\{", "(", "[", "{") if text.startswith(own)), None)
    closing = next((own for own in ("\\rangle", "\\}", ")", "]", "}") if text.endswith(own)), None)
    if opening is None or closing is None or len(text) < len(opening) + len(closing):
        return None
    inner = range(len(opening), len(text) - len(closing))
    outside = _outside(text)
    if any(outside[position] for position in inner) or (not inner and outside[len(opening)]):
        return None
    return opening, text[inner.start : inner.stop].strip(), closing


def argument(text: str, begin: int) -> int:
    """Where the round bracket that opens at `begin` closes (the position after it), or `begin` where it does not."""
    depth = 0
    for position in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    return begin


def _outside(text: str) -> list[bool]:
    """For each position and the end: does it stand in no bracket?"""
    outside, opened, last = [True] * (len(text) + 1), list[str](), 0
    for token in TOKEN.finditer(text):
        sign = token[0]
        if sign in OPENING or sign.startswith("\\begin{"):
            if not opened:
                last = token.start()
            opened.append(sign)
        elif sign in CLOSING or sign.startswith("\\end{"):
            if not opened or not _fits(opened.pop(), sign):
                raise UnreadableError("unbalanced brackets")
            if not opened:
                outside[last + 1 : token.end()] = [False] * (token.end() - last - 1)
        if len(opened) > MAX_DEPTH:
            raise UnreadableError(f"brackets nest deeper than {MAX_DEPTH}")
    if opened:
        raise UnreadableError("unbalanced brackets")
    return outside


def _fits(opening: str, closing: str) -> bool:
    """Whether these two may be a pair: round and square ones may mix, as in intervals."""
    if opening.startswith("\\begin"):
        return closing == opening.replace("\\begin", "\\end")
    wanted = MATCHING.get(opening)
    return closing == wanted if wanted else closing in (")", "]", "\\rangle")
