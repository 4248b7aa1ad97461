"""From scores and params to the serve check: what is asked, how the folder is served, and the tools that compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.chat import prompt_ids
from data.errors import StageError
from data.records import Problem, Score, Split, Status
from data.verifiers.judge import TextCase, judge_texts
from pipeline.support.params import Handoff, Verify
from pipeline.support.paths import workspace
from teachers.chat_client import Endpoint, Reply, ask_all
from teachers.decoding import Decoder
from teachers.engine import EngineSpec, ModelRef, Question
from teachers.identity import resolve_dtype
from teachers.proof import Written, reference_logprobs
from teachers.serve_check import Bounds, Expected, ServeReport, Tools, check_serving
from teachers.serving import Server, ServeSettings, machine_arguments

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def serve_settings(settings: Handoff, spec: EngineSpec) -> ServeSettings:
    """Serve a folder as the evaluation engine `spec` computed: the same number format, lengths and engine arguments."""
    return ServeSettings(
        settings.registered_name,
        settings.port,
        resolve_dtype(spec),
        spec.max_model_length,
        dict(spec.worker.arguments),
        machine_arguments(spec.worker),
        settings.start_seconds,
    )


def expected_answers(
    scores: Sequence[Score], problems: Mapping[str, Problem], tokenizer: PreTrainedTokenizerBase, *, count: int, instruction: str | None
) -> list[Expected]:
    """The first `count` greedy answers of one student that ended by themselves, validation before test.

    How many do not end is measured by the evaluation, on all problems; here it is asked whether serving repeats it.
    Raises StageError where there are fewer than `count` such answers.
    """
    greedy = [score for score in scores if score.mode == "greedy" and score.split in (Split.VALIDATION, Split.TEST)]
    ended = sorted((s for s in greedy if s.status is Status.OK), key=lambda s: (s.split is Split.TEST, s.problem_id))
    if len(ended) < count:
        raise StageError(
            f"only {len(ended)} of {len(greedy)} greedy answers end by themselves, {count} are needed (handoff.problems); "
            "a student that does not stop is not handed off: look at its lessons and at evaluate.sampling.max_tokens"
        )
    return [_expected(score, problems[score.problem_id].question, tokenizer, instruction) for score in ended[:count]]


def _expected(score: Score, question: str, tokenizer: PreTrainedTokenizerBase, instruction: str | None) -> Expected:
    return Expected(
        score.problem_id,
        Question(question, instruction),
        tuple(prompt_ids(tokenizer, question, instruction)),
        score.text,
        score.thinking_tokens + score.answer_tokens,
        score.extracted,
    )


def serve_and_check(folder: Path, settings: ServeSettings, expected: Sequence[Expected], bounds: Bounds, tools: Tools) -> ServeReport:
    """Start `vllm serve` on the folder, ask, stop it, compare. Raises EngineError or StageError."""
    most = max(answer.tokens for answer in expected)
    with Server(folder, settings, log=workspace() / "serve.log") as server:
        replies = ask_all(Endpoint(server.address, settings.name), [answer.question for answer in expected], max_tokens=most)
    return check_serving(expected, replies, bounds, tools)


def tools_for(folder: Path, problems: Sequence[Problem], verify: Verify) -> Tools:
    """How served tokens become text, answers and log-probabilities; `problems` are those that are asked, in their order."""

    def extract(texts: Sequence[str]) -> list[str | None]:
        cases = [TextCase(str(i), p.reference, text, Status.OK) for i, (p, text) in enumerate(zip(problems, texts, strict=True))]
        found = {v.trace_id: v.extracted for v in judge_texts(cases, **verify.pool)}
        return [found[case.key] for case in cases]

    def logprobs(replies: Sequence[Reply]) -> list[tuple[float, ...]]:
        return reference_logprobs(ModelRef(folder), [Written(reply.prompt_ids, reply.token_ids, reply.logprobs) for reply in replies])

    return Tools(Decoder(folder).text, extract, logprobs)
