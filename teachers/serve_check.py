"""Does a served folder answer as it was measured? Every served answer is held against the evaluated one of the same problem.

In float32 the tokens must be those that the evaluation engine chose. In other number formats two sound engines may differ where two
tokens are nearly as likely, so there the extracted answers must agree and the log-probabilities lie near those of transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import NamedTuple

from data.chat import CLOSE, OPEN, Parts, split
from data.errors import StageError
from teachers.chat_client import Reply
from teachers.engine import Question

Extract = Callable[[Sequence[str]], list[str | None]]
"""The answers that a verifier reads out of whole texts (thinking and answer), in their order."""
Decode = Callable[[Sequence[int]], str]
"""Generated tokens → text with think tags and without the end token (teachers.decoding.Decoder.text)."""
MIN_EQUAL_SHARE = 0.95


class Expected(NamedTuple):
    """One evaluated greedy answer that ended by itself: what serving must repeat."""

    problem_id: str
    question: Question
    prompt_ids: tuple[int, ...]
    text: str
    tokens: int
    """Generated tokens, the end token included."""
    extracted: str | None


class Bounds(NamedTuple):
    """What is allowed. `logprob_difference`: mean over an answer's tokens, in nats."""

    exact: bool
    """Tokens must be equal (float32)."""
    logprob_difference: float


class ServeReport(NamedTuple):
    """What the check found."""

    problems: int
    equal_texts: int
    equal_answers: int
    largest_logprob_difference: float


class Tools(NamedTuple):
    """How tokens become text, texts answers, and tokens (prompt, then generated) the log-probabilities of the generated ones."""

    decode: Decode
    extract: Extract
    logprobs: Callable[[Sequence[Reply]], Sequence[Sequence[float]]]


def check_serving(expected: Sequence[Expected], replies: Sequence[Reply], bounds: Bounds, tools: Tools) -> ServeReport:
    """Compare, and raise StageError that says what differed at which problem."""
    pairs = list(zip(expected, replies, strict=True))
    texts = [tools.decode(reply.token_ids) for reply in replies]
    _refuse([fault for (wanted, reply), text in zip(pairs, texts, strict=True) if (fault := _fault(wanted, reply, text))])
    differing = [_shown(wanted, text) for (wanted, reply), text in zip(pairs, texts, strict=True) if not _same(wanted, reply, text)]
    if bounds.exact:
        _refuse(differing)
    answers = tools.extract(texts)
    wrong = [
        f"problem {wanted.problem_id}: answer {found!r} served, {wanted.extracted!r} evaluated"
        for wanted, found in zip(expected, answers, strict=True)
        if found != wanted.extracted
    ]
    if len(wrong) > (1 - MIN_EQUAL_SHARE) * len(pairs) + 1e-9:
        _refuse(wrong)
    largest = max(_logprob_differences(replies, tools))
    if not largest <= bounds.logprob_difference:
        _refuse([f"log-probabilities differ from transformers' by {largest:.4g} nats per token, {bounds.logprob_difference:g} is allowed"])
    return ServeReport(len(pairs), len(pairs) - len(differing), len(pairs) - len(wrong), largest)


def _fault(wanted: Expected, reply: Reply, text: str) -> str | None:
    """What no number format excuses: an unfinished answer, another prompt, or parts that are not those of the text."""
    place = f"problem {wanted.problem_id}"
    if reply.finish_reason != "stop":
        return f"{place}: did not finish (finish_reason {reply.finish_reason!r} after {len(reply.token_ids)} tokens)"
    if reply.prompt_ids != wanted.prompt_ids:
        at = next((i for i, (a, b) in enumerate(zip(reply.prompt_ids, wanted.prompt_ids, strict=False)) if a != b), None)
        lengths = f"{len(reply.prompt_ids)} prompt tokens served, {len(wanted.prompt_ids)} evaluated"
        return f"{place}: the prompt is another one: {lengths}, first difference at {at}; look at chat_template.jinja"
    if (served := _served_parts(reply)) != (parts := _parser_parts(text)):
        return f"{place}: the server splits the text into {served!r}, the chat format into {parts!r}; look at the reasoning parser"
    return None


def _served_parts(reply: Reply) -> tuple[str, str]:
    return _told(reply.reasoning or ""), _told(reply.content or "")


def _parser_parts(text: str) -> tuple[str, str]:
    """The parts as the reasoning parser sees them: text without any tag is all thinking to it."""
    parts: Parts = split(text)
    if not parts.thinking and OPEN not in text and CLOSE not in text:
        return _told(parts.answer), ""
    return _told(parts.thinking), _told(parts.answer)


def _told(part: str) -> str:
    """Without tags and with single spaces: a model may close its thinking twice, and a server leaves out tags that are special tokens."""
    return " ".join(part.replace(OPEN, " ").replace(CLOSE, " ").split())


def _same(wanted: Expected, reply: Reply, text: str) -> bool:
    return text == wanted.text and len(reply.token_ids) == wanted.tokens


def _shown(wanted: Expected, text: str) -> str:
    """Where two texts part."""
    at = next((i for i, (a, b) in enumerate(zip(text, wanted.text, strict=False)) if a != b), min(len(text), len(wanted.text)))
    return f"problem {wanted.problem_id}: from character {at} on {text[at : at + 40]!r} served, {wanted.text[at : at + 40]!r} evaluated"


def _logprob_differences(replies: Sequence[Reply], tools: Tools) -> list[float]:
    """Per answer the mean absolute difference over its tokens, in nats."""
    found = []
    for reply, reference in zip(replies, tools.logprobs(replies), strict=True):
        found.append(fmean(abs(served - own) for served, own in zip(reply.logprobs, reference, strict=True)))
    return found


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        shown = "\n  ".join(faults[:5])
        raise StageError(f"the served model is not the evaluated one: {len(faults)} fault(s):\n  {shown}")
