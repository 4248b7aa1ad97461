r"""Units behind numbers: which of them are one unit. "cm²", "square centimeters" and "sq. cm" are, "cm" and "cm²" are not."""

from __future__ import annotations

import re
from collections import Counter

DEGREES, RADIANS, ANY = "°", "radian", "unit"
"""ANY is a unit that does not say which: "5 square units" are as many as 5 cm²."""
LETTERS = frozenset("mgshlLNJWVAKCF")
"""Units of one letter; behind a number any other letter is a factor."""
NAMES = {
    "mm": ("millimeter", "millimetre"), "cm": ("centimeter", "centimetre"), "m": ("meter", "metre"), "km": ("kilometer", "kilometre"),
    "in": ("inch",), "ft": ("foot", "feet"), "yd": ("yard",), "mi": ("mile",),
    "mg": ("milligram",), "g": ("gram", "gm"), "kg": ("kilogram", "kilo", "kgs"), "t": ("ton", "tonne"), "lb": ("lbs",), "oz": ("ounce",),
    "ml": ("milliliter", "millilitre"), "l": ("liter", "litre"), "gal": ("gallon",),
    "ms": ("millisecond",), "s": ("second", "sec", "secs"), "min": ("minute", "mins"), "h": ("hour", "hr", "hrs"),
    "day": ("d",), "week": ("wk", "wks"), "month": ("mo",), "year": ("yr", "yrs"),
    "hz": ("hertz",), "w": ("watt",), "kw": ("kilowatt",), "kwh": ("kilowatt-hour",), "j": ("joule",), "kj": ("kilojoule",),
    "n": ("newton",), "v": ("volt",),
    "dollar": ("$", "usd", "buck"), "cent": ("¢",), "euro": ("€", "eur"), "gbp": ("£",), "yen": ("¥", "jpy"), "rupee": ("₹", "rs", "inr"),
    RADIANS: ("rad",), DEGREES: ("degree", "deg"), "celsius": ("°c", "°celsius"), "fahrenheit": ("°f", "°fahrenheit"),
    "person": ("people",), "man": ("men",), "woman": ("women",), "child": ("children",), "mouse": ("mice",),
}  # fmt: skip
SYNONYMS = {other: name for name, others in NAMES.items() for other in (name, *others)}
SHORT = {"mph": "mi/h", "kph": "km/h", "kmh": "km/h", "kmph": "km/h", "cc": "cm^3", "fps": "ft/s", "sqft": "ft^2", "percentage": "percent"}
EITHER = ({"pound", "lb"}, {"pound", "gbp"})
MEGA = re.compile(r"M(?:W|Wh|Hz|J|Pa|V|eV|N|B)")
BEFORE, AFTER = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}, {"squared": 2, "cubed": 3}
FILLERS = frozenset({
    "of", "in", "the", "total", "altogether",
    "long", "tall", "high", "wide", "deep", "thick", "away", "old", "ago", "later", "left", "more",
})  # fmt: skip
RAISED = re.compile(r"(.*[^\d^{-])\^?\{?(-?\d)\}?")
SIGNS = str.maketrans({"²": "^2", "³": "^3", "·": " ", "*": " ", "(": " ", ")": " "})
DIVIDED = re.compile(r"\s*/\s*|\s+per\s+|\s+an?\s+")


def alike(own: str, other: str) -> bool:
    """Whether two units are one unit, in whatever spelling."""
    if own == other:
        return True
    mine, theirs = _factors(own), _factors(other)
    if mine == theirs:
        return True
    if len(mine) != 1 or len(theirs) != 1:
        return False
    (name, power), (name1, power1) = *mine.items(), *theirs.items()
    return power == power1 and (ANY in (name, name1) or {name, name1} in EITHER or _one_thing(set(name.split()), set(name1.split())))


def _one_thing(own: set[str], other: set[str]) -> bool:
    """Whether what is counted is the same, called by more words on one side: apples and red apples, but not years and light years."""
    return (own <= other or other <= own) and all(word.isalpha() and word not in NAMES for word in own | other)


def named(unit: str) -> str:
    """The one name of a unit, such as DEGREES or RADIANS; one with powers or several names stays as it is."""
    factors = _factors(unit)
    return next(iter(factors)) if list(factors.values()) == [1] else unit


def _factors(unit: str) -> Counter[str]:
    """Names and their powers: "meters per second squared" is {m: 1, s: -2}."""
    found: Counter[str] = Counter()
    for place, part in enumerate(DIVIDED.split(unit.strip().translate(SIGNS))):
        for name, power in _powers(part):
            inner = _factors(SHORT[name]) if name in SHORT else Counter({name: 1})
            for own, own_power in inner.items():
                found[own] += own_power * power * (-1 if place else 1)
    return found


def _powers(part: str) -> list[tuple[str, int]]:
    """The factors of one side of a "per". Words of which one is no unit are one name."""
    factors: list[tuple[str, int]] = []
    before = 1
    for word in re.sub(r"\s*\^\s*", "^", part.replace("° ", "°")).replace(".", " ").split():
        raised = RAISED.fullmatch(word)
        name, power = (_name(raised[1]), int(raised[2])) if raised else (_name(word), 1)
        if name in AFTER and factors:
            factors[-1] = factors[-1][0], factors[-1][1] * AFTER[name]
        elif name in BEFORE:
            before = BEFORE[name]
        elif name not in FILLERS or not factors:
            factors.append((name, power * before))
            before = 1
    if all(name in NAMES or name in SHORT for name, _ in factors):
        return factors
    return [(" ".join(name for name, _ in factors), max((power for _, power in factors), default=1))]


def _name(word: str) -> str:
    """One spelling: singular, without capital letters but for the M of mega."""
    if MEGA.fullmatch(word):
        return word
    shown = word.casefold()
    for ending, singular in (("", ""), ("s", ""), ("es", ""), ("ies", "y")):
        stem = f"{shown.removesuffix(ending)}{singular}"
        if shown.endswith(ending) and (stem in SYNONYMS or stem in SHORT):
            return SYNONYMS.get(stem, stem)
    if len(shown) > 4 and shown.endswith("ies"):
        return f"{shown[:-3]}y"
    if re.search(r"(?:x|ch|sh|ss)es\Z", shown):
        return shown[:-2]
    return shown[:-1] if len(shown) > 3 and shown.endswith("s") and not shown.endswith("ss") else shown
