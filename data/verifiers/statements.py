r"""Explicit statements of an answer: `\boxed{…}`, `<answer>…</answer>`, "The answer is …", "Antwort: …", "答案是…" and "#### …".

The last statement wins. Statements made in one breath (in one sentence, or directly after each other) are final together, so that
a verifier can refuse "The answer is 5 or \boxed{6}"; after further working, or a word of correction, the later one stands alone. Questions,
suppositions and denials state nothing; but who denies what he stated last has stated nothing that can be read.
Everything here takes linear time for a bounded text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from data.verifiers.number_words import NUMBER_WORD, with_digits
from data.verifiers.phrases import (
    ANSWER,
    ATTRIBUTED,
    CALLED_FALSE,
    CLAUSE,
    CONCLUDING,
    CONFIRMED,
    CORRECTED_AT_ONCE,
    CORRECTION,
    DENIED,
    DENIED_AFTER,
    DENIED_BEFORE,
    DENIED_BEHIND,
    ENDING,
    HEARSAY,
    INSTEAD,
    LEAD,
    LINK,
    NEGATED,
    NOT_BUT,
    OTHERWISE,
    OWN,
    PICTURES,
    POSSESSIVE,
    REFUSED,
    RETRACTION,
    SUPPOSED,
    TOLD,
    TRAILING,
    UNSURE,
)

MAX_CONTENT_CHARACTERS = 300
LOOK_BACK = 60
"""Characters before a statement that may deny or suppose it."""
BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
LETTER = re.compile(r"[^\W\d_]")
TAIL = 200
"""Characters at the end of a text that may confirm what was said last."""
BARE_BOX = re.compile(r"(\\boxed)[ ]([0-9A-Za-z])(?![0-9A-Za-z])")
"""One token needs no braces."""
SPECIAL = re.compile(r"(?:<\|\w{1,20}\|>|</s>)\Z")
"""A token that ends a text, where an engine left it there."""
TAG = re.compile(r"<(?P<close>/?)answer>", re.IGNORECASE)
BRACE = re.compile(r"[{}]|\\.", re.DOTALL)
"""A brace, or an escaped character, which is none."""
SENTENCE_END = re.compile(r"\n|[。！？]|(?<!\bRs)(?<!\bca)(?<!\bapprox)(?:[.?]|!(?!\s*=)|(?<![\s\\]);)(?=[\s*_\"'”’»]|$)")
CALLED_WRONG = re.compile(r"\s+(?:is|was)\s+(?:wrong|incorrect)\b")
CONCLUDED = re.compile(r"(?:[.,!?:\n]|\bso|\bhence|\btherefore)\s*[*_$]*\Z", re.IGNORECASE)
OWNERS = ("'", "’", "her ", "his ", "their ")
PLAIN_BEFORE = frozenset(
    f"{so}{the}{answer}".strip()
    for so in ("", "so ", "thus ", "hence ", "therefore ")
    for the in ("the ", "the final ", "the correct ", "my ", "final ", "")
    for answer in ("", "answer is", "answer")
)
"""What most often stands before an announcement in its clause, and asks for no further look."""
OPENED = re.compile(r"(?:[\s$]|\\[(\[])+\Z")
"""The dress of what follows."""
COLON = re.compile(r"[:=：]")
DRESS_ALONE = re.compile(r"(?:[\s$*_:]|\\[\[(])*\Z")
VALUE = re.compile(r"[\d\\$=+^√π∞\u00bc-\u00be\u2150-\u215e]|^[({\[]|^\W*(?:[A-Za-z]|[a-z]\s?/\s?[a-z])\W*$")
PART_BEFORE = re.compile(
    r"(?:[0-9)]|(?<![A-Za-z\\])[A-Za-z]|\\(?:cdot|times|div|pm|mp)\s*|[^\s*][ \t]*[+/×·^]\s*\$?|[-−]\$\s*"
    r"|\\(?:[dtc]?frac|sqrt)\s*\{\s*|\}\s*\{\s*)\Z"
)
PART_AFTER = re.compile(
    r"[ \t]*(?:\^(?!\s*\{?\s*\\circ)|_|[+*/×·]\s?(?=[\d\\({]|[A-Za-z]\b)|[-−]\s?\d|[0-9(]|[A-Za-z](?![A-Za-z])"
    r"|\\(?:pi|sqrt|cdot|times|div|pm|[dt]?frac|binom|ln|log)(?![A-Za-z]))"
    r"|\$?\s+(?:or|oder|ou|или)\s+\$?(?:[\d−-]|\\(?!boxed|fbox))|或"
)
"""What makes a box a part of something else: a factor, a term, a numerator, one of two values."""
AFTER_BOX = re.compile(r"[ \t$]*(\\?%|(?:percent|hundred|thousand|million|billion|trillion|dozen)\b)", re.IGNORECASE)

BESIDES = re.compile(r"\b(?:is|are)\s+also\b", re.IGNORECASE)
"""A value beside the one before."""
TRUTH = re.compile(r"\W*(?:yes|no|true|false|odd|even)\W*", re.IGNORECASE)


class Statement(NamedTuple):
    r"""One statement: its value as written and where it stands (characters).

    A `firm` one must be readable. One that is not firm only leads to another ("the answer is 2 · 9 = \boxed{18}") and counts if readable.
    """

    text: str
    start: int
    end: int
    firm: bool = True
    denied: bool = False
    line: str = ""
    """The value with what stands behind it in its line, for values that may hold full stops."""


class Grammar(NamedTuple):
    """What states a value of some kind."""

    announced: re.Pattern[str]
    """A phrase before a value."""
    marked: re.Pattern[str]
    """A mark before a value, such as that of GSM8K."""
    may_be_value: Callable[[str], bool]
    """Whether what an announcement is followed by can be a value; else it announces nothing ("The answer is clear")."""
    clause: re.Pattern[str] = CLAUSE
    """Where what is no part of a value begins: a reason, a correction."""
    denied: re.Pattern[str] = DENIED
    """What makes of an announcement with a verb a denial."""
    holding: re.Pattern[str] | None = None
    """A phrase that holds the value, as its group that ends last: "option B is correct"."""


def _may_be_number(text: str) -> bool:
    return bool(VALUE.search(text) or NUMBER_WORD.search(text) or TRUTH.fullmatch(text)) or with_digits(text) != text


KEYED = (
    r"[\"'](?:final[_ ])?answer[\"']\s*:\s*(?:\"(?P<quoted>[^\"\n]*)\""
    r"|(?!null\b)(?P<bare>[^\"'{}\s][^\"',{}\n]*?))\s*(?:,[^{}]*)?\}[\s`]*\Z"
)
"""JSON with an answer, at the end of a text."""
NUMERIC = Grammar(
    re.compile(rf"(?:{ANSWER}){LEAD}", re.IGNORECASE | re.MULTILINE),
    re.compile(r"####[ \t]*(?=[*_\s]*[-+−$€£¥₹\\.\d(])(?![*_\s]*\d+[.)][ \t]+[^\W\d])"),
    _may_be_number,
    holding=re.compile(KEYED, re.IGNORECASE),
)
"""Numbers and expressions."""


def final_statements(text: str, grammar: Grammar = NUMERIC) -> list[Statement]:
    """The statements of the last breath, in order; empty where nothing is stated explicitly."""
    found = statements(text, grammar)
    if found and (taken_back := _taken_back(text, found[-1])):
        return [Statement("", *taken_back.span())]
    first = len(found) - 1
    while first > 0 and (
        _one_breath(text[found[first - 1].end : found[first].start]) or BESIDES.search(text, found[first].start, found[first].end)
    ):
        first -= 1
    return found[max(first, 0) :]


def _taken_back(text: str, last: Statement) -> re.Match[str] | None:
    """Where a writer takes his last statement back, or says that it should be another; not where he looks again and confirms it."""
    if not LETTER.search(text, last.end) or _is_confirmed(text, last):
        return None
    others = (instead for instead in INSTEAD.finditer(text, last.end) if not _plain(instead["value"]).startswith(_plain(last.text)))
    return (
        _called_wrong(text, last)
        or RETRACTION.search(text, max(0, last.end - 1))
        or CORRECTED_AT_ONCE.match(text, last.end)
        or next(others, None)
    )


def _is_confirmed(text: str, last: Statement) -> bool:
    """Whether a text ends with a look back at its last statement that leaves it standing."""
    tail = max(last.end, len(text) - TAIL)
    said = CONFIRMED.search(text, tail)
    if said is None or CALLED_FALSE.search(text, last.end, said.start()):
        return False
    value, before = last.text.strip(" *_$."), text[last.end : said.start()].rstrip(" .,:;!*_$}\n")
    return not before or (before.endswith(value) and not re.match(r"[\w.,/-]", before[: -len(value)][-1:]))


def _called_wrong(text: str, last: Statement) -> re.Match[str] | None:
    """Where the value of the last statement is called wrong."""
    value = last.text.strip(" *_$.")
    for wrong in CALLED_WRONG.finditer(text, last.end) if value else ():
        begin = wrong.start() - len(value)
        if text.startswith(value, begin) and begin >= last.end and CONCLUDED.search(text, last.end, begin):
            return wrong
    return None


def statements(text: str, grammar: Grammar = NUMERIC) -> list[Statement]:
    """All explicit statements in the order in which they begin."""
    text = without_idle_tags(SPECIAL.sub("", text) if text.endswith(">") else text, grammar)
    text = BARE_BOX.sub(r"\1{\2}", text) if "boxed " in text else text
    phrases = (*grammar.announced.finditer(text), *grammar.marked.finditer(text))
    holding = grammar.holding.finditer(text) if grammar.holding else ()
    opened = [
        *((start, begin, _boxed(text, start, begin, end)) for start, begin, end in _boxes(text)),
        *((start, begin, _tagged(text, start, begin, end)) for start, begin, end in _tags(text)),
        *((m.start(), m.end(), _held(text, m)) for m in holding),
        *((m.start(), m.end(), None) for m in phrases),
    ]
    opened.sort(key=lambda item: item[0])
    found: list[Statement] = []
    nexts = [*(start for start, _, _ in opened[1:]), len(text)]
    for (start, begin, held), following in zip(opened, nexts, strict=False):
        said = held or _said(text, start, begin, following, grammar)
        if said is None:
            continue
        if not said.denied:
            found.append(said)
        elif found and _plain(found[-1].text) == _plain(said.text):
            found.append(said._replace(text=""))
    return found


def without_idle_tags(text: str, grammar: Grammar = NUMERIC) -> str:
    """`text` with spaces for answer tags that hold what states an answer by itself, such as a box."""
    for start, begin, end in _tags(text):
        if statements(text[begin:end], grammar):
            text = f"{text[:start]}{' ' * (begin - start)}{text[begin:end]}{' ' * len('</answer>')}{text[end + len('</answer>') :]}"
    return text


def _tags(text: str) -> Iterator[tuple[int, int, int]]:
    """(start, begin of content, end of content) of each pair of answer tags."""
    opened: re.Match[str] | None = None
    for tag in TAG.finditer(text):
        if not tag["close"]:
            opened = tag
        elif opened:
            yield opened.start(), opened.end(), tag.start()
            opened = None


def _tagged(text: str, start: int, begin: int, end: int) -> Statement:
    """What tags hold."""
    after = end + len("</answer>")
    return Statement(text[begin:end].strip(), start, after, denied=_is_unsaid(text, start, after))


def _boxes(text: str) -> list[tuple[int, int, int]]:
    """(start, begin of content, end of content) of the outer boxes; an unclosed one ends with the text."""
    closing = _closing_braces(text)
    found: list[tuple[int, int, int]] = []
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
    for brace in BRACE.finditer(text):
        if brace[0] == "{":
            opened.append(brace.start())
        elif brace[0] == "}" and opened:
            closing[opened.pop()] = brace.start()
    return closing


def _boxed(text: str, start: int, begin: int, end: int) -> Statement:
    """A box with what belongs to it outside: a minus sign right before, a percent sign or "million" right after."""
    denied = _is_unsaid(text, start, min(end + 1, len(text)))
    content = text[begin:end] if end < len(text) else ""  # an unclosed box states nothing that can be read
    while (inner := BOX.match(content.strip())) and content.strip().endswith("}"):
        content = content.strip()[inner.end() : -1]
    if text[start - 1 : start] in ("-", "−") and start > 0 and not re.match(r"[\w)}\]]", text[start - 2 : start - 1]):
        content, start = f"-{content}", start - 1
    elif PART_BEFORE.search(text, max(0, start - 20), start):
        content = ""
    after = AFTER_BOX.match(text, end + 1)
    if after:
        return Statement(f"{content} {after[1]}", start, after.end(), denied=denied)
    if PART_AFTER.match(text, end + 1):
        content = ""
    return Statement(content, start, min(end + 1, len(text)), denied=denied)


def _is_unsaid(text: str, start: int, end: int) -> bool:
    """Whether a value that stands there is supposed, denied or asked."""
    denied = DENIED_BEFORE.search(text[max(0, start - LOOK_BACK) : start].lower()) or DENIED_AFTER.match(text, end)
    return denied is not None or _is_supposed(text, start)


def _is_supposed(text: str, start: int) -> bool:
    """Whether what begins there is only supposed, or said of others, in the same sentence."""
    sentence = _behind_last(".。", text, max(0, start - LOOK_BACK), start)
    if sentence == start:
        return False
    clause = _behind_last(",;:\n", text, sentence, start)
    said, own = text[sentence:start].lower(), text[clause:start].lower()
    is_heard = ("ccording" in said or ":" in said or "t, d" in said or said.rstrip().endswith(",")) and HEARSAY.search(said)
    if is_heard or SUPPOSED.search(said):
        return True
    if own.strip(" $*_\\[(") in PLAIN_BEFORE:
        return False
    own = CONCLUDING.split(own)[-1]
    return bool(ATTRIBUTED.search(own) or UNSURE.search(own) or _is_told(own))


def _is_told(clause: str) -> bool:
    """Whether what follows a clause is what somebody else says."""
    told = TOLD.search(clause)
    return told is not None and OWN.fullmatch(told["subject"]) is None


def _behind_last(marks: str, text: str, begin: int, end: int) -> int:
    """Where what stands behind the last of these marks begins."""
    for mark in marks:
        begin = max(begin, text.rfind(mark, begin, end) + 1)
    return begin


def _held(text: str, found: re.Match[str]) -> Statement:
    """What a phrase states that holds its value, or denies, asks or supposes."""
    denied = _is_unsaid(text, *found.span()) or NEGATED.search(text, _denied_from(text, found), found.start()) is not None
    return Statement(found[found.lastindex or 0], *found.span(), denied=denied)


def _denied_from(text: str, found: re.Match[str]) -> int:
    """From where on a phrase can be denied: what stands beside a key in its object, or before the colon of that, denies nothing."""
    begin = max(0, found.start() - LOOK_BACK)
    if found[0][0] not in "{}\"'":
        return begin
    return found.start() if found[0][0] == "}" else _behind_last(",:", text, begin, found.start())


def _said(text: str, start: int, begin: int, following: int, grammar: Grammar) -> Statement | None:
    """What a phrase or a mark states, up to its sentence's end; None where it states no value or is only supposed."""
    limit = min(following, begin + MAX_CONTENT_CHARACTERS)
    stop = SENTENCE_END.search(text, begin, limit)
    end = stop.start() if stop else limit
    leads_on = stop is None and limit == following < len(text)
    before = text[max(0, start - LOOK_BACK) : start].lower()
    if (stop and stop[0] in "?？") or REFUSED.search(before) or _is_others(before) or _is_supposed(text, start):
        return None
    if (instead := NOT_BUT.match(text, begin, end)) and not COLON.search(text, start, begin):
        begin = instead.end()
    clause = grammar.clause.search(text, begin, end)
    end = clause.start() if clause else end
    content = text[begin:end]
    content = content if content.isascii() else PICTURES.sub("", content)
    if leads_on and not clause:
        content = TRAILING.sub("", OPENED.sub("", content)).strip()
        return Statement(content, start, end, firm=False) if grammar.may_be_value(content) else None
    behind = DENIED_BEHIND.search(content.strip())
    content = ENDING.sub("", content.strip())
    denial = None if COLON.search(text, start, begin) else grammar.denied.match(content)
    if behind or denial:
        return Statement((DENIED_BEHIND if behind else grammar.denied).sub("", content, count=1).strip(), start, end, denied=True)
    newline = text.find("\n", begin, limit)
    if DRESS_ALONE.match(content):
        return None
    return Statement(content, start, end, line=text[begin : newline if newline >= 0 else limit]) if grammar.may_be_value(content) else None


def _is_others(before: str) -> bool:
    """Whether what is announced behind this is somebody's: "my friend's answer"."""
    return any(sign in before for sign in OWNERS) and POSSESSIVE.search(before) is not None


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def _one_breath(gap: str) -> bool:
    """Whether two statements with this text between them are made together."""
    if CORRECTION.search(gap):
        return False
    if OTHERWISE.search(gap):
        return True
    return LINK.fullmatch(gap) is not None or SENTENCE_END.search(gap) is None
