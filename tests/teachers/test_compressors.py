from __future__ import annotations

import bisect
import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from data.chat import completion_ids, split, text_ids, tokenizer_hash
from data.difficulty import Difficulty
from data.errors import RecordError
from data.lineage import origin
from data.records import NumberReference, Problem, Split, Status, Trace
from data.statement import final_statement
from data.steps import steps
from data.tasks.lab_tokenizer import train_tokenizer
from teachers.compressors.contract import Asking, Desk, Evidence, Skipped
from teachers.compressors.prune_tokens import is_protected, without, words
from teachers.compressors.registry import COMPRESSORS, build
from teachers.compressors.settings import AnyCompression, groups, in_order
from teachers.engine import Completion, Request
from teachers.scores import StepScores, TokenScores
from teachers.shortening import Shortened, Shortener

PROBLEM = Problem.create(task="t", split=Split.TRAIN, question="How much?", reference=NumberReference(value="5"))
STATEMENT = "The answer is \\boxed{5}."
SOLUTION = f"Ana = 3. 3 + 2 = 5. {STATEMENT}"
GOLDEN = [json.loads(line) for line in (Path(__file__).parents[1] / "golden/steps.jsonl").read_text(encoding="utf-8").splitlines()]
SOLVED = [json.loads(line) for line in (Path(__file__).parents[1] / "golden/post_think.jsonl").read_text(encoding="utf-8").splitlines()]
tokenizer = cache(lambda: train_tokenizer(documents=40))


SETTINGS = TypeAdapter[AnyCompression](AnyCompression)
MUST_HAVE: dict[str, dict[str, Any]] = {"truncated": {"share": 0.5}, "prune_steps": {"share": 0.5}, "prune_tokens": {"share": 0.5}}


ONCE_ONLY = {"post_think": "no text between the thinking and the final statement", "fuse": "fewer than two different right draws"}


def settings_of(kind: str, **more: Any) -> AnyCompression:
    return SETTINGS.validate_python({"kind": kind, **MUST_HAVE.get(kind, {}), **more})


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


