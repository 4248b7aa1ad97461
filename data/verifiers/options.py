"""The lettered options of a question: which of them a text names by its letter, its position or its words."""

from __future__ import annotations

import re
import unicodedata
from string import ascii_uppercase

from data.records import ChoiceReference
from data.verifiers.texts import undressed

WORD = re.compile(r"[^\W_]+")
DEGREES = re.compile(r"\s*\^\s*\{?\\circ\}?")
FUNCTION = re.compile(r"\\(?=(?:log|ln|exp|sin|cos|tan|sqrt)(?![a-z]))")
SPACING = re.compile(r"\\[,;:!]|~")
QUOTIENT = re.compile(r"(?<![\w}])\\[dt]?frac\{(\w+)\}\{(\w+)\}")
FRACTION = re.compile(r"\\[dt]frac")


def lettered(reference: ChoiceReference) -> list[tuple[str, str]]:
    """(letter, option), in order."""
    return list(zip(ascii_uppercase, reference.options, strict=False))


def letter_at(reference: ChoiceReference, position: int) -> str | None:
    """The letter of the first option (1) and so on; None where there is none."""
    return ascii_uppercase[position - 1] if 1 <= position <= len(reference.options) else None


def known(reference: ChoiceReference, letter: str) -> str | None:
    """A letter if it is an option's."""
    return letter if letter in ascii_uppercase[: len(reference.options)] else None


def named_by(reference: ChoiceReference, text: str) -> str | None:
    """The letter of the option whose text this is, case apart unless only the case tells two of them apart."""
    same = [letter for letter, option in lettered(reference) if _squeezed(option) == _squeezed(text)]
    if len(same) > 1:
        same = [letter for letter, option in lettered(reference) if undressed(option) == undressed(text)]
    return same[0] if len(same) == 1 else None


def mentioned(reference: ChoiceReference, text: str) -> set[str]:
    """The letters of the options of which a text holds the letter or the words."""
    letters = {letter for letter, _ in lettered(reference) if re.search(rf"(?<!\w){letter}(?!\w)", text)}
    return letters | spelt_out(reference, text)


def spelt_out(reference: ChoiceReference, text: str) -> set[str]:
    """The letters of the options of which a text holds the words."""
    plain = worded(text)
    return {letter for letter, option in lettered(reference) if re.search(rf"(?<!\w){re.escape(worded(option))}(?!\w)", plain)}


def worded(text: str) -> str:
    """How options are compared: case, spaces, and the make of fractions and minus signs apart."""
    plain = FRACTION.sub(r"\\frac", unicodedata.normalize("NFKC", undressed(text))).replace("−", "-")
    return re.sub(r"\s+", " ", plain).casefold()


def joined(text: str) -> str:
    """The same without the space between a number and what follows it."""
    return re.sub(r"(?<=\d) (?=[^\W\d])", "", worded(text))


def _squeezed(text: str) -> str:
    """The same without dollar signs, thousands marks, and spaces around signs, and with degrees as a sign."""
    spaced = DEGREES.sub("°", SPACING.sub(" ", QUOTIENT.sub(r"\1/\2", FUNCTION.sub("", text)))).replace("$", "")
    return re.sub(r"\s*([-+=<>≤≥*/^,()\[\]{}])\s*", r"\1", re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", joined(spaced)))
