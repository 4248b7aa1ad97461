from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from data.chat import Format
from data.errors import ParamsError, StageError
from data.imports import FORMAT
from data.records import NumberReference, Problem, Split, Status, Trace
from data.tasks.lab_tokenizer import train_tokenizer
from teachers.engine import Completion, EngineSpec, ModelRef, SamplingSettings
from teachers.sampling import Failures, Recipe, TraceOf, requests_of, usable

PROBLEMS = [
    Problem.create(task="t", split=Split.TRAIN, question=f"How much is {n % 2} + {n // 2}?", reference=NumberReference(value=str(n)))
    for n in range(5)
]
RECIPE = Recipe(SamplingSettings(1.0, 1.0, 20), draws=3)
tokenizer = cache(lambda: train_tokenizer(documents=40))


@cache
def wanted(recipe: Recipe = RECIPE) -> Any:
    return requests_of(PROBLEMS, tokenizer(), recipe, max_model_length=200)


def completions(texts: list[str], statuses: list[Status]) -> list[Completion]:
    return [
        Completion(
            request,
            statuses[i % len(statuses)],
            "stop",
            texts[i % len(texts)],
            (1, 2, 3),
            "" if statuses[i % len(statuses)].final else "boom",
        )
        for i, request in enumerate(wanted())
    ]


ENDED = completions(
    ["<think>a</think>1", "<think>open", "no tags", "<think>b</think>2"],
    [Status.OK, Status.OK, Status.TRUNCATED, Status.ERROR, Status.TIMEOUT],
)


def traces_of(ended: list[Completion], recipe: Recipe = RECIPE) -> tuple[list[Trace], Counter[str]]:
    dropped: Counter[str] = Counter()
    written = TraceOf(recipe, "s", "t")
    return [trace for c in ended for trace in written.all(wanted()[c.request][0], [c], dropped)], dropped


def test_each_draw_that_ended_well_is_a_trace_or_a_counted_reason() -> None:
    failures = Failures(expected=15, max_errors=1)
    traces, dropped = traces_of(list(usable(ENDED, failures)))
    assert failures.counts == {"error": 3, "timeout": 3}
    assert set(dropped) == {FORMAT}
    assert len(traces) + dropped[FORMAT] + failures.counts.total() == len(ENDED)
    assert all(trace.completion_tokens == 3 and trace.prompt_tokens > 3 for trace in traces)


def test_a_truncated_draw_is_kept_for_the_verifier_and_a_finished_one_without_the_format_is_not() -> None:
    cut, finished = completions(["<think>open"], [Status.TRUNCATED])[:1], completions(["<think>open"], [Status.OK])[1:2]
    traces, dropped = traces_of([*cut, *finished])
    assert [(trace.status, trace.text) for trace in traces] == [(Status.TRUNCATED, "<think>open")]
    assert dropped == {FORMAT: 1}


def test_sections_are_mapped_to_the_think_format() -> None:
    recipe = Recipe(RECIPE.sampling, 3, None, Format.SECTIONS)
    told = completions(["Working:\n1 + 1 = 2\n\nShort solution:\nThe answer is \\boxed{2}.", "<think>a</think>b"], [Status.OK])[:2]
    traces, dropped = traces_of(told, recipe)
    assert [trace.text for trace in traces] == ["<think>1 + 1 = 2</think>The answer is \\boxed{2}."]
    assert dropped == {FORMAT: 1}


def test_problems_with_equal_prompts_share_their_draws() -> None:
    twins = [Problem.create(task=task, split=Split.TRAIN, question="q", reference=NumberReference(value="1")) for task in ("a", "b")]
    shared = requests_of(twins, tokenizer(), RECIPE, max_model_length=200)
    assert [list(owners) for owners in shared.values()] == [twins] * 3


def test_too_many_failures_end_the_stage_and_the_first_ten_are_shown() -> None:
    failing = completions(["x"], [Status.ERROR])
    seen = []

    def arriving() -> Any:
        for completion in failing:
            seen.append(completion)
            yield completion

    with pytest.raises(StageError, match=r"10 completions .* of 15 at most 1\.0%") as error:
        list(usable(arriving(), Failures(expected=15, max_errors=0.01)))
    assert str(error.value).count("boom") == 10
    assert len(seen) == 10


def test_a_share_of_failures_within_the_bound_is_counted_only() -> None:
    failures = Failures(expected=15, max_errors=1 / 15)
    mostly_well = [*completions(["x"], [Status.OK])[1:], *completions(["x"], [Status.ERROR])[:1]]
    assert len(list(usable(mostly_well, failures))) == 14
    assert failures.counts == {"error": 1}
    with pytest.raises(StageError):
        list(usable(mostly_well, Failures(expected=15, max_errors=1 / 16)))


def test_a_prompt_that_leaves_no_room_is_named() -> None:
    with pytest.raises(ParamsError, match=f"problem {PROBLEMS[0].id}: its prompt has"):
        requests_of(PROBLEMS, tokenizer(), RECIPE, max_model_length=25)


def test_the_settings_id_depends_on_what_shapes_the_text_and_not_on_paths() -> None:
    spec = EngineSpec("vllm", ModelRef(Path("a")), batch=8)
    assert RECIPE.settings_id(spec) == RECIPE.settings_id(EngineSpec("vllm", ModelRef(Path("b")), batch=9, max_model_length=99))
    others = [
        Recipe(SamplingSettings(0.9, 1.0, 20), 3),
        Recipe(RECIPE.sampling, 3, "Think."),
        Recipe(RECIPE.sampling, 3, None, Format.SECTIONS),
    ]
    assert len({RECIPE.settings_id(spec), *(recipe.settings_id(spec) for recipe in others)}) == 4