def token_begins(text: str) -> tuple[int, ...]:
    return tuple(begin for begin, _ in tokenizer()(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"])


def evidence_of(traces: Sequence[Trace], difficulty: Difficulty = Difficulty.EASY) -> Evidence:
    """Scores of any text, the same for the same text."""
    read: list[dict[str, TokenScores]] = [{}, {}]
    importance, kept = dict[str, StepScores](), dict[str, list[float]]()
    for item in traces:
        thinking = split(item.text).thinking
        rng, key = Random(thinking), "0" * 32
        begins = token_begins(thinking)
        for scores in read:
            nll, entropy = (tuple(rng.random() for _ in begins) for _ in range(2))
            scores[item.id] = TokenScores(key=key, begins=begins, nll=nll, entropy=entropy)
        importance[item.id] = StepScores(key=key, importance=tuple(rng.random() for _ in steps(thinking)))
        kept[item.id] = [rng.random() for _ in words(thinking)]
    return Evidence({PROBLEM.id: difficulty}, *read, importance, words={"classifier": kept})


def answered(request: Request, thinking: str, status: Status = Status.OK) -> Completion:
    """A model that leaves some words out, the same way a second time."""
    return Completion(request, status, "stop", " ".join(word for word in thinking.split() if word not in ("Now", "Check:", "wait")), ())


def compress(
    kind: str, traces: Sequence[Trace], budget: int | None = None, *, difficulty: Difficulty = Difficulty.EASY, **more: Any
) -> Trace | str:
    desk = Desk("me", "settings", tokenizer(), evidence_of(traces, difficulty))
    compressor = build(settings_of(kind, **more), desk)
    try:
        if isinstance(compressor, Asking):
            asked = compressor.requests(PROBLEM, traces, budget)
            answers = {request: answered(request, split(traces[0].text).thinking) for request in asked}
            compressor = build(settings_of(kind, **more), replace(desk, evidence=replace(desk.evidence, answers=answers)))
        (short,) = compressor.compress(PROBLEM, traces, budget)
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
    first = next(parent for parent in parents if parent.id == short.parent_ids[0])
    assert parts.answer == final_statement(split(first.text).answer, NumberReference(value="0"))
    assert budget is None or len(text_ids(tokenizer(), parts.thinking)) <= budget
    assert short.completion_tokens == len(completion_ids(tokenizer(), short.text))


@pytest.mark.parametrize("kind", COMPRESSORS)
@settings(max_examples=30, deadline=None)
@given(traces=TRACES)
def test_without_a_budget_pruning_changes_nothing(kind: str, traces: list[Trace]) -> None:
    if kind in MUST_HAVE and kind != "truncated" and isinstance(short := compress(kind, traces), Trace):
        assert split(short.text).thinking == split(traces[0].text).thinking


@pytest.mark.parametrize("floor", [None, 0.5])
@pytest.mark.parametrize("by", ["nll", "entropy", "blind", "contrast", "llmlingua2"])
@settings(max_examples=20, deadline=None)
@given(traces=TRACES, budget=BUDGET)
def test_protected_words_are_all_there_in_order(by: str, floor: float | None, traces: list[Trace], budget: int | None) -> None:
    model = "classifier" if by == "llmlingua2" else None
    short = compress("prune_tokens", traces, budget, by=by, model=model, floor=floor)
    if isinstance(short, Trace):
        kept, whole = ([w.strip().rstrip(",.") for w in words(split(item.text).thinking) if is_protected(w)] for item in (short, traces[0]))
        assert kept == whole


@pytest.mark.parametrize("by", ["answer", "entropy", "nll", "blind", "contrast"])
@settings(max_examples=30, deadline=None)
@given(traces=TRACES, budget=BUDGET)
def test_pruned_steps_are_whole_and_in_order(by: str, traces: list[Trace], budget: int | None) -> None:
    short = compress("prune_steps", traces, budget, by=by)
    if isinstance(short, Trace):
        whole, kept = steps(split(traces[0].text).thinking), split(short.text).thinking
        chosen = itertools.product((True, False), repeat=len(whole))
        subsets = {"".join(itertools.compress(whole, keep)).strip() for keep in chosen}
        assert kept in subsets


@pytest.mark.parametrize("kind", COMPRESSORS)
@settings(max_examples=30, deadline=None)
@given(traces=TRACES, budget=BUDGET)
def test_a_second_time_changes_nothing(kind: str, traces: list[Trace], budget: int | None) -> None:
    once = compress(kind, traces, budget)
    if isinstance(once, Trace):
        twice = compress(kind, [once], budget)
        assert twice == ONCE_ONLY[kind] if kind in ONCE_ONLY else getattr(twice, "text", "") == once.text


def test_shortest_takes_the_fewest_tokens_that_are_taught_and_the_earlier_of_equals() -> None:
    long_thinking, short_thinking = trace(f"<think>a b c d e f</think>{STATEMENT}", 0), trace(f"<think>a b</think>{SOLUTION * 9}", 1)
    twin = trace(f"<think>a b</think>{STATEMENT}", 2)
    short = compress("shortest", [long_thinking, short_thinking, twin])
    assert isinstance(short, Trace)
    assert short.parent_ids == (short_thinking.id,)
    assert short.text == f"<think>a b</think>{STATEMENT}"


@pytest.mark.parametrize(("difficulty", "draw"), [(Difficulty.EASY, 2), (Difficulty.MEDIUM, 0), (Difficulty.HARD, 1)])
def test_hard_problems_may_keep_longer_draws(difficulty: Difficulty, draw: int) -> None:
    traces = [trace(f"<think>{thinking}</think>{STATEMENT}", index) for index, thinking in enumerate(("a b", "a b c d", "a"))]
    short = compress("shortest", traces, difficulty=difficulty, rank={"easy": 0, "medium": 0.5, "hard": 1})
    assert isinstance(short, Trace)
    assert short.draw == draw


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


def desk_with(answers: dict[Request, Completion]) -> Desk:
    return Desk("me", "settings", tokenizer(), Evidence({PROBLEM.id: Difficulty.EASY}, answers=answers))


def test_rewrite_takes_the_first_draw_that_keeps_the_contract() -> None:
    traces = texts("We want Ana. She has 3. So 3 + 2 = 5. Check: 5 - 2 = 3.", SOLUTION)
    settings = settings_of("rewrite", draws=4, temperature=0.7)
    asked = build(settings, desk_with({})).requests(PROBLEM, traces, 9)  # type: ignore[attr-defined]
    assert [request.draw for request in asked] == [0, 1, 2, 3]
    prompt = tokenizer().decode(asked[0].prompt_ids)
    assert "She has 3. So 3 + 2 = 5." in prompt and PROBLEM.question in prompt and "at most 9 tokens" in prompt
    written = ["1 2 3 4 5 6 7 8 9 1 2 3", "3 + 2 = 5</think>", "3 + 2 = 5", "5"]
    answers = {request: Completion(request, Status.OK, "stop", text, ()) for request, text in zip(asked, written, strict=True)}
    (short,) = build(settings, desk_with(answers)).compress(PROBLEM, traces, 9)
    assert (short.text, short.parent_ids) == (f"<think>3 + 2 = 5</think>{STATEMENT}", (traces[0].id,))
    with pytest.raises(Skipped, match="cut off"):
        answers = {request: Completion(request, Status.TRUNCATED, "length", "3", ()) for request in asked}
        build(settings, desk_with(answers)).compress(PROBLEM, traces, 9)


def scored(traces: Sequence[Trace], text: str, **nll: dict[str, float]) -> Desk:
    """A desk whose teacher finds these words of the one trace less likely, with the question and without it."""
    begins = token_begins(text)
    starts = list(itertools.accumulate(map(len, words(text)), initial=0))

    def scores(of: dict[str, float]) -> dict[str, TokenScores]:
        owners = [words(text)[bisect.bisect_right(starts, begin) - 1].strip(" ,") for begin in begins]
        values = tuple(of.get(owner, 0.0) for owner in owners)
        return {traces[0].id: TokenScores(key="0" * 32, begins=begins, nll=values, entropy=values)}

    return Desk("me", "settings", tokenizer(), Evidence({}, **{reading: scores(nll.get(reading, {})) for reading in ("tokens", "blind")}))


@pytest.mark.parametrize(
    ("by", "more", "left"),
    [
        ("nll", {}, "Ana 3. 3 + 2 = 5. Check: 5 - 2 = 3."),
        ("contrast", {}, "Ana 3. Ben, 3 + 2 = 5. 5 - 2 = 3."),
        ("blind", {}, "Ana 3. Ben, 3 + 2 = 5. Check: 5 - 2 = 3."),
        ("blind", {"floor": 1.5}, "Ana 3. Ben, 3 + 2 = 5. 5 - 2 = 3."),
    ],
)
def test_words_that_say_nothing_go_even_where_there_is_room(by: str, more: dict[str, Any], left: str) -> None:
    text = "Ana has 3. Now Ben, 3 + 2 = 5. Check: 5 - 2 = 3."
    traces = texts(text, SOLUTION)
    likely = {"Ana": 1, "Check:": 1}
    desk = scored(traces, text, tokens=likely, blind={**likely, "Ana": 9, "Ben": 2})
    (short,) = build(settings_of("prune_tokens", by=by, **{"floor": 0.5, **more}), desk).compress(PROBLEM, traces, 99)
    assert split(short.text).thinking == left


def test_a_word_inside_of_a_token_has_its_score() -> None:
    scores = TokenScores(key="0" * 32, begins=(0, 2, 3), nll=(1.0, 2.0, 4.0), entropy=(0.0, 0.0, 0.0))
    assert scores.means(["日", "本", "人", "だ。", "!"], by="nll") == [1.0, 1.0, 2.0, 4.0, 4.0]
    nothing = TokenScores(key="0" * 32, begins=(), nll=(), entropy=())
    assert nothing.means([], by="nll") == [] and nothing.means(["a"], by="nll") == [0.0]


def test_direct_leaves_the_statement_alone() -> None:
    short = compress("direct", texts("We want Ana.", SOLUTION))
    assert isinstance(short, Trace) and short.text == f"<think></think>{STATEMENT}"


@pytest.mark.parametrize(
    ("text", "gone", "left"),
    [
        ("Ana has 3, so we need Ben. No", {3, 4, 5, 6}, "Ana has 3. No"),
        ("We want Ana. So 3 + 2 = 5.", {0, 1}, " Ana. So 3 + 2 = 5."),
        ("We want Ana. So 3 + 2 = 5.", {0, 1, 2}, " So 3 + 2 = 5."),
        ("Is it 3.5? Yes! . . No", set(), "Is it 3.5? Yes! . . No"),
        ("设有3个。好。", {0, 1}, "3个。好。"),
    ],
)
def test_sentences_stay_apart_and_empty_ones_go(text: str, gone: set[int], left: str) -> None:
    assert "".join(words(text)) == text
    assert without(words(text), gone) == left.strip()


def test_fuse_asks_for_draws_that_agree_and_differ() -> None:
    alike = ["3 + 2 = 5 pens", "3 + 2 = 5 pens so 5", "2 + 3 = 5 pens", "3 + 2 = 5 pens and done"]
    traces = [
        trace(f"<think>{thinking}</think>{SOLUTION}", draw) for draw, thinking in enumerate([*alike, "a whole other way of it", alike[0]])
    ]
    settings = settings_of("fuse", candidates=2, agreeing=0.8)
    (asked,) = build(settings, desk_with({})).requests(PROBLEM, traces, None)  # type: ignore[attr-defined]
    prompt = tokenizer().decode(asked.prompt_ids)
    assert "other way" not in prompt and prompt.count("Working ") == 2
    answers = {asked: Completion(asked, Status.OK, "stop", "3 + 2 = 5", ())}
    (short,) = build(settings, desk_with(answers)).compress(PROBLEM, traces, None)
    assert len(short.parent_ids) == 2 and split(short.text).thinking == "3 + 2 = 5"
    with pytest.raises(Skipped, match="two different"):
        build(settings, desk_with({})).requests(PROBLEM, [traces[0], traces[-1]], None)  # type: ignore[attr-defined]


@pytest.mark.parametrize("case", GOLDEN, ids=[str(index) for index in range(len(GOLDEN))])
def test_golden_thinkings_are_cut_and_pruned_as_a_reader_would(case: dict[str, Any]) -> None:
    problem = Problem.create(task="t", split=Split.TRAIN, question="How much?", reference=NumberReference(value=case["gold"]))
    found, right = case["steps"], case["solutions"]
    whole = trace(f"<think>{''.join(found)}</think>The answer is \\boxed{{{case['gold']}}}.")

    def thinking(kind: str, **more: Any) -> str:
        (short,) = build(settings_of(kind, **more), desk_with({})).compress(problem, [whole], None)
        return split(short.text).thinking

    assert thinking("prune_checks") == "".join(step for index, step in enumerate(found) if index not in case["checks"]).strip(), case["why"]
    if right:
        assert thinking("first_solution") == "".join(found[: right[0] + 1]).strip()
        last = right[1] if len(right) > 1 else next(index for index in range(right[0], len(found)) if index + 1 not in case["checks"])
        assert thinking("first_solution", reflection=True) == "".join(found[: last + 1]).strip()
    else:
        with pytest.raises(Skipped, match="no step concludes"):
            thinking("first_solution")


@pytest.mark.parametrize("case", SOLVED, ids=[str(index) for index in range(len(SOLVED))])
def test_golden_solutions_become_the_thinking(case: dict[str, Any]) -> None:
    problem = Problem.create(task="t", split=Split.TRAIN, question="How much?", reference=NumberReference(value=case["gold"]))
    (short,) = build(settings_of("post_think"), desk_with({})).compress(problem, [trace(case["text"])], None)
    assert short.text == f"<think>{case['thinking']}</think>{case['statement']}", case["why"]


@pytest.mark.parametrize(("thinking", "budget", "kept"), [("1 2 3 4 5", 3, "1 2 3"), ("1 2 3", 9, "1 2 3"), ("1 2 3", 0, ""), ("", 4, "")])
def test_truncated_keeps_as_many_tokens_as_asked(thinking: str, budget: int, kept: str) -> None:
    short = compress("truncated", texts(thinking, SOLUTION), budget)
    assert isinstance(short, Trace)
    assert short.text == f"<think>{kept}</think>{STATEMENT}"


def run(compressors: dict[str, AnyCompression], right: Sequence[Trace]) -> Shortened:
    into = Shortened()
    for group in groups(compressors):
        (work,) = into.work([(PROBLEM, right)], of=next(iter(group.values())).of)
        Shortener(group, tokenizer(), evidence_of(work.traces)).shorten(work, into=into)
    return into


ORDERS = {
    "cut": settings_of("truncated", like="brief", share=None),
    "brief": settings_of("post_think"),
    "short": settings_of("shortest"),
    "half": settings_of("truncated", share=0.5),
}


def test_a_budget_is_the_length_of_another_trace_or_a_share_of_the_long_one() -> None:
    made = {t.writer: t for t in run(ORDERS, texts("1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9", SOLUTION)).table()}
    lengths = {writer: len(text_ids(tokenizer(), split(t.text).thinking)) for writer, t in made.items()}
    assert lengths["cut"] == lengths["brief"] < lengths["short"] == 27
    assert lengths["half"] == 14
    assert len({t.settings_id for t in made.values()}) == 4


def test_reasons_are_counted_by_compressor() -> None:
    result = run(ORDERS, texts("1 2 3", STATEMENT))
    assert result.dropped == {"brief: no text between the thinking and the final statement": 1, "cut: no trace of brief to match": 1}
    assert [t.writer for t in result.table()] == ["half", "short"]


@pytest.mark.parametrize("key", ["like", "of"])
@pytest.mark.parametrize("waits", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "nobody"}])
def test_a_circle_is_refused(key: str, waits: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=rf"a\.{key}"):
        in_order({name: settings_of("shortest", **{key: other}) for name, other in waits.items()})


