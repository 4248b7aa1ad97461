"""Measure the lab's models and write their cards: `python -m pipeline.commands.lab_cards`.

Both answer problems of the split `fresh` eight times at temperature 1, through the engine that `params.yaml` evaluates with.
"""

from __future__ import annotations

import json
from dataclasses import replace
from math import prod
from pathlib import Path

from data.records import Problem, Split, Verdict
from data.sources.lab import load as lab_problems
from data.verifiers.judge import TextCase, judge_texts
from pipeline.support import paths
from pipeline.support.engines import engine_spec
from pipeline.support.local_models import LAB
from pipeline.support.params import ModelSource, load
from pipeline.support.stage import progress
from teachers.engine import EngineSpec, ModelRef, SamplingSettings
from teachers.evaluation import tokenizer_of
from teachers.generate import Generator
from teachers.lab_card import Attempt, Built, Measured, card, measure
from teachers.sampling import Recipe, requests_of

PROBLEMS, DRAWS, SEED = 300, 8, 1
SAMPLING = SamplingSettings(temperature=1.0, top_p=1.0, max_tokens=320)


def lab_cards() -> None:
    """Measure both models and write README.md into their folders."""
    from students.lab import RECIPES

    problems = lab_problems("lab", {Split.FRESH: PROBLEMS}, seed=SEED)
    for name, folder in LAB.items():
        spec = engine_spec(load().evaluate.engine, ModelSource(path=str(folder)))
        measured = _measured(spec, problems)
        recipe = RECIPES[name]
        text = card(name, measured, Built(_parameters(folder), recipe.layers, recipe.width, recipe.tokens))
        (folder / "README.md").write_text(text, encoding="utf-8")
        print(text)


def _measured(spec: EngineSpec, problems: list[Problem]) -> Measured:
    model = ModelRef(spec.model.folder)
    tokenizer = tokenizer_of(model)
    asked = requests_of(problems, tokenizer, Recipe(SAMPLING, DRAWS, None), max_model_length=spec.max_model_length)
    cases: dict[str, TextCase] = {}
    with Generator(replace(spec, model=model), paths.completions(), shard="cards") as generator:
        for done in progress(generator.complete(asked), label=str(spec.model.folder), total=len(asked), unit="draw"):
            for problem in asked[done.request]:
                key = f"{problem.id}/{done.request.draw}"
                cases[key] = TextCase(key, problem.reference, done.text, done.status)
    verdicts = judge_texts(cases.values(), workers=2, timeout_seconds=5)
    return measure((_attempt(cases[verdict.trace_id], verdict) for verdict in verdicts), tokenizer)


def _attempt(case: TextCase, verdict: Verdict) -> Attempt:
    return Attempt(case.key.split("/")[0], case.reference, case.text, case.status, verdict.outcome)


def _parameters(folder: Path) -> int:
    """Parameters in the weights file, from its header."""
    with (folder / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


if __name__ == "__main__":
    lab_cards()
