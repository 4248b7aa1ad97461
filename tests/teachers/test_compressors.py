from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.chat import completion_ids, split, text_ids, tokenizer_hash
from data.errors import ParamsError, RecordError
from data.records import NumberReference, Problem, Split, Status, Trace
from data.statement import final_statement
from data.tasks.lab_tokenizer import train_tokenizer
from teachers.compressors.contract import Compressor, Desk, Skipped
from teachers.compressors.registry import COMPRESSORS, build
from teachers.shortening import Order, Shortened, Shortener, in_order

PROBLEM = Problem.create(task="t", split=Split.TRAIN, question="How much?", reference=NumberReference(value="5"))
STATEMENT = "The answer is \\boxed{5}."
SOLUTION = f"Ana = 3. 3 + 2 = 5. {STATEMENT}"
tokenizer = cache(lambda: train_tokenizer(documents=40))


@cache
def compressor(kind: str) -> Compressor:
    return build(kind, Desk("me", "settings", tokenizer()))


def trace(text: str, draw: int = 0) -> Trace:
    return Trace.create(
        problem_id=PROBLEM.id,
        parent_ids=(),
        writer="teacher",
        settings_id="s",
        draw=draw,
        text=text,
        status=Status.OK,
        prompt_tokens=7,
        completion_tokens=len(completion_ids(tokenizer(), text)),
        tokenizer=tokenizer_hash(tokenizer()),
    )


def texts(thinking: str, *answers: str) -> list[Trace]:
    return [trace(f"<think>{thinking}</think>{answer}", draw) for draw, answer in enumerate(answers)]


def compress(kind: str, traces: Sequence[Trace], budget: int | None = None) -> Trace | str:
    try:
        (short,) = compressor(kind).compress(PROBLEM, traces, budget)
    except Skipped as skipped:
        return str(skipped)
    return short


PIECES = st.sampled_from(
    ["Now Ben has 12.", "Check: 3 + 2 = 5.", "wait", "é", "3.5", "\n", "<think>", "</think>", "\\boxed{4}", "x" * 9, "日本"]
)
THINKING = st.lists(PIECES.filter(lambda piece: "think" not in piece), max_size=8).map(" ".join)
BODY = st.lists(PIECES, max_size=5).map(" ".join)
TEXT = st.one_of(
    st.builds(lambda thinking, body: f"<think>{thinking}</think>{body} {STATEMENT}", THINKING, BODY),
    st.builds(lambda thinking, body: f"<think>{thinking}</think>{body}", THINKING, BODY),
    BODY,
)
TRACES = st.lists(TEXT, min_size=1, max_size=4).map(lambda found: [trace(text, draw) for draw, text in enumerate(found)])
BUDGET = st.one_of(st.none(), st.integers(0, 30))


@pytest.mark.parametrize("kind", COMPRESSORS)
@settings(max_examples=30, deadline=None)
@given(traces=TRACES, budget=BUDGET)
def test_what_every_compressor_keeps(kind: str, traces: list[Trace], budget: int | None) -> None:
    short = compress(kind, traces, budget)
    assert short == compress(kind, traces, budget)
    if isinstance(short, str):
        assert short
        return
    parents = [parent for parent in traces if parent.id in short.parent_ids]
    assert len(parents) == len(short.parent_ids) >= 1
    tokens = [len(text_ids(tokenizer(), parent.text)) for parent in parents]
    assert len(text_ids(tokenizer(), short.text)) <= max(tokens)
    assert short.text.startswith("<think>")
    assert short.text.count("<think>") == short.text.count("</think>") == 1
    parts = split(short.text)
    assert parts.answer == final_statement(split(parents[0].text).answer)
    assert budget is None or len(text_ids(tokenizer(), parts.thinking)) <= budget
    assert short.completion_tokens == len(completion_ids(tokenizer(), short.text))


@pytest.mark.parametrize("kind", COMPRESSORS)
@settings(max_examples=30, deadline=None)
@given(traces=TRACES, budget=BUDGET)
def test_a_second_time_changes_nothing(kind: str, traces: list[Trace], budget: int | None) -> None:
    once = compress(kind, traces, budget)
    if isinstance(once, Trace):
        twice = compress(kind, [once], budget)
        assert (
            twice == "no text between the thinking and the final statement"
            if kind == "post_think"
            else getattr(twice, "text", "") == once.text
        )