CHAIN = {
    "few": settings_of("prune_tokens", of="checked", share=0.5),
    "all": settings_of("prune_tokens", of="checked", share=0.95),
    "cut": settings_of("truncated", like="few", share=None),
    "checked": settings_of("prune_checks"),
    "none": settings_of("direct", of="brief", control=False),
    "brief": settings_of("post_think"),
}


def test_a_compressor_may_work_on_what_another_made() -> None:
    right = texts("We want Ana. Ana has 3. So 3 + 2 = 5. Check: 5 - 2 = 3. So Ana has 5.", STATEMENT)
    result = run(CHAIN, right)
    made = {t.writer: t for t in result.table()}
    assert result.dropped == {"brief: no text between the thinking and the final statement": 1, "none: no trace of brief": 1}
    assert "Check" not in made["checked"].text and "5 - 2" not in made["few"].text
    assert made["few"].parent_ids == (made["checked"].id,) and made["cut"].parent_ids == (right[0].id,)
    assert origin(made["few"], {t.id: t for t in (*right, *made.values())}) == right[0]
    lengths = {writer: len(text_ids(tokenizer(), split(t.text).thinking)) for writer, t in {**made, "long": right[0]}.items()}
    assert lengths["cut"] == lengths["few"] <= lengths["long"] / 2 + 1
    assert lengths["all"] == lengths["checked"] < 0.9 * lengths["long"], "a share of the long trace, whatever is worked on"


