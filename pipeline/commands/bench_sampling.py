"""What of the raw engine's speed sampling keeps, and what stopping early saves: `make bench-sampling`.

The first table draws the same prompts with the same settings through `vllm.LLM.generate`, through the engine `vllm` with the completion
store and a rule that judges every draw, and through `hf`, in interleaved repeats. The second draws fresh problems of the lab, all draws of
each and by ESC, with a store of its own for each way.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from data.errors import ShortcotError
from data.metrics.answers import credit
from data.metrics.bootstrap import Estimate, estimate, ratios, resampled_ratios
from data.metrics.control import predict
from data.records import Drawn, Split
from data.sources import lab
from data.stop_settings import Enough, Esc, StopRule
from data.stopping import stop
from data.verifiers.judge import Judge
from pipeline.support.engines import instruction_of, tokenizer_of
from pipeline.support.params import ModelSource
from pipeline.support.pools import Stored, stored_votes
from pipeline.support.report_text import percent, points
from pipeline.support.text_table import render
from teachers.drawing import Drawing, drawn_by
from teachers.engine import EngineSpec, ModelRef, SamplingSettings
from teachers.generate import Generator
from teachers.sampling import Asked, Failures, Recipe, asked_of
from teachers.vllm_start import ENVIRONMENT, engine_arguments

RESAMPLES = 2000
WARM = 10**6
"""Seed of the problems that an engine is warmed up with."""


@dataclass(frozen=True)
class Bench:
    """What is drawn, from which model."""

    model: Path
    instruction: str | None
    problems: int
    draws: int
    window: int
    repeats: int
    max_tokens: int
    max_model_length: int
    batch: int

    def recipe(self, draws: int | None = None) -> Recipe:
        """How, with so many draws (None: all)."""
        return Recipe(SamplingSettings(1.0, 1.0, self.max_tokens), draws or self.draws, instruction_of(self.instruction))

    def spec(self, kind: str) -> EngineSpec:
        """With which engine."""
        return EngineSpec(kind, ModelRef(self.model), batch=self.batch, max_model_length=self.max_model_length)

    def asked(self, *, seed: int, problems: int | None = None) -> list[Asked]:
        """Fresh problems of the lab's generator, other ones for every seed."""
        made = lab.load("bench", {Split.FRESH: problems or self.problems}, seed=seed, max_steps=4)
        tokenizer = tokenizer_of(ModelSource(path=str(self.model)))
        return list(asked_of(made, tokenizer, self.recipe(), max_model_length=self.max_model_length))


class Timed(NamedTuple):
    """One run."""

    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        """Generated tokens per second."""
        return self.tokens / self.seconds


@contextmanager
def generator_of(bench: Bench, kind: str) -> Iterator[Generator]:
    """A started engine over an empty store."""
    with tempfile.TemporaryDirectory() as folder, Generator(bench.spec(kind), Path(folder), shard="bench") as generator:
        drawn(generator, bench, bench.asked(seed=WARM, problems=8), rule=None, draws=1)
        yield generator


def drawn(
    generator: Generator, bench: Bench, prompts: Sequence[Asked], *, rule: StopRule | None, draws: int | None = None
) -> tuple[list[Drawn], Timed]:
    """Draw as the stage `sample` does."""
    before, started = generator.made_tokens, time.monotonic()
    recipe = bench.recipe(draws)
    with Judge(workers=1, timeout_seconds=5) as judge:
        failures = Failures(expected=len(prompts) * recipe.draws, max_errors=0)
        rows = list(drawn_by(generator, Drawing(prompts, recipe, judge, stop=rule), failures))
    return rows, Timed(generator.made_tokens - before, time.monotonic() - started)


class Raw:
    """vLLM's own batch interface, with the arguments of the engine."""

    def __init__(self, bench: Bench) -> None:
        os.environ.update({name: value for name, value in ENVIRONMENT.items() if name not in os.environ})  # before vLLM is imported
        from vllm import LLM

        self._bench = bench
        self._llm: Any = LLM(**engine_arguments(bench.spec("vllm"), bench.model))

    def draw(self, prompts: Sequence[Asked]) -> Timed:
        """Everything at once."""
        from vllm import SamplingParams

        recipe = self._bench.recipe()
        requests = [own.request(recipe.sampling, draw) for own in prompts for draw in range(recipe.draws)]
        started = time.monotonic()
        settings = [SamplingParams(temperature=1.0, max_tokens=recipe.sampling.max_tokens, seed=r.seed, detokenize=False) for r in requests]
        made = self._llm.generate([{"prompt_token_ids": list(r.prompt_ids)} for r in requests], settings, use_tqdm=False)
        return Timed(sum(len(output.outputs[0].token_ids) for output in made), time.monotonic() - started)


