from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import EngineError
from data.records import Drawn, ExpressionReference, NumberReference, Problem, Split
from data.stop_settings import AdaptiveConsistency, Enough, Esc, StopRule
from data.stopping import ENOUGH, MOST, Vote, decide, least, stop
from data.verifiers.judge import KEPT_BUSY, Judge, TextCase, judge_texts
from teachers.drawing import Drawing, drawn_by
from teachers.engine import Completion, EngineSpec, ModelRef, Request, SamplingSettings
from teachers.generate import RESTARTS, Generator
from teachers.sampling import Asked, Failures, Recipe

MOST_DRAWS = 9
RECIPE = Recipe(SamplingSettings(1.0, 1.0, 200), MOST_DRAWS)
PROBLEMS = [
    Problem.create(task="t", split=Split.TRAIN, question=f"How many is {i} and 1?", reference=NumberReference(value=str(i + 1)))
    for i in range(12)
]
ASKED = [Asked(problem, tuple(problem.question.encode())) for problem in PROBLEMS]
RULES: list[StopRule | None] = [
    None,
    Esc(window=2),
    AdaptiveConsistency(threshold=0.8),
    Enough(right=2, wrong=1),
]


def said(answer: str, words: str) -> str:
    return f"<think>{words}</think>The answer is \\boxed{{{answer}}}."


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Right texts are short and wrong ones long, so that the right ones arrive first."""
    path = tmp_path_factory.mktemp("script") / "script.jsonl"
    lines = [
        {"question": p.question, "right": [said(p.reference.value, "I add.")], "wrong": [said("77", "Hm. " * 9), "<think>open", "no tags"]}
        for p in PROBLEMS
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def spec(script: Path, *, batch: int = 4, **arguments: object) -> EngineSpec:
    settings = {"script": str(script), "right_share": 0.6, "truncated_share": 0.1, **arguments}
    return EngineSpec("scripted", ModelRef(Path("nowhere")), batch=batch, arguments=settings)


def drawn(generator: Generator, rule: StopRule | None, asked: list[Asked] = ASKED) -> Iterator[Drawn]:
    with Judge(workers=1, timeout_seconds=5) as judge:
        failures = Failures(expected=1, max_errors=MOST_DRAWS * len(PROBLEMS))
        yield from drawn_by(generator, Drawing(asked, RECIPE, judge, stop=rule), failures)


def table(rows: Iterator[Drawn] | list[Drawn]) -> list[Drawn]:
    return sorted(rows, key=lambda row: row.problem_id)


def all_votes(script: Path, folder: Path) -> dict[str, list[Vote]]:
    """What all draws of every problem say, in index order."""
    wanted = {Request(a.prompt, RECIPE.sampling, draw): a.problem for a in ASKED for draw in range(MOST_DRAWS)}
    with Generator(spec(script), folder, shard="all") as generator:
        made = sorted(generator.complete(wanted), key=lambda c: c.request)
    cases = [TextCase(str(n), wanted[c.request].reference, c.text, c.status) for n, c in enumerate(made)]
    verdicts = {int(v.trace_id): v for v in judge_texts(cases, workers=1, timeout_seconds=5)}
    votes: dict[str, list[Vote]] = {}
    for n, completion in enumerate(made):
        verdict, problem = verdicts[n], wanted[completion.request]
        votes.setdefault(problem.id, []).append(Vote.of(verdict.outcome, verdict.extracted))
    return votes


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(RULES), st.builds(dict, shuffle=st.integers(0, 10**6), batch=st.integers(1, 40)), st.permutations(ASKED))
def test_what_is_drawn_is_what_the_rule_wants_of_the_draws_in_index_order_and_nothing_is_begun_in_vain(
    script: Path, tmp_path_factory: pytest.TempPathFactory, rule: StopRule | None, arrival: dict[str, int], order: list[Asked]
) -> None:
    with Generator(spec(script, **arrival), tmp_path_factory.mktemp("store"), shard="one") as generator:
        rows = list(drawn(generator, rule, order))
        assert generator.made == sum(row.draws for row in rows)
        assert generator.made_tokens == sum(row.completion_tokens for row in rows)
    votes = all_votes(script, tmp_path_factory.mktemp("all"))
    wanted = {problem_id: stop(rule, of_problem) for problem_id, of_problem in votes.items()}
    assert {row.problem_id: (row.draws, row.reason) for row in rows} == {i: (s.draws, s.reason) for i, s in wanted.items()}


@pytest.mark.parametrize("rule", RULES)
def test_a_run_that_died_goes_on_and_ends_as_one_that_did_not(script: Path, tmp_path: Path, rule: StopRule | None) -> None:
    with Generator(spec(script), tmp_path / "whole", shard="one") as generator:
        whole = table(drawn(generator, rule))
        in_all = generator.made
    with Generator(spec(script, die_after=1), tmp_path / "died", shard="one") as generator, pytest.raises(EngineError, match="died"):
        list(drawn(generator, rule))
    with Generator(spec(script, shuffle=3, batch=7), tmp_path / "died", shard="one") as generator:
        assert table(drawn(generator, rule)) == whole
        assert generator.made == in_all - (RESTARTS + 1)
        assert table(drawn(generator, rule)) == whole
        assert generator.made == in_all - (RESTARTS + 1)


def test_draws_past_the_stop_that_are_stored_change_nothing(script: Path, tmp_path: Path) -> None:
    rule = Enough(right=1)
    with Generator(spec(script), tmp_path / "new", shard="one") as generator:
        fresh = table(drawn(generator, rule))
    with Generator(spec(script), tmp_path / "full", shard="one") as generator:
        assert {row.draws for row in drawn(generator, None)} == {MOST_DRAWS}
        made = generator.made
        assert table(drawn(generator, rule)) == fresh
        assert generator.made == made


def test_a_failed_draw_says_nothing_and_the_rule_goes_on(script: Path, tmp_path: Path) -> None:
    with Generator(spec(script, error_share=0.5), tmp_path, shard="one") as generator:
        rows = list(drawn(generator, Enough(right=1)))
    assert {row.reason for row in rows} <= {ENOUGH, MOST} and len(rows) == len(PROBLEMS)
    with Generator(spec(script, error_share=1.0), tmp_path / "none", shard="one") as generator:
        assert {(row.draws, row.reason) for row in drawn(generator, Enough(right=1))} == {(MOST_DRAWS, MOST)}


def test_problems_with_equal_prompts_share_their_draws_and_stop_each_for_itself(script: Path, tmp_path: Path) -> None:
    twin = Problem.create(task="t", split=Split.TRAIN, question=PROBLEMS[3].question, reference=NumberReference(value="77"))
    pair = [ASKED[3], Asked(twin, ASKED[3].prompt)]
    with Generator(spec(script, right_share=1.0), tmp_path, shard="one") as generator:
        rows = {row.problem_id: row for row in drawn(generator, Enough(right=2), pair)}
        assert generator.made == MOST_DRAWS
    assert (rows[PROBLEMS[3].id].draws, rows[twin.id].draws) == (2, MOST_DRAWS)


def test_verdicts_that_need_a_process_are_waited_for(tmp_path: Path) -> None:
    problem = Problem.create(task="t", split=Split.TRAIN, question="Solve it.", reference=ExpressionReference(value="\\frac{1}{2}"))
    line = {"question": problem.question, "right": [said("0.5", "Half.")], "wrong": [said("3", "Odd.")]}
    (tmp_path / "script.jsonl").write_text(json.dumps(line) + "\n")
    asked = [Asked(problem, tuple(problem.question.encode()))]
    with Generator(spec(tmp_path / "script.jsonl", truncated_share=0.0, seed=1), tmp_path / "store", shard="one") as generator:
        (row,) = drawn(generator, Enough(right=2, wrong=1), asked)
    assert row.reason == ENOUGH and 3 <= row.draws <= MOST_DRAWS


def test_few_texts_wait_for_their_verdicts_however_many_the_problems(tmp_path: Path) -> None:
    """Problems are opened no faster than they are judged, from the store too, which gives completions faster than any engine."""
    made = [
        Problem.create(task="t", split=Split.TRAIN, question=f"Solve {n}.", reference=ExpressionReference(value="\\frac{1}{2}"))
        for n in range(30)
    ]
    asked = [Asked(problem, tuple(problem.question.encode())) for problem in made]
    own = EngineSpec("scripted", ModelRef(Path("nowhere")), batch=8)
    for _ in range(2):
        waiting = []
        with Generator(own, tmp_path, shard="one") as generator, Judge(workers=1, timeout_seconds=5) as judge:
            drawing = Drawing(asked, RECIPE, judge, stop=Enough(right=1))
            for completion in generator.complete(drawing):
                drawing.hear(completion)
                waiting.append(len(judge))
        assert max(waiting) <= KEPT_BUSY + 1


def test_every_problem_gets_its_first_draws_before_the_rule_may_stop() -> None:
    votes = [Vote("4", right=True)] * 9
    for first, draws in ((0, 1), (1, 1), (5, 5), (12, 9)):
        known = 0
        while (more := decide(Enough(right=1), votes[:known], most=9, first=first).more) > 0:
            known += more
        assert known == draws == least(Enough(right=1), most=9, first=first)


def test_a_problem_goes_on_before_a_new_one_is_opened_and_holds_up_none() -> None:
    with Judge(workers=1, timeout_seconds=5) as judge:
        drawing = Drawing(iter(ASKED), RECIPE, judge, stop=Esc(window=2))
        first = [drawing.take() for _ in range(2)]
        other = drawing.take()
        assert {request.prompt_ids for request in first if request} == {ASKED[0].prompt}
        assert other is not None and other.prompt_ids == ASKED[1].prompt
        for request, answer in zip(first, ("1", "2"), strict=True):
            assert request is not None
            drawing.hear(Completion(request, *finished(said(answer, "So."))))
        following = [drawing.take() for _ in range(3)]
    assert [r and (r.prompt_ids, r.draw) for r in following] == [(ASKED[1].prompt, 1), (ASKED[0].prompt, 2), (ASKED[0].prompt, 3)]


def finished(text: str) -> tuple[object, ...]:
    from data.records import Status

    return Status.OK, "stop", text, tuple(text.encode())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_memory_holds_no_texts_however_many_the_problems(tmp_path: Path) -> None:
    """What grows is the store's index and a row for each problem: far less than one text."""

    def peak(problems: int) -> int:
        made = (
            Problem.create(task="t", split=Split.TRAIN, question=f"{n}?", reference=NumberReference(value="1")) for n in range(problems)
        )
        asked = (Asked(problem, tuple(problem.question.encode())) for problem in made)
        words = Recipe(SamplingSettings(1.0, 1.0, 400), 2)
        own = EngineSpec("scripted", ModelRef(Path("nowhere")), batch=64)
        tracemalloc.start()
        with Generator(own, tmp_path / str(problems), shard="one") as generator, Judge(workers=1, timeout_seconds=5) as judge:
            drawing = Drawing(asked, words, judge, stop=AdaptiveConsistency(threshold=0.8))
            count = sum(1 for _ in drawn_by(generator, drawing, Failures(expected=2 * problems, max_errors=0)))
            found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == problems and generator.made == 2 * problems
        return found

    few, many = peak(2_000), peak(100_000)
    per_problem = (many - few) / 98_000
    assert per_problem < 700, f"{per_problem:.0f} bytes for each of its 2 draws' problems"
