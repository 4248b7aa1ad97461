r"""One number as people and models write it, read exactly: "1,200", "$-3.50", "\frac{1}{2}", "2 1/2", "18 dollars", "50\%", "2 million".

A text that holds anything but one number with its unit reads as None: a range, a sum, a list, a time of day, an algebraic term.
Units and currencies are not compared.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

MAX_CHARACTERS = 200
MAX_EXPONENT = 100
SCALES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}(?![0-9])|[0-9]{1,3}(?:[ ][0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+"
NUMBER = rf"(?:{DIGITS})"
QUANTITY = re.compile(
    rf"""
    (?:(?:about|approximately|around|roughly|exactly|just|only|simply|equal\ to|a\ total\ of)\ )?
    (?P<sign>[-+]|negative\ |minus\ )?\ ?
    (?:(?:[€£¥₹]|US\ |USD|EUR|GBP|Rs\.?)\ ?)?
    (?P<late_sign>[-+])?\ ?
    (?:
        (?P<whole>[0-9]+)\ ?(?:\\frac\ ?\{{?\ ?(?P<mixed_top>[0-9]+)\ ?\}}?\ ?\{{?\ ?(?P<mixed_bottom>[0-9]+)\ ?\}}?)
      | (?P<whole2>[0-9]+)(?:\ |-)(?P<mixed_top2>[0-9]+)\ ?/\ ?(?P<mixed_bottom2>[0-9]+)
      | \\frac\ ?(?:\{{\ ?(?P<top>-?{NUMBER})\ ?\}}|(?P<top1>[0-9]))\ ?(?:\{{\ ?(?P<bottom>-?{NUMBER})\ ?\}}|(?P<bottom1>[0-9]))
      | (?P<top2>{NUMBER})\ ?/\ ?(?P<bottom2>{NUMBER})
      | (?P<mantissa>{NUMBER})(?:\ ?[×x]\ ?10\ ?\^\ ?\{{?(?P<power>-?[0-9]+)\}}?|[eE](?P<power1>[-+]?[0-9]+))
      | (?P<number>{NUMBER})
    )
    (?:\ ?(?P<percent>%|percent\b|per\ cent\b|pct\b)|\ ?-?(?P<scale>{"|".join(SCALES)})\b)?
    (?P<unit>.*)
    """,
    re.VERBOSE | re.IGNORECASE,
)
UNIT = re.compile(r"[ -]?(?:[A-Za-zÀ-ÿ°µ€£¥'’/()\" -]|\.(?=[A-Za-z ]|$)|\^ ?\{?-?[1-9]\}?|[²³])*")
NO_UNIT = re.compile(
    r"(?:pi|sqrt|squared|cubed|factorial|more|less|fewer|plus|minus|times|divided|to|over|and|or|not|mod|by|per cent|[abcinxyze])\b",
    re.IGNORECASE,
)
WORDS = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
REPLACED = (
    (re.compile(r"\\(?:dfrac|tfrac|cfrac)(?![A-Za-z])"), r"\\frac"),
    (re.compile(r"\\(?:left|right|displaystyle|boldsymbol)(?![A-Za-z])"), ""),
    (re.compile(r"\\!|\{,\}(?=$)"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![A-Za-z])"), "°"),
    (re.compile(r"\\(?:times|cdot)(?![A-Za-z])"), "×"),
    (re.compile(r"\\approx(?![A-Za-z])"), "≈"),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\\(?:[,;: ]|quad|qquad)|\\?\$|~|\*\*|__|\\[()\[\]]|[\u00a0\u2009\u202f]"), " "),
    (re.compile(r"[−–]"), "-"),
)


class Quantity(NamedTuple):
    """An exact number. Of "50%" the value is 50 and `percent` is set; of "7 dozen" the value is 84 and `bare` is 7."""

    value: Fraction
    percent: bool = False
    bare: Fraction | None = None

    def answered_by(self, answer: Quantity) -> bool:
        """Exact equality of this gold number and an answer.

        "50%" answers 50, 0.5 and 50%; "7 dozen" answers 84, and 7 where the question asks for dozens. Of two percentages only the
        numbers count, and a gold answer that names its scale wants that scale.
        """
        allowed = {self.value} | ({self.value / 100} if self.percent and not answer.percent else set())
        given = {answer.value} | ({answer.value / 100} if answer.percent and not self.percent else set())
        if answer.bare is not None and self.bare is None:
            given.add(answer.bare)
        return not allowed.isdisjoint(given)

    def __str__(self) -> str:
        """One spelling per value: a decimal where it is finite, else a fraction."""
        return _spell(self.value) + ("%" if self.percent else "")


def read_quantity(text: str) -> Quantity | None:
    """The one number that `text` states, or None."""
    if len(text) > MAX_CHARACTERS:
        return None
    shown = _plain(text)
    exact, _, rounded = shown.partition("≈")
    if rounded:
        return _read_equation(exact) or _read_equation(rounded)
    return _read_equation(shown)


def _read_equation(text: str) -> Quantity | None:
    """Of `x = 2 * 9 = 18` the last side; None where one of the others is more than a term ("x = 5, y = 6")."""
    *others, last = text.split("=")
    if any("," in other and re.search(r",\s", other) for other in others):
        return None
    return _read_one(" ".join(last.split()))


def _read_one(text: str) -> Quantity | None:
    found = QUANTITY.fullmatch(text)
    if found is None or not _is_unit(found["unit"]) or (found["sign"] and found["late_sign"]):
        return None
    value = _value(found)
    if value is None:
        return None
    sign = (found["sign"] or found["late_sign"] or "+").strip()
    signed = value if sign == "+" else -value
    if found["scale"]:
        return Quantity(signed * SCALES[found["scale"].lower()], bare=signed)
    return Quantity(signed, percent=bool(found["percent"]))


def _is_unit(text: str) -> bool:
    return UNIT.fullmatch(text) is not None and NO_UNIT.match(text.lstrip(" -(")) is None


def _value(found: re.Match[str]) -> Fraction | None:
    """The number without its sign; None for a division by zero or a power beyond all sense."""
    part = {name.rstrip("12"): text for name, text in found.groupdict().items() if text}
    if "whole" in part:
        fraction = _divide(part["mixed_top"], part["mixed_bottom"])
        return None if fraction is None else Fraction(part["whole"]) + fraction
    if "top" in part:
        return _divide(part["top"], part["bottom"])
    if "mantissa" in part:
        power = int(part["power"])
        return None if abs(power) > MAX_EXPONENT else _number(part["mantissa"]) * Fraction(10) ** power
    return _number(part["number"])


def _divide(top: str, bottom: str) -> Fraction | None:
    below = _number(bottom)
    return None if below == 0 else _number(top) / below


def _number(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", "").rstrip("."))


def _plain(text: str) -> str:
    """`text` without LaTeX and Markdown dress, in single spaces, sentence punctuation at the end removed."""
    for pattern, replacement in ((WORDS, r" \1 "), *REPLACED):
        text = pattern.sub(replacement, text)
    text = "".join(_vulgar(character) for character in text)
    return " ".join(text.split()).strip("*_ ").rstrip(".,;:*_ ")


def _vulgar(character: str) -> str:
    """One vulgar fraction ("½") written out after a space ("1/2"), anything else as it is."""
    if unicodedata.decomposition(character).startswith("<fraction>"):
        return " " + unicodedata.normalize("NFKC", character).replace("⁄", "/")
    return character


def _spell(value: Fraction) -> str:
    rest = value.denominator
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    with localcontext() as context:
        context.prec = 4 * MAX_CHARACTERS + 2 * MAX_EXPONENT
        return format((Decimal(value.numerator) / Decimal(value.denominator)), "f")
