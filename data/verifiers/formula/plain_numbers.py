r"""Plain numbers inside formulas, and units behind them. A bare letter behind a number is a factor, never a unit: `3k` is no 3."""

from __future__ import annotations

import re

from data.verifiers.formula.units import DEGREES, LETTERS
from data.verifiers.formula.values import Measure, Number
from data.verifiers.quantity import NO_UNIT, SCALES, read_quantity

TEXT = r"\\(?:text|mathrm|mbox|textrm|textbf|textup)\s*\{([^{}]*)\}"
SHORT_UNITS = "cm|mm|km|kg|mg|ml|mL|kmh|mph|ft|mi|lbs?|oz|sec|min|hrs?|yd|rad|cc|USD|EUR|GBP|Hz|kW|kWh|kJ|m/s|m(?=[²³])"
WORD_UNIT = rf"(?:(?:square|cubic|sq\.?|cu\.?)\s+)?(?:[A-Za-zÀ-ÿ]{{4,}}|{SHORT_UNITS})(?:\s*/\s*(?:[A-Za-z]{{4,}}|{SHORT_UNITS}|s|h))?"
POWER = r"(?:\s*\^\s*\{?-?[1-3]\}?|[²³])?"
WORD = rf"(?<=[\d\s}}])\s*(?<![A-Za-z\\])(?P<word>{WORD_UNIT})(?P<word_power>{POWER})"
UNIT = re.compile(rf"(?P<bare>.*[\d)}}\]°A-Za-z])\s*(?:{TEXT}(?P<power>{POWER})|{WORD})", re.DOTALL)
NUMERIC = re.compile(
    r"(?:[\d.,/+\-−–×{}\s%]|[$€£¥₹*]|\\[%$!,;: ]|[eE](?=[-+]?\d)|\\(?:[dtc]?frac|times|cdot)(?![A-Za-z])"
    r"|(?:[×x]|\\times|\\cdot)\s*10\s*\^\s*(?:\{\s*-?\d+\s*\}|-?\d+)"
    rf"|\b(?:percent|per cent|pct|{'|'.join(SCALES)}|negative|minus|about|approximately|exactly|only)\b)+"
)
CURRENCY = re.compile(r"\\\$|[€£¥₹]|^\s*[-−]?\$(?=[^$]*\Z)")
"""A dollar sign that stands alone; two of them are marks of a formula."""
PLACES = re.compile(r"[-−+]?[$€£¥₹\s]*[\d,{}\s]*\.(\d+)")
SPACE_AT_END = re.compile(r"(?:\\[,;:! ]|[\s~])+\Z")
FUNCTION_WORD = re.compile(r"(?:sqrt|frac|text|infty|begin|matrix|arc\w+|sinh|cosh|tanh)\Z")


def read_number(text: str) -> Number | Measure | None:
    """The plain number that `text` is, with its unit where it has one; None for anything else."""
    shown = text.strip()
    if "=" in shown or ".." in shown or not any(character.isdigit() or character.isnumeric() for character in shown):
        return None
    if NUMERIC.fullmatch(shown):
        currency = CURRENCY.search(shown)
        return _measure(_number(shown), None if currency is None else currency[0].strip("\\ -−"))
    bare, unit = without_unit(shown)
    if unit == DEGREES or DEGREES in bare or "circ" in bare:
        return None  # degrees are compared with radians
    if NUMERIC.fullmatch(_vulgar_free(bare)) is None:
        return None
    return _measure(_number(bare), unit)


def _measure(number: Number | None, unit: str | None) -> Number | Measure | None:
    """A number with its unit; what follows a percentage is no unit ("50% of the apples")."""
    return number if number is None or unit is None or number.quantity.percent else Measure(number, unit)


def _number(text: str) -> Number | None:
    quantity = read_quantity(text)
    if quantity is None:
        return None
    written = PLACES.fullmatch(re.sub(r"\\[!,$]|[*]", "", text).strip())
    return Number(quantity, len(written[1]) if written else None)


def without_unit(text: str) -> tuple[str, str | None]:
    """`text` without the unit at its end, and that unit; (text, None) where there is none."""
    found = UNIT.fullmatch(text.strip().rstrip(".").strip())
    if found is None:
        return text, None
    unit = (found[2] if found["word"] is None else found["word"]).strip()
    spelled = unit.casefold().strip(".")
    is_scale = any(re.search(rf"\b{scale}s?\b", spelled) for scale in SCALES) or "percent" in spelled or spelled in ("pct", "or", "and")
    if not unit or is_scale or re.search(r"\s\d", unit) or not re.fullmatch(r"[A-Za-zÀ-ÿµ°/. '()$·²³^0-9-]+", unit) or unit[0].isdigit():
        return text, None
    is_letter = len(unit) == 1 and unit.isalpha()
    if (is_letter and unit not in LETTERS) or (not is_letter and (NO_UNIT.match(unit) or FUNCTION_WORD.match(unit))):
        return text, None
    if spelled in ("degree", "degrees"):
        return found["bare"].strip(), DEGREES
    return SPACE_AT_END.sub("", found["bare"]), unit + (found["power"] or found["word_power"] or "").strip("^{} ")


def _vulgar_free(text: str) -> str:
    """Vulgar fractions count as digits."""
    return "".join("1" if not character.isascii() and character.isnumeric() else character for character in text)