def test_compressors_of_the_same_work_together() -> None:
    assert [list(group) for group in groups(CHAIN)] == [["checked", "brief"], ["none"], ["few", "all"], ["cut"]]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "magic"}, "post_think"),
        ({"kind": "truncated"}, "needs a budget"),
        ({"kind": "shortest", "like": "a", "share": 0.5}, "one of them"),
        ({"kind": "prune_tokens", "share": 0.5, "by": "llmlingua2"}, "`model` must be given"),
        ({"kind": "post_think", "rank": 0.5}, "rank"),
        ({"kind": "post_think", "of": "a"}, "leave out `of`"),
        ({"kind": "fuse", "of": "a"}, "leave out `of`"),
        ({"kind": "direct", "share": 0.5}, "a budget means nothing"),
        ({"kind": "prune_tokens", "share": 0.5, "floor": float("nan")}, "finite"),
        ({"kind": "prune_tokens", "share": 0.5, "by": "llmlingua2", "model": "m", "floor": 2.0}, "no probability"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SETTINGS.validate_python(settings)


def test_counts_of_another_tokenizer_are_refused() -> None:
    foreign: Any = trace(f"<think>a</think>{STATEMENT}").model_copy(update={"tokenizer": "other"})
    with pytest.raises(RecordError, match="field tokenizer: found 'other'"):
        run(ORDERS, [foreign])
