r"""The steps of a thinking, and those of them that only check.

A step is a paragraph where a text has paragraphs, a line where it has lines, else a sentence. No step ends inside of display mathematics
or fenced code, and a lead that ends in a colon stays with what it leads to. All steps joined are the text again, character by character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest

MIN_STEPS = 3
"""A way of dividing that gives fewer steps is too coarse; the next finer one is tried."""
WHOLE = re.compile(
    r"```.*?```|\$\$.*?\$\$|\\\[.*?\\\]|\\\(.*?\\\)|\\begin\{(\w+\*?)\}.*?\\end\{\1\}|(?<![\\$\w])\$(?! )[^$\n]*?(?<! )\$(?!\d)", re.DOTALL
)
PARAGRAPH = re.compile(r"\n[ \t]*\n\s*")
LINE = re.compile(r"\n\s*")
SENTENCE = re.compile(r"[.!?](?:[\"')\]*_”’]*)\s+(?=\S)|[。！？]\s*|\n\s*")
NO_END = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|cf|vs|approx|resp|Mr|Mrs|Ms|Dr|St|No|Eq|Fig|z\.B|bzw|ca|p\.ej|Sr|Sra)|(?:^|[.!?:]\s)\(?(?:\d{1,2}|[A-Za-z]))\.\s+\Z",
    re.MULTILINE,
)
"""A full stop that ends no sentence: after an abbreviation, or after the number or letter that begins a list item."""
LEAD = re.compile(r":[*_]{0,2}\s*\Z")

OPENING = r"[\W\d_]*(?:(?:so|now|then|next|and|also|finally|okay|ok|first|again|just to be sure|to be (?:sure|safe|certain))\b[,:]?\s+)*"
INTENT = (
    r"(?:(?:let(?:['’]s| me| us)|i(?:['’]ll| will| can| should)|we(?:['’]ll| can| should)|it is (?:good|wise) to|to)\s+"
    r"(?:quickly\s+|also\s+|just\s+|now\s+)*)?"
)
ENGLISH = (
    rf"{INTENT}(?:(?:double|cross|sanity|re)[- ]?check|check|verify|confirm)(?:s|ing|ed)?\b|verification\b|as a (?:sanity )?check\b"
    r"|(?:plug|substitut)(?:ging|ing|e)?\b[^.\n]{0,40}\bback\b"
)
OTHERS = (
    r"probe\b|zur (?:probe|kontrolle)\b|überprüf\w*|prüf(?:en|ung)\w*|vérifi\w*|verifi[cq]\w*|comprob\w*|comprueb\w*|verifichi\w*"
    r"|провер\w*|检查|检验|验证|验算|檢查|驗證|確認|検算|확인|검산"
)
CHECK = re.compile(rf"{OPENING}(?:{ENGLISH}|{OTHERS})", re.IGNORECASE)
TROUBLE = re.compile(
    r"\b(?:wait|no|oops|hmm|actually|sorry|wrong|mistake|error|incorrect|mismatch|again|instead|rather|correction|contradict\w*)\b"
    r"|\b(?:not|n['’]t)\s+(?:right|correct|equal|match|add|the same|what|as)\b|\\neq?\b|≠"
    r"|falsch|fehler|erreur|faux|incorrecto|falso|неверно|ошибк|错|誤|違",
    re.IGNORECASE,
)
TURN = re.compile(rf"[\W_]*(?:(?:so|but|oh|ah)\b[,:]?\s+)?(?:{TROUBLE.pattern})", re.IGNORECASE)


def steps(text: str) -> list[str]:
    """The steps of `text` in order; none for an empty text."""
    whole = [found.span() for found in WHOLE.finditer(text)]
    found: list[str] = []
    for boundary in (PARAGRAPH, LINE, SENTENCE):
        found = _divide(text, _ends(text, boundary, whole))
        if len(found) >= MIN_STEPS:
            break
    return found


def checks(of: Sequence[str]) -> list[bool]:
    """For each step whether it only checks and finds nothing wrong.

    A check that finds something, or that is followed by a correction, has its part in what comes after.
    """
    following = zip_longest(of, of[1:], fillvalue="")
    return [bool(CHECK.match(step)) and not TROUBLE.search(step) and not TURN.match(after) for step, after in following]


def _ends(text: str, boundary: re.Pattern[str], whole: Sequence[tuple[int, int]]) -> Iterable[int]:
    inside = iter(whole)
    current = next(inside, None)
    for found in boundary.finditer(text):
        while current and current[1] <= found.start():
            current = next(inside, None)
        if (current is None or found.start() < current[0]) and not NO_END.search(text, max(0, found.end() - 12), found.end()):
            yield found.end()


def _divide(text: str, ends: Iterable[int]) -> list[str]:
    """The parts of `text` that end there; a part that leads to the next, or holds nothing but space, is one with its neighbour."""
    parts: list[str] = []
    begin, is_open = 0, False
    for end in [*ends, len(text)]:
        part = text[begin:end]
        if parts and (is_open or not part.strip()):
            parts[-1] += part
        elif part:
            parts.append(part)
        is_open = bool(parts) and (not parts[-1].strip() or LEAD.search(parts[-1]) is not None)
        begin = end
    return parts
