from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import RecordError, StageError
from data.lessons import Material, Plan, compose, material, shares, slots
from data.lineage import by_problem, outcomes, rechecks_of, training_problems
from data.records import Lesson, NumberReference, Outcome, Problem, Recheck, Role, Split, Status, Trace, Verdict

STUDENTS = {"long": Plan({"teacher": 1.0}), "brief": Plan({"post_think": 1.0}), "mix": Plan({"teacher": 1.0, "post_think": 4.0})}
PROBLEMS = {
    problem.id: problem
    for n in range(40)
    for problem in [
        Problem.create(task="t", split=Split.TRAIN, question=f"How much is {n} + 1?", reference=NumberReference(value=str(n + 1)))
    ]
}
IDS = sorted(PROBLEMS)


def trace(problem_id: str, *, writer: str = "teacher", draw: int = 0, answer: str = "Done. The answer is \\boxed{3}. Bye.") -> Trace:
    return Trace.create(
        problem_id=problem_id,
        parent_ids=() if writer == "teacher" else ("parent",),
        writer=writer,
        settings_id="s",
        draw=draw,
        text=f"<think>{writer} {draw} thinks</think>{answer}",
        status=Status.OK,
        prompt_tokens=1,
        completion_tokens=1,
        tokenizer="t",
    )


def said(trace_id: str, outcome: Outcome) -> Verdict:
    return Verdict(trace_id=trace_id, verifier="number", version="1", outcome=outcome, extracted=None, detail="")


def survived(trace_id: str, survives: bool = True) -> Recheck:
    return Recheck(
        trace_id=trace_id,
        stated=Outcome.RIGHT,
        continued_right=int(survives),
        continued_draws=1,
        empty_right=0,
        empty_draws=1,
        survives=survives,
        reason="continued" if survives else "continued wrong",
    )


def usual(problem_ids: Sequence[str] = IDS) -> Material:
    long = [trace(problem_id, draw=draw) for problem_id in problem_ids for draw in range(2)]
    short = [trace(problem_id, writer="post_think") for problem_id in problem_ids]
    return material(PROBLEMS, [*long, *short], long={t.id: Outcome.RIGHT for t in long}, short={t.id: survived(t.id) for t in short})


def taught(lessons: Sequence[Lesson]) -> list[Lesson]:
    return [lesson for lesson in lessons if lesson.role is Role.POSITIVE]


def writers(lessons: Sequence[Lesson]) -> Counter[str]:
    return Counter(lesson.completion.removeprefix("<think>").split()[0] for lesson in taught(lessons))


def test_all_students_share_problems_and_rows_and_the_answer_is_the_statement_alone() -> None:
    composed = compose(STUDENTS, usual(), rows_per_problem=3, seed=0)
    rows = {name: Counter(lesson.problem_id for lesson in taught(lessons)) for name, lessons in composed.items()}
    assert rows["long"] == rows["brief"] == rows["mix"] == Counter(dict.fromkeys(IDS, 3))
    assert {lesson.completion.partition("</think>")[2] for row in composed.values() for lesson in taught(row)} == {
        "The answer is \\boxed{3}."
    }
    assert all(lessons == sorted(lessons, key=lambda lesson: lesson.problem_id) for lessons in composed.values())


def test_a_mix_has_its_shares_and_depends_on_the_seed_alone() -> None:
    first = compose(STUDENTS, usual(), rows_per_problem=1, seed=0)["mix"]
    assert writers(first) == {"teacher": 8, "post_think": 32}
    assert first == compose({"mix": STUDENTS["mix"]}, usual(), rows_per_problem=1, seed=0)["mix"]
    other = compose(STUDENTS, usual(), rows_per_problem=1, seed=1)["mix"]
    assert writers(other) == writers(first)
    assert taught(other) != taught(first)


def test_tags_stand_behind_the_questions_of_their_writers_rows() -> None:
    plan = Plan({"teacher": 1.0, "post_think": 1.0}, {"post_think": "Short."})
    rows = compose({"tagged": plan}, usual(), rows_per_problem=2, seed=0)["tagged"]
    for lesson in rows:
        is_tagged = lesson.role is Role.POSITIVE and lesson.completion.startswith("<think>post_think")
        assert lesson.question == PROBLEMS[lesson.problem_id].question + ("\nShort." if is_tagged else "")
    assert writers(rows) == {"teacher": 40, "post_think": 40}


