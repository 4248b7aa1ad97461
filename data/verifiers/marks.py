"""Marks inside of numbers as the world writes them, to one spelling: "1.200,50", "1'200.50", "1 200,50", "١٬٢٠٠٫٥" are 1200.50.

A single mark means what it means in the language of the text: in English "1.200" is 1.2 and in German it is 1200. Where a number can be
read in two ways ("12,34" in English, "1,200" in German, where models often write English marks), it is not read.
"""

from __future__ import annotations

import re
import unicodedata

READ_CHARACTERS = 1000
"""Of the text before a number, so much tells its language."""
NUMBER = re.compile(r"[0-9]+(?:[.,'’٬٫](?=[0-9])[0-9]+| [0-9]{3}(?![0-9]))*")
MARK = re.compile(r"[^0-9]")
COMMA_WORD = re.compile(
    r"\b(?:der|die|das|und|ist|nicht|sind|antwort|ergebnis|le|les|des|est|sont|réponse|el|los|las|es|respuesta|il|gli|sono|risposta|è"
    r"|os|são|é|resposta)\b|[\u0400-\u04ff]+",
    re.IGNORECASE,
)
"""Words of languages with a decimal comma: German, French, Spanish, Italian, Portuguese, Russian."""
POINT_WORD = re.compile(r"\b(?:the|is|are|and|of|so|answer)\b", re.IGNORECASE)
REPEATING = re.compile(
    r"(?P<whole>\d*)\.(?P<fixed>\d*)(?:\\(?:overline|bar|dot)\s*\{?(?P<period>\d+)\}?|\((?P<bracketed>\d+)\)|(?P<dots>\s*\\ldots))"
)


class UnclearMarkError(ValueError):
    """A number that can be read in two ways, or whose marks fit none."""


def has_decimal_comma(text: str) -> bool:
    """Whether the end of `text` is in a language that writes 1,5 for 3/2."""
    end = text[-READ_CHARACTERS:]
    return len(COMMA_WORD.findall(end)) > len(POINT_WORD.findall(end))


def ascii_digits(text: str) -> str:
    """Digits, letters and signs of full width, and the digits of all scripts, as ASCII; what is none of them as it is."""
    return text if text.isascii() else "".join(_ascii(character) for character in text)


def plain_numbers(text: str, *, comma: bool = False) -> str:
    """All numbers without grouping marks and with a decimal point; `comma`: in a language with a decimal comma. Raises UnclearMarkError."""
    return NUMBER.sub(lambda found: _plain(found[0], comma), text)


def repeating(found: re.Match[str]) -> str:
    """A repeating decimal as a fraction; one whose period is not clear stays as it is and cannot be read."""
    whole, fixed = found["whole"] or "0", found["fixed"]
    period = found["period"] or found["bracketed"]
    if found["dots"]:
        clear = re.fullmatch(r"(\d*?)(?:(\d)\2{2,}|(\d{2,}?)\3+)", fixed)
        if clear is None:
            return found[0]
        fixed, period = clear[1], clear[2] or clear[3]
    below = (10 ** len(period) - 1) * 10 ** len(fixed)
    above = int(whole + fixed + period) - int(whole + fixed)
    return f"\\frac{{{above}}}{{{below}}}"


def _ascii(character: str) -> str:
    if "\uff01" <= character <= "\uff5e":
        return chr(ord(character) - 0xFEE0)
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)


def _plain(number: str, comma: bool) -> str:
    number = number.replace("’", "'").replace("٬", "'")
    marks, groups = MARK.findall(number), MARK.split(number)
    if not marks:
        return number
    *grouping, last = marks
    is_decimal = last == "٫" or (last not in grouping if grouping else last not in " '" and _is_decimal(last, groups, comma))
    whole, rest = (groups[:-1], f".{groups[-1]}") if is_decimal else (groups, "")
    if len(set(grouping if is_decimal else marks)) > 1 or (len(whole) > 1 and not _is_grouped(whole)):
        raise UnclearMarkError(number)
    return "".join(whole) + rest


def _is_decimal(mark: str, groups: list[str], comma: bool) -> bool:
    """Whether the only mark, a point or a comma, parts the decimals."""
    if not _is_grouped(groups):
        if mark == "," and not comma and groups[0] != "0":
            raise UnclearMarkError(mark.join(groups))
        return True
    if mark == "," and comma:
        raise UnclearMarkError(mark.join(groups))
    return (mark == ".") is not comma


def _is_grouped(groups: list[str]) -> bool:
    """Whether groups of digits are thousands, or as in India: three digits at the end and two before."""
    first, *middle, last = groups
    fits = 1 <= len(first) <= 3 and not (first.startswith("0") and len(groups) == 2) and len(last) == 3
    return fits and (all(len(group) == 3 for group in middle) or (all(len(group) == 2 for group in middle) and len(first) <= 2))