def speed(bench: Bench) -> str:
    """The first table; the first repeat of each way only warms up, and `hf` draws an eighth of the problems once."""
    judged = Enough(right=bench.draws)  # takes all draws of every problem, and judges each
    raw, runs = Raw(bench), defaultdict[str, list[Timed]](list)
    with generator_of(bench, "vllm") as generator, generator_of(bench, "hf") as slow:
        for repeat in range(bench.repeats + 1):
            prompts = bench.asked(seed=repeat)
            ways = {
                "vllm.LLM.generate": lambda prompts=prompts: raw.draw(prompts),
                "engine vllm": lambda prompts=prompts: drawn(generator, bench, prompts, rule=judged)[1],
                "engine hf": lambda prompts=prompts: drawn(slow, bench, prompts[: -(-len(prompts) // 8)], rule=None, draws=1)[1],
            }
            for name in list(ways)[:: 1 if repeat % 2 else -1]:
                runs[name].append(ways[name]())
    rows = []
    for name in ways:
        own, against = runs[name][1:], runs["vllm.LLM.generate"][1:]
        shares = [mine.rate / theirs.rate for mine, theirs in zip(own, against, strict=True)]
        spread = f" ± {stdev(shares):.3f}" if len(shares) > 1 else ""
        rows.append([name, str(sum(t.tokens for t in own)), f"{fmean(t.rate for t in own):.0f}", f"{fmean(shares):.3f}{spread}"])
    return render(("how", "tokens", "tokens/s", f"÷ raw, mean ± sd of {bench.repeats}"), rows)


def savings(bench: Bench) -> str:
    """The second table, with the votes of both ways and what the control scheme predicts from the first window."""
    prompts, esc = bench.asked(seed=WARM + 2), Esc(window=bench.window)
    rules: dict[str, StopRule | None] = {"all draws": None, f"ESC, window {bench.window}": esc}
    rows, ends = [], {}
    for name, rule in rules.items():
        with generator_of(bench, "vllm") as generator:
            made, timed = drawn(generator, bench, prompts, rule=rule)
            draws = {row.problem_id: row.draws for row in made}
            stored = [Stored(own, draws[own.problem.id]) for own in prompts]
            votes = stored_votes(generator, stored, bench.recipe(), workers=1, timeout_seconds=5)
        ends[name] = [(stop(rule, own), own) for own in votes]
        rows.append([name, f"{fmean(row.draws for row in made):.2f}", str(timed.tokens), f"{timed.seconds:.1f}"])
        if rule is None:
            expected = predict([[vote.answer for vote in own[: bench.window]] for own in votes], window=bench.window, most=bench.draws)
    accuracies = _compared(*([credit(ended.leaders, own) for ended, own in of_rule] for of_rule in ends.values()))
    rows = [[*row, *numbers] for row, numbers in zip(rows, accuracies, strict=True)]
    table = render(("rule", "draws / problem", "tokens", "seconds", "vote right", "- all draws (points)"), rows)
    return f"{table}\nPredicted from the first windows: {expected.draws:.2f} draws, at most {expected.changed:.2%} of the answers changed."


def _compared(first: Sequence[float], second: Sequence[float]) -> list[list[str]]:
    """Accuracy of both, and the difference of the second to the first, paired by problem."""
    import numpy as np

    columns_1PM = np.array([first, second, np.subtract(second, first)]).T[None]
    ones = np.ones_like(columns_1PM)
    point, resampled = ratios(columns_1PM, ones)[0], resampled_ratios(columns_1PM, ones, resamples=RESAMPLES, seed=0)[:, 0]
    found: list[Estimate] = [estimate(float(point[column]), resampled[:, column]) for column in range(3)]
    return [[percent(found[0]), ""], [percent(found[1]), points(found[2])]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("teachers/lab"))
    parser.add_argument("--instruction", help="file with the system message")
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--window", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=320)
    parser.add_argument("--max-model-length", type=int, default=512)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--only", choices=("speed", "savings"))
    chosen = vars(parser.parse_args())
    only = chosen.pop("only")
    try:
        for name, table in (("speed", speed), ("savings", savings)):
            if only in (None, name):
                print(table(Bench(**chosen)), flush=True)
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