def test_shortest_takes_the_fewest_tokens_that_are_taught_and_the_earlier_of_equals() -> None:
    long_thinking, short_thinking = trace(f"<think>a b c d e f</think>{STATEMENT}", 0), trace(f"<think>a b</think>{SOLUTION * 9}", 1)
    twin = trace(f"<think>a b</think>{STATEMENT}", 2)
    short = compress("shortest", [long_thinking, short_thinking, twin])
    assert isinstance(short, Trace)
    assert short.parent_ids == (short_thinking.id,)
    assert short.text == f"<think>a b</think>{STATEMENT}"


def test_shortest_passes_over_draws_that_cannot_be_taught() -> None:
    short = compress("shortest", [trace("<think>a</think>five"), trace(f"<think>a b</think>{STATEMENT}", 1)])
    assert isinstance(short, Trace)
    assert short.draw == 1


@pytest.mark.parametrize(
    ("answer", "thinking"),
    [(SOLUTION, "Ana = 3. 3 + 2 = 5."), (STATEMENT, None), ("", None), (f"One step.\n{STATEMENT}", "One step."), ("3 + 2 = 5", None)],
)
def test_post_think_takes_the_solution_of_the_first_draw(answer: str, thinking: str | None) -> None:
    traces = texts("We want Ana. She has 3, and 2 come, so 3 + 2 = 5. Check: 5 - 2 = 3.", answer, SOLUTION)
    short = compress("post_think", traces)
    if thinking is None:
        assert isinstance(short, str)
    else:
        assert isinstance(short, Trace)
        assert (short.text, short.parent_ids) == (f"<think>{thinking}</think>{STATEMENT}", (traces[0].id,))


@pytest.mark.parametrize(("thinking", "budget", "kept"), [("1 2 3 4 5", 3, "1 2 3"), ("1 2 3", 9, "1 2 3"), ("1 2 3", 0, ""), ("", 4, "")])
def test_truncated_keeps_as_many_tokens_as_asked(thinking: str, budget: int, kept: str) -> None:
    short = compress("truncated", texts(thinking, SOLUTION), budget)
    assert isinstance(short, Trace)
    assert short.text == f"<think>{kept}</think>{STATEMENT}"


def run(orders: list[Order], right: Sequence[Trace]) -> Shortened:
    into = Shortened()
    Shortener(orders, tokenizer()).shorten(PROBLEM, right, into=into)
    return into


ORDERS = [Order("cut", "truncated", "brief"), Order("brief", "post_think"), Order("short", "shortest")]


def test_truncated_matches_the_length_of_its_like() -> None:
    made = {t.writer: t for t in run(ORDERS, texts("1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9", SOLUTION)).table()}
    lengths = {writer: len(text_ids(tokenizer(), split(t.text).thinking)) for writer, t in made.items()}
    assert lengths["cut"] == lengths["brief"] < lengths["short"]
    assert len({t.settings_id for t in made.values()}) == 3


def test_reasons_are_counted_by_compressor() -> None:
    result = run(ORDERS, texts("1 2 3", STATEMENT))
    assert result.dropped == {"brief: no text between the thinking and the final statement": 1, "cut: no trace of brief to match": 1}
    assert [t.writer for t in result.table()] == ["short"]


@pytest.mark.parametrize("orders", [[Order("a", "truncated", "a")], [Order("a", "truncated", "b"), Order("b", "truncated", "a")]])
def test_a_circle_of_likes_is_refused(orders: list[Order]) -> None:
    with pytest.raises(ParamsError, match=r"shorten\.a\.like"):
        in_order(orders)


def test_an_unknown_kind_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(ParamsError, match="post_think"):
        run([Order("a", "magic")], [])


def test_counts_of_another_tokenizer_are_refused() -> None:
    foreign: Any = trace(f"<think>a</think>{STATEMENT}").model_copy(update={"tokenizer": "other"})
    with pytest.raises(RecordError, match="field tokenizer: found 'other'"):
        run(ORDERS, [foreign])
