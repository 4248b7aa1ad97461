"""What a run will take: tokens, seconds and disk of every stage, from its settings and from rates.

Where a number depends on what the run finds out (how many draws are right, how short answers get) the bound is taken, so that the
estimate is at most too high: long answers everywhere, no problem dropped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import NamedTuple

from data.hub import weights_bytes
from data.pairs import pairs_per_problem
from pipeline.support.history import Run
from pipeline.support.params import Params, training_of
from pipeline.support.student_settings import Student

BYTES_PER_TOKEN = 12
"""Of a completion in the store and in tables: about 7 for a token's id and 4 for its text, as JSON lines."""
COPIES = 2
"""An output of DVC lies in the workspace and in the cache."""
ADAM_COPIES = 3
"""A checkpoint holds the weights and two moments of each."""
FP32_BYTES = 4
MIN_TOKENS = 1000
"""A run that made fewer tokens says nothing about a rate: it was mostly start."""


class Rate(NamedTuple):
    """Tokens per second, and where the number comes from."""

    tokens_per_second: float | None
    origin: str


@dataclass(frozen=True)
class Estimate:
    """What one stage will take; None is unknown."""

    stage: str
    tokens: int
    rate: Rate
    disk_bytes: float | None

    @property
    def seconds(self) -> float | None:
        """Time for the tokens; stages that make none take seconds to minutes and are counted as nothing."""
        if not self.tokens:
            return 0.0
        return None if self.rate.tokens_per_second is None else self.tokens / self.rate.tokens_per_second


def estimates(params: Params, runs: Sequence[Run]) -> list[Estimate]:
    """One estimate per stage that makes tokens or writes models; `runs` are earlier ones on this machine."""
    base = base_bytes(params)
    teacher, student, plan = params.sample.teacher.path, params.distill.base.path, params.plan
    drawn, rechecked, evaluated = sampled_tokens(params), rechecked_tokens(params), evaluated_tokens(params)
    sampling = _rate(params, [run for run in runs if run.stage == "sample" and run.teacher == teacher], plan.sample_tokens_per_second)
    rechecking = _rate(params, [run for run in runs if run.stage == "reverify" and run.teacher == teacher], plan.sample_tokens_per_second)
    training = _rate(params, [run for run in runs if run.stage == "distill" and run.base == student], plan.train_tokens_per_second)
    evaluating = _rate(params, [run for run in runs if run.stage == "evaluate" and run.base == student], plan.evaluate_tokens_per_second)
    models = None if base is None else len(params.students) * len(params.seeds) * _model_bytes(params, base)
    return [
        Estimate("sample", drawn, sampling, drawn * BYTES_PER_TOKEN * COPIES),
        Estimate("reverify", rechecked, rechecking, rechecked * BYTES_PER_TOKEN * COPIES),
        Estimate("distill", trained_tokens(params), training, models),
        Estimate("evaluate", evaluated, evaluating, evaluated * BYTES_PER_TOKEN * COPIES),
        Estimate("handoff", params.handoff.problems * _completion_tokens(params), evaluating, base and base * COPIES),
    ]


def _rate(params: Params, runs: Sequence[Run], of_recipe: float | None) -> Rate:
    """Measured here in the run that made the most tokens, else the recipe's, else unknown."""
    long_enough = [run for run in runs if run.made_tokens >= MIN_TOKENS]
    if long_enough:
        return Rate(max(long_enough, key=lambda run: run.made_tokens).tokens_per_second, "measured here")
    if of_recipe is None:
        return Rate(None, "unknown")
    return Rate(of_recipe, "recipe, measured" if params.plan.measured else "recipe, not yet measured")


def _completion_tokens(params: Params) -> int:
    return ceil(params.plan.mean_completion_tokens or params.sample.sampling.max_tokens)


def _draws(params: Params) -> float:
    """Of a problem."""
    return params.plan.mean_draws or params.sample.draws


def sampled_tokens(params: Params) -> int:
    """Of all draws of all training problems; none where traces are imported."""
    return ceil(params.prepare.train * _draws(params) * _completion_tokens(params)) if params.sample.source == "engine" else 0


def rechecked_tokens(params: Params) -> int:
    """A continuation from every short trace and from empty thinking; at most one short trace per compressor and draw."""
    each = params.prepare.train * params.reverify.draws * params.reverify.sampling.max_tokens
    return ceil(each * (len(params.shorten) * _draws(params) + 1))


def trained_tokens(params: Params) -> int:
    """Prompt and completion of every lesson of every student, seed and epoch; at most, since not every problem has wrong traces."""
    row = _completion_tokens(params) + ceil(params.plan.mean_prompt_tokens or 0)
    epochs = sum(
        training_of(params, name).epochs * _rows_per_problem(student, params.compose.rows_per_problem)
        for name, student in params.students.items()
    )
    return ceil(epochs * params.prepare.train * len(params.seeds) * row)


def _rows_per_problem(student: Student, lessons: int) -> int:
    """Right rows, wrong ones, and both sides of pairs."""
    right = lessons if student.lessons else 0
    wrong = student.negatives.per_problem if student.negatives else 0
    return right + wrong + (2 * pairs_per_problem(student.pairs) if student.pairs else 0)


def evaluated_tokens(params: Params) -> int:
    """A greedy answer to every validation and test problem and the draws, for each student and seed and for the base."""
    subjects = len(params.writers) * len(params.seeds) + 1
    splits = [params.prepare.test] + ([params.prepare.validation] if params.evaluate.rankers else [])
    drawn = sum(min(params.evaluate.draw_problems, problems) for problems in splits) * params.evaluate.draws
    tokens = ceil(params.plan.mean_completion_tokens or params.evaluate.sampling.max_tokens)
    return subjects * (params.prepare.validation + params.prepare.test + drawn) * tokens


def base_bytes(params: Params) -> float | None:
    """Of the student's weights: as they lie here, else what the recipe says."""
    found = weights_bytes(Path(params.distill.base.path))
    return found or (params.plan.base_gigabytes and params.plan.base_gigabytes * 1e9)


def _model_bytes(params: Params, base: float) -> float:
    """One student: its output and its last checkpoint."""
    training = params.distill.training
    written = _adapter_bytes(params, base) if training.adapter == "lora" else base
    return written * (COPIES + ADAM_COPIES)


def _adapter_bytes(params: Params, base: float) -> float:
    """A LoRA of all linear layers from the base's config; a twentieth of the base where that is not here."""
    config = Path(params.distill.base.path) / "config.json"
    if not config.is_file():
        return base / 20
    values = json.loads(config.read_text(encoding="utf-8"))
    hidden, inner = values["hidden_size"], values["intermediate_size"]
    heads = values["num_attention_heads"]
    key = values.get("head_dim", hidden // heads) * values.get("num_key_value_heads", heads)
    sides = 2 * (hidden + hidden) + 2 * (hidden + key) + 3 * (hidden + inner)
    return float(values["num_hidden_layers"] * sides * params.distill.training.lora_rank * FP32_BYTES)
