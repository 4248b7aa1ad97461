r"""One number as people and models write it, read exactly: "1,200", "$-3.50", "\frac{1}{2}", "2 1/2", "eighteen dollars", "50\%".

A text that holds anything but one number with its unit reads as None: a range, a sum, a list, a time of day, an algebraic term; so does a
number that can be read in two ways. Units and currencies are not compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

from data.verifiers.marks import REPEATING, UnclearMarkError, ascii_digits, plain_numbers, repeating
from data.verifiers.number_words import NUMBER_WORD, with_digits

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
WORLD_SCALES = {
    **SCALES,
    **dict.fromkeys(("tausend", "mille", "mila", "mil"), 10**3),
    "lakh": 10**5,
    **dict.fromkeys(("millions", "millionen", "millones", "millón", "milioni", "milione", "milhões", "milhão"), 10**6),
    "crore": 10**7,
    **dict.fromkeys(("milliards", "milliard", "milliarden", "milliarde", "miliardi", "miliardo", "bilhões", "bilhão"), 10**9),
    "billionen": 10**12,
}
SIGNED_SCALES = {"千": 10**3, "万": 10**4, "萬": 10**4, "만": 10**4, "亿": 10**8, "億": 10**8, "억": 10**8}
"""Of scripts that write no space before and after them."""
NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
QUANTITY = re.compile(
    rf"""
    (?:(?:about|approximately|around|roughly|exactly|just|only|simply|equal\ to|a\ total\ of)\ )?
    (?P<sign>[-+]|negative\ |minus\ )?\ ?
    (?:(?:[€£¥₹₩₽]|US\ |R\ (?=[0-9])|(?:USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|BRL)\b|Rs\.?)\ ?)?
    (?P<late_sign>[-+])?\ ?
    (?:
        (?P<whole>[0-9]+)\ ?(?:\\frac\ ?\{{?\ ?(?P<mixed_top>[0-9]+)\ ?\}}?\ ?\{{?\ ?(?P<mixed_bottom>[0-9]+)\ ?\}}?)
      | (?P<whole2>[0-9]+)(?:\ and\ |\ |-)(?P<mixed_top2>[0-9]+)\ ?/\ ?(?P<mixed_bottom2>[0-9]+)
      | \\frac\ ?(?:\{{\ ?(?P<top>-?{NUMBER})\ ?\}}|(?P<top1>[0-9]))\ ?(?:\{{\ ?(?P<bottom>-?{NUMBER})\ ?\}}|(?P<bottom1>[0-9]))
      | (?P<top2>{NUMBER})\ ?/\ ?(?P<bottom2>{NUMBER})
      | (?P<mantissa>{NUMBER})(?:\ ?[×x*·⋅]\ ?10\ ?\^\ ?\{{?(?P<power>-?[0-9]+)\}}?|[eE](?P<power1>[-+]?[0-9]+))
      | 10\ ?\^\ ?\{{?(?P<power2>-?[0-9]+)\}}?
      | (?P<number>{NUMBER})
    )
    (?:
        \ ?(?P<percent>%|(?:percent|per\ cent|pct|prozent|pour\ cent|por\ ciento|por\ cento|per\ cento)\b)
      | \ ?-?(?P<scale>{"|".join(sorted(WORLD_SCALES, key=len, reverse=True))})\b
      | (?P<scale1>[{"".join(SIGNED_SCALES)}])
    )?
    (?P<unit>.*)
    """,
    re.VERBOSE | re.IGNORECASE,
)
LETTER = r"[^\W\d_\u00b2\u00b3\u00b9\u0370-\u03ff\u2070-\u209f]"
UNIT = re.compile(
    rf"[ -]?(?:{LETTER}|[µμ](?=[A-Za-z])|Ω|[\u0300-\u036f\u064b-\u065f\u0900-\u0dff°€£¥₹₩₽¢'’()\" -]|\.(?=[A-Za-z ]|$)"
    rf"|(?:(?<={LETTER})|(?<={LETTER} ))\^ ?\{{?-?[1-9]\}}?|(?<={LETTER})[²³]"
    rf"|/ ?(?:(?:{LETTER}){{2}}|[hsdLlgmчс](?!{LETTER}))|[\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])*"
)
"""Words of any script but Greek, whose letters are variables; marks of vowels among them, currencies, powers, and pictures."""
UNITS = (
    "mm cm dm m km mg g kg t ms s min h hr hrs ml mL cl dl dL l L lb lbs oz ft in yd mi mph kmh kph W kW kWh V A J kJ N Pa Hz K C F eV mol"
    " am pm AM PM st nd rd th kr px GB MB kB TB °C °F ha yr yrs Fr Rs Ft p ct of at as is de du da di do en an im a"
    " Ω kΩ MΩ km² m² cm² m³ cm³"
)
"""Short words that may stand at a number."""
NO_TERM = "|".join(re.escape(unit) for unit in UNITS.split())
TERM = re.compile(
    rf"[ -]?(?!(?:{NO_TERM})(?!{LETTER}|[²³]))[A-Za-z]{{1,2}}(?!{LETTER}|['’])"
    rf"|(?![ -])(?!(?:{NO_TERM})(?!{LETTER}|[²³]))[A-Za-z]{{3}}(?!{LETTER}|['’])|[CN](?!{LETTER})"
)
"""Few letters at a number that are no unit: a term, such as 2xy."""
NO_UNIT = re.compile(
    r"(?:squared|cubed|more|less|fewer|to|over|and|or|not|by|per cent|halves|a(?! [a-z]{3})|(?-i:[bcinxyze])"
    r"|half|(?:third|quarter|fourth|fifth|sixth|seventh|eighth|ninth|tenth|twelfth|sixteenth|twentieth|hundredth|thousandth)s?"
    r"|und|oder|bis|mal|et|ou|fois|y|o|veces|e|ed|volte|и|или|до|раз)\b|[或和与至到]|から|または|또는",
    re.IGNORECASE,
)
"""What no unit begins with."""
FORMULA = re.compile(r"\b(?:pi|sqrt|factorial|plus|minus|times|divided|mod|choose|ln|log|exp|sin|cos|tan|(?<!-)over)\b", re.IGNORECASE)
"""What stands in no unit."""
JOINED = re.compile(r",\s|\b(?:and|or|und|oder)\b|[≤≥<>]")
POWERS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
WORDS = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s*\{((?:[^{}]|\{[^{}]*\})*)\}")
REPLACED: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"\\(?:dfrac|tfrac|cfrac)(?![A-Za-z])"), r"\\frac"),
    (REPEATING, repeating),
    (re.compile(r"(?<=[0-9]),[-–—](?=\s|$)"), ""),
    (re.compile(r"\\(?:left|right|displaystyle|boldsymbol)(?![A-Za-z])"), ""),
    (re.compile(r"\\!|\{,\}(?=$)"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![A-Za-z])"), "°"),
    (re.compile(r"\\(?:times|cdot)(?![A-Za-z])"), "×"),
    (re.compile(r"\\approx(?![A-Za-z])"), "≈"),
    (re.compile(r"\\Omega(?![A-Za-z])"), "Ω"),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"(?<=10)\*\*(?=-?[0-9])"), "^"),
    (re.compile(r"(?<=10)[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+"), lambda found: "^" + found[0].translate(POWERS)),
    (re.compile(r"\\(?:[,;: ]|quad|qquad)|\\?\$|~|\*\*|__|\\[()\[\]]|[\u00a0\u2009\u202f]"), " "),
    (re.compile(r"[−–]"), "-"),
)

DRESSED = re.compile(r"[\\{$~*_]|[^\x00-\x7f]")
"""Without one of these there is no dress to take off."""
SUBSTANCE = re.compile(r"(?: of|(?<= mol)|(?<= moles)) (?:[A-Z][a-z]?[0-9]*){1,6}(?=[\W_]*\Z)")
"""What a number of moles is of."""
SIMPLE = re.compile(r"[-+]?[0-9]+(?:/0*[1-9][0-9]*|\.(?:[0-9]{1,2}|[0-9]{4,}))?")
"""What reads alike in all languages, as it stands: after three digits a point may be a mark of thousands."""


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
        if self.value == answer.value:
            return True
        allowed = (self.value, self.value / 100) if self.percent and not answer.percent else (self.value,)
        given = (answer.value, answer.value / 100) if answer.percent and not self.percent else (answer.value,)
        if answer.bare is not None and self.bare is None:
            given = (*given, answer.bare)
        return any(wanted == said for wanted in allowed for said in given)

    def __str__(self) -> str:
        """One spelling per value: a decimal where it is finite, else a fraction."""
        return _spell(self.value) + ("%" if self.percent else "")


def read_quantity(text: str, *, comma: bool = False) -> Quantity | None:
    """The one number that `text` states, or None; `comma`: in a language with a decimal comma."""
    if len(text) > MAX_CHARACTERS:
        return None
    text = SUBSTANCE.sub("", text) if " of " in text or " mol" in text else text
    if SIMPLE.fullmatch(text):
        return Quantity(Fraction(text))
    try:
        shown = plain_numbers(with_digits(_plain(text)), comma=comma)
    except UnclearMarkError:
        return None
    exact, _, rounded = shown.partition("≈")
    if rounded:
        return _read_equation(exact) or _read_equation(rounded)
    return _read_equation(shown)


def _read_equation(text: str) -> Quantity | None:
    """Of `x = 2 * 9 = 18` the last side; None where one of the others is more than a term ("x = 5, y = 6")."""
    *others, last = text.split("=")
    if any(JOINED.search(other) for other in others):
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
    if scale := _scale(found):
        return Quantity(signed * scale, bare=signed)
    return Quantity(signed, percent=bool(found["percent"]))


def _scale(found: re.Match[str]) -> int | None:
    return WORLD_SCALES[found["scale"].lower()] if found["scale"] else SIGNED_SCALES.get(found["scale1"])


def _is_unit(text: str) -> bool:
    refused = NO_UNIT.match(text.lstrip(" -(")) or TERM.match(text) or FORMULA.search(text) or NUMBER_WORD.search(text)
    return UNIT.fullmatch(text) is not None and not refused


def _value(found: re.Match[str]) -> Fraction | None:
    """The number without its sign; None for a division by zero or a power beyond all sense."""
    part = {name.rstrip("12"): text for name, text in found.groupdict().items() if text}
    if "whole" in part:
        fraction = _divide(part["mixed_top"], part["mixed_bottom"])
        return None if fraction is None else Fraction(part["whole"]) + fraction
    if "top" in part:
        return _divide(part["top"], part["bottom"])
    if "power" in part:
        power = int(part["power"])
        return None if abs(power) > MAX_EXPONENT else _number(part.get("mantissa", "1")) * Fraction(10) ** power
    return _number(part["number"])


def _divide(top: str, bottom: str) -> Fraction | None:
    below = _number(bottom)
    return None if below == 0 else _number(top) / below


def _number(text: str) -> Fraction:
    return Fraction(text.rstrip("."))


def _plain(text: str) -> str:
    """`text` without LaTeX and Markdown dress, in single spaces, sentence punctuation at the end removed."""
    if DRESSED.search(text):
        for pattern, replacement in ((WORDS, r" \1 "), *REPLACED):
            text = pattern.sub(replacement, text)
        text = ascii_digits("".join(_vulgar(character) for character in text))
    return " ".join(text.split()).strip("*_`\"'“”„«»「」 ").rstrip(".,;:。*_`\"'“”«»「」 ")


def _vulgar(character: str) -> str:
    """One vulgar fraction ("½") written out after a space ("1/2"), anything else as it is."""
    if unicodedata.decomposition(character).startswith("<fraction>"):
        return " " + unicodedata.normalize("NFKC", character).replace("⁄", "/")
    return character


def _spell(value: Fraction) -> str:
    rest = value.denominator
    if rest == 1:
        return str(value.numerator)
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    with localcontext() as context:
        context.prec = 4 * MAX_CHARACTERS + 2 * MAX_EXPONENT
        return format((Decimal(value.numerator) / Decimal(value.denominator)), "f")
