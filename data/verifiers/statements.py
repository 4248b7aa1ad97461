r"""Explicit statements of an answer: `\boxed{…}`, "The answer is …", "Answer: …" and "#### …".

The last statement wins. Statements made in one breath (in one sentence, or directly after each other) are final together, so that
a verifier can refuse "The answer is 5 or \boxed{6}"; after further working, or a word of correction, the later one stands alone.
Everything here takes linear time for a bounded text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_CONTENT_CHARACTERS = 300
BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
PHRASE = re.compile(
    r"\banswers?\b[*_]{0,2}(?:\s{0,3}[:=]|(?:\s+(?:to|for|of)\b[^.:\n?!]{0,100}?)?\s{1,3}(?:is|are|equals)\b)"
    r"(?:[\s*_:$\"“']|\\[\[(])*",
    re.IGNORECASE,
)
HASHES = re.compile(r"####[ \t]*(?=[-+−$€£¥₹\\.\d(])")
SENTENCE_END = re.compile(r"\n|[.!?;](?=[\s*_\"'”’]|$)")
CLAUSE = re.compile(r",?\s+(?:because|since|as|which|where|so|but|no|wait|sorry|actually|therefore|thus|hence)\b", re.IGNORECASE)
CORRECTION = re.compile(r"\b(?:wait|no|sorry|actually|correction|instead|rather|mistake|wrong|recheck|hmm)\b", re.IGNORECASE)
LINK = re.compile(r"(?:[\s.,;:!*_$()\[\]\\]|\b(?:and|or|so|thus|hence|therefore|the|final|correct|our|my|i\.e)\b)*", re.IGNORECASE)
SUPPOSED = re.compile(r"\b(?:if|suppose|supposing|assume|assuming|whether|unless)\b[^.\n]*\Z", re.IGNORECASE)
VALUE = re.compile(r"[\d\\$=+^√π∞]|^[({\[]|^\W*[A-Za-z]\W*$")
NUMBER_WORD = re.compile(
    r"\b(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
    r"|hundred|thousand|million|none|nothing|infinite|infinity|undefined|impossible|unknown)\b",
    re.IGNORECASE,
)
AFTER_BOX = re.compile(r"[ \t$]*(\\?%|(?:percent|hundred|thousand|million|billion|trillion|dozen)\b)", re.IGNORECASE)
TRAILING = re.compile(r"(?:[\s,:=≈]|\b(?:and|or|so|thus|the|that|i\.e\.?))+$", re.IGNORECASE)


class Statement(NamedTuple):
    r"""One statement: its value as written and where it stands (characters).

    A `firm` one must be readable. One that is not firm only leads to another ("the answer is 2 · 9 = \boxed{18}") and counts if readable.
    """

    text: str
    start: int
    end: int
    firm: bool


def final_statements(text: str) -> list[Statement]:
    """The statements of the last breath, in order; empty where nothing is stated explicitly."""
    found = statements(text)
    first = len(found) - 1
    while first > 0 and _one_breath(text[found[first - 1].end : found[first].start]):
        first -= 1
    return found[max(first, 0) :]


def statements(text: str) -> list[Statement]:
    """All explicit statements in the order in which they begin."""
    opened = [*_boxes(text), *((m.start(), m.end(), None) for m in (*PHRASE.finditer(text), *HASHES.finditer(text)))]
    opened.sort(key=lambda item: item[0])
    found: list[Statement] = []
    nexts = [*(start for start, _, _ in opened[1:]), len(text)]
    for (start, begin, box_end), following in zip(opened, nexts, strict=False):
        said = _said(text, start, begin, following) if box_end is None else _boxed(text, start, begin, box_end)
        if said is not None:
            found.append(said)
    return found


def _boxes(text: str) -> list[tuple[int, int, int | None]]:
    """(start, begin of content, end of content) of the outer boxes; an unclosed one ends with the text."""
    closing = _closing_braces(text)
    found: list[tuple[int, int, int | None]] = []
    inside = 0
    for match in BOX.finditer(text):
        if match.start() < inside:
            continue
        end = closing.get(match.end() - 1)
        found.append((match.start(), match.end(), len(text) if end is None else end))
        inside = match.end() if end is None else end
    return found


def _closing_braces(text: str) -> dict[int, int]:
    """Position of each opening brace → that of its closing one; escaped braces are none."""
    closing: dict[int, int] = {}
    opened: list[int] = []
    escaped = False
    for position, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "{":
            opened.append(position)
        elif character == "}" and opened:
            closing[opened.pop()] = position
    return closing


def _boxed(text: str, start: int, begin: int, end: int) -> Statement:
    """A box with what belongs to it outside: a minus sign right before, a percent sign or "million" right after."""
    content = text[begin:end] if end < len(text) else ""  # an unclosed box states nothing that can be read
    while (inner := BOX.match(content.strip())) and content.strip().endswith("}"):
        content = content.strip()[inner.end() : -1]
    if text[start - 1 : start] in ("-", "−") and start > 0 and not re.match(r"[\w)}\]]", text[start - 2 : start - 1]):
        content, start = f"-{content}", start - 1
    after = AFTER_BOX.match(text, end + 1)
    if after:
        return Statement(f"{content} {after[1]}", start, after.end(), True)
    return Statement(content, start, min(end + 1, len(text)), True)


def _said(text: str, start: int, begin: int, following: int) -> Statement | None:
    """What a phrase or a line of hashes states, up to its sentence's end; None where it states no value or is only supposed."""
    limit = min(following, begin + MAX_CONTENT_CHARACTERS)
    stop = SENTENCE_END.search(text, begin, limit)
    end = stop.start() if stop else limit
    leads_on = stop is None and limit == following < len(text)
    if (stop and stop[0] == "?") or SUPPOSED.search(text, max(0, start - 60), start):
        return None
    clause = CLAUSE.search(text, begin, end)
    end = clause.start() if clause else end
    content = text[begin:end]
    if leads_on and not clause:
        return Statement(TRAILING.sub("", content).strip(), start, end, False)
    if not (VALUE.search(content.strip()) or NUMBER_WORD.search(content)):
        return None
    return Statement(content.strip(), start, end, True)


def _one_breath(gap: str) -> bool:
    """Whether two statements with this text between them are made together."""
    if CORRECTION.search(gap):
        return False
    return LINK.fullmatch(gap) is not None or SENTENCE_END.search(gap) is None