def test_every_trace_of_a_students_writers_has_a_reason() -> None:
    long = [trace(IDS[0], draw=d) for d in range(6)] + [trace(IDS[1]), trace(IDS[2]), trace(IDS[3], answer="Three it is.")]
    short = [trace(problem_id, writer="post_think") for problem_id in (IDS[0], IDS[1])]
    ends = [Outcome.WRONG, Outcome.RIGHT, Outcome.UNPARSED, Outcome.TRUNCATED, Outcome.RIGHT, Outcome.TIMEOUT] + [Outcome.RIGHT] * 3
    kept = {short[0].id: survived(short[0].id), short[1].id: survived(short[1].id, survives=False)}
    of = material(PROBLEMS, [*long, *short], long={t.id: end for t, end in zip(long, ends, strict=True)}, short=kept)
    composed = compose({"long": STUDENTS["long"], "brief": STUDENTS["brief"]}, of, rows_per_problem=1, seed=0)
    reasons = {lesson.trace_id: lesson.reason for lesson in composed["long"]}
    assert [reasons[t.id] for t in long] == [
        "wrong",
        "taught",
        "unparsed",
        "truncated",
        "not chosen",
        "timeout",
        "problem lacks post_think",
        "problem lacks post_think",
        "no final statement",
    ]
    assert {lesson.trace_id: lesson.reason for lesson in composed["brief"]} == {
        short[0].id: "taught",
        short[1].id: "did not survive: continued wrong",
    }
    assert all(lesson.completion == "" for lesson in composed["long"] if lesson.role is Role.DROPPED)


def test_rows_beyond_the_traces_take_them_in_turn() -> None:
    rows = taught(compose({"long": STUDENTS["long"]}, usual(IDS[:1]), rows_per_problem=3, seed=0)["long"])
    assert Counter(row.completion.split()[1] for row in rows) == {"0": 2, "1": 1}


def test_no_common_problem_is_an_error_that_counts_what_there_is() -> None:
    only_long = material(PROBLEMS, [trace(IDS[0])], long={trace(IDS[0]).id: Outcome.RIGHT}, short={})
    with pytest.raises(StageError, match=r"'post_think': 0, 'teacher': 1"):
        compose(STUDENTS, only_long, rows_per_problem=1, seed=0)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcde"), st.floats(0.01, 100), min_size=1),
    st.integers(0, 40),
    st.integers(1, 3),
    st.integers(0, 9),
)
def test_shares_are_exact_within_rounding(mix: dict[str, float], problems: int, rows: int, seed: int) -> None:
    dealt = slots(IDS[:problems], mix, rows_per_problem=rows, seed=seed)
    assert [len(row) for row in dealt.values()] == [rows] * problems
    counts = Counter(writer for row in dealt.values() for writer in row)
    total = problems * rows
    assert all(abs(counts[writer] - total * weight / sum(mix.values())) < 1 for writer, weight in mix.items())
    assert counts == Counter(shares(mix, total))


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(6)))
def test_traces_come_in_draw_order_whatever_the_order_of_the_rows(order: list[int]) -> None:
    traces = [trace(IDS[draw % 2], draw=draw) for draw in order]
    assert {p: [t.draw for t in group] for p, group in by_problem(traces, PROBLEMS).items()} == {IDS[0]: [0, 2, 4], IDS[1]: [1, 3, 5]}


def test_a_trace_of_an_unknown_problem_is_refused() -> None:
    with pytest.raises(RecordError, match="field problem_id: 'stranger'"):
        by_problem([trace("stranger")], PROBLEMS)


def test_evaluation_problems_are_never_taught() -> None:
    test = Problem.create(task="t", split=Split.TEST, question="q", reference=NumberReference(value="1"))
    assert training_problems([test, *PROBLEMS.values()]) == PROBLEMS


def test_a_missing_and_a_second_verdict_are_refused() -> None:
    one = trace(IDS[0])
    with pytest.raises(RecordError, match=f"trace {one.id}: no verdict"):
        outcomes([one], [])
    with pytest.raises(RecordError, match=f"trace {one.id}: a second verdict"):
        outcomes([one], [said(one.id, Outcome.RIGHT), said(one.id, Outcome.WRONG)])
    with pytest.raises(RecordError, match=f"trace {one.id}: no recheck"):
        rechecks_of([one], [])
