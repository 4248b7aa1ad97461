"""Numbers in words at the beginning of a text, as digits: "eighteen dollars" is "18 dollars", "two and a half" is "2 1/2", "二十个" "20个".

English, German, French, Spanish, Italian and Portuguese are read by text2num; Chinese numerals, which Japanese shares, below ten thousand.
"""

from __future__ import annotations

import re
import unicodedata

LANGUAGES = ("en", "de", "fr", "es", "it", "pt")
MOST_WORDS = 12
MINUS = re.compile(r"(?:minus|negative|moins|menos|meno)\s+", re.IGNORECASE)
WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
WORDS = re.compile(rf"{WORD.pattern}(?: {WORD.pattern}){{0,{MOST_WORDS - 1}}}")
END = re.compile(r"(?<=[^\W\d_])(?=[ -]|\Z)")
"""Where a number in words may end: behind a word, or before a hyphen, as in "three-quarters"."""
ARTICLES = frozenset(["one", "a", "an", "ein", "eine", "eins", "un", "une", "uno", "una", "um", "uma"])
"""Numbers that may be articles or pronouns: only alone are they read."""
OTHER_WORDS = frozenset(["once", "due", "cent"])
"""Numbers of one language that are words of another."""
PARTS = {
    "half": 2, "halves": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
    "tenth": 10, "eleventh": 11, "twelfth": 12, "fifteenth": 15, "sixteenth": 16, "twentieth": 20, "hundredth": 100, "thousandth": 1000,
}  # fmt: skip
PART = re.compile(rf"[ -](?P<part>{'|'.join(PARTS)})s?\b", re.IGNORECASE)
AND_PART = re.compile(rf" and (?P<many>{WORD.pattern}?)[ -](?P<part>{'|'.join(PARTS)})s?\b", re.IGNORECASE)
HALF = re.compile(r"(?:a |one )?half(?: an?(?= [a-z])|\Z)", re.IGNORECASE)
A_PART = re.compile(rf"an? (?=(?:{'|'.join(PARTS)})\b)", re.IGNORECASE)
AND_HALF = re.compile(r"(?P<whole>[a-zäöüß]+)einhalb(?![a-zäöüß])", re.IGNORECASE)
"""German: "zweieinhalb" is 2 1/2."""
DOZEN = re.compile(r"a(?= dozen\b)", re.IGNORECASE)
HAN = re.compile(
    r"[〇零一二两兩三四五六七八九十百千]+(?![^\W\d_])|[〇零一二两兩三四五六七八九十百千]+(?=[个個つ元円万萬亿億])|[零一二两兩三四五六七八九十百千]{2,}"
)
"""Of a single numeral that begins another word ("一样") nothing is read."""
HAN_UNITS = ((1000, "千"), (100, "百"), (10, "十"), (1, ""))
NUMBER_WORD = re.compile(
    r"\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
    r"|hundred|thousand|million|none|nothing|infinite|infinity|undefined|impossible|unknown)\b",
    re.IGNORECASE,
)
"""What makes of the words behind an announcement a value, if one that may not be read."""


def with_digits(text: str) -> str:
    """`text` with the number in words that it begins with, if any, as digits."""
    minus = MINUS.match(text)
    begin = minus.end() if minus else 0
    found = _leading(text[begin:])
    if found is None:
        return text
    value, end = found
    rest = text[begin + end :]
    mixed, part = AND_PART.match(rest), PART.match(rest)
    many = "1" if mixed and mixed["many"].lower() == "a" else mixed and _value(mixed["many"])
    if mixed and many:
        value, rest = f"{value} {many}/{PARTS[mixed['part'].lower()]}", rest[mixed.end() :]
    elif part:
        value, rest = f"{value}/{PARTS[part['part'].lower()]}", rest[part.end() :]
    return f"{'-' if minus else ''}{value}{rest}"


def _leading(text: str) -> tuple[str, int] | None:
    """The number that the longest run of words at the beginning says, and where it ends."""
    for pattern, said in ((HALF, "0.5"), (DOZEN, "1")):
        if alone := pattern.match(text):
            return said, alone.end()
    if (german := AND_HALF.match(text)) and (whole := _value(german["whole"])):
        return f"{whole} 1/2", german.end()
    if part := A_PART.match(text):
        return "1", part.end() - 1
    if numerals := HAN.match(text):
        digits = _han(numerals[0])
        return None if digits is None else (digits, numerals.end())
    found = WORDS.match(text)
    if found is None:
        return None
    for end in reversed([place.end() for place in END.finditer(found[0])]):
        if text[:end].lower() in ARTICLES and end < len(text.rstrip(" .")) and not (PART.match(text, end) or AND_PART.match(text, end)):
            return None
        if text[:end].lower() not in OTHER_WORDS and (value := _value(text[:end])) is not None:
            return value, end
    return None


def _value(words: str) -> str | None:
    """What the words say in the languages in which they say anything, if that is one thing."""
    from text_to_num import text2num

    values = set()
    for language in LANGUAGES:
        try:
            values.add(int(text2num(words.lower(), language)))
        except ValueError:
            continue
    return str(values.pop()) if len(values) == 1 else None


def _han(text: str) -> str | None:
    """A number below ten thousand in Chinese numerals, as it is counted ("一百零五") or by its digits ("二〇二四")."""
    plain = text.translate(str.maketrans("两兩〇", "二二零"))
    values = [int(unicodedata.numeric(numeral)) for numeral in plain]
    if len(values) > 1 and max(values) < 10:
        return "".join(map(str, values))
    total = digit = 0
    for value in values:
        total, digit = (total + (digit or 1) * value, 0) if value >= 10 else (total, value)
    total += digit
    return str(total) if plain in (counted(total), counted(total).removeprefix("一")) else None


def counted(number: int) -> str:
    """A number below ten thousand as it is counted in Chinese."""
    said = ""
    for unit, name in HAN_UNITS:
        if digit := number // unit % 10:
            said += "零" * bool(said and number // (10 * unit) % 10 == 0) + "零一二三四五六七八九"[digit] + name
    return said or "零"
