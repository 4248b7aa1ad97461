"""What the rankers of a run say of the answers that were drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from data.chat import prompt_ids
from data.hub import local_folder
from pipeline.support.engines import instruction_of, tokenizer_of
from pipeline.support.params import Params
from pipeline.support.stage import progress
from pipeline.support.student_settings import BASE
from teachers.engine import ModelRef
from teachers.evaluation import Answer, model_at

ModelOf = Callable[[str, int], Path]
"""Where the trained weights of a student and seed lie."""
DIGITS = 6
CHUNK = 1024


def ranks(params: Params, answers: Sequence[Answer], model_of: ModelOf) -> Mapping[str, Mapping[str, float]]:
    """`Answer.key` of every draw among `answers` → ranker → its logit. A student's draws are ranked with the same seed, the base's with
    the first.
    """
    found: dict[str, dict[str, float]] = defaultdict(dict)
    if not params.evaluate.rankers:
        return found
    by_seed: dict[int, list[Answer]] = defaultdict(list)
    for answer in sorted(answers, key=lambda answer: answer.key):  # what shares a batch must not depend on the order of arrival
        if answer.mode == "draw":
            by_seed[params.seeds[0] if answer.subject.student == BASE else answer.subject.seed].append(answer)
    for ranker in params.evaluate.rankers:
        for seed, own in sorted(by_seed.items()):
            for answer, logit in zip(own, _logits(params, ranker, seed, own, model_of), strict=True):
                found[answer.key][ranker] = round(logit, DIGITS)
    return found


def _logits(params: Params, ranker: str, seed: int, answers: Sequence[Answer], model_of: ModelOf) -> list[float]:
    """A ranker reads every answer behind the prompt that it was trained with, whatever the student was asked with."""
    from students.ranker import Ranker, Read

    instruction, tokenizer = instruction_of(params.distill.instruction), tokenizer_of(params.distill.base)
    body = _body(params, ranker, seed, model_of)
    loaded = Ranker(model_of(ranker, seed), body.folder, body.adapter)
    reads = [Read(prompt_ids(tokenizer, answer.problem.question, instruction), answer.completion.token_ids) for answer in answers]
    chunks = (reads[begin : begin + CHUNK] for begin in range(0, len(reads), CHUNK))
    label = f"{ranker}, seed {seed}"
    return [logit for chunk in progress(chunks, label=label, total=-(-len(reads) // CHUNK)) for logit in loaded.logits(chunk)]


def _body(params: Params, ranker: str, seed: int, model_of: ModelOf) -> ModelRef:
    """The model below the ranker's head."""
    from students.ranker import settings_in

    base = local_folder(params.distill.base.path, params.distill.base.revision)
    start, own = params.students[ranker].start, model_of(ranker, seed)
    if settings_in(own).body == "trained":
        return model_at(own, base)
    return ModelRef(base) if start == BASE else model_at(model_of(start, seed), base)
