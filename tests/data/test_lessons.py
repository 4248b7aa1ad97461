from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import RecordError, StageError
from data.lessons import Plan, compose, shares, slots
from data.lineage import by_problem, outcomes, rechecks_of, training_problems
from data.material import Material, Said, material
from data.negatives import Flaw, Negatives
from data.pairs import ByBudget, RightOverWrong
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


def trace(
    problem_id: str, *, writer: str = "teacher", draw: int = 0, of: int = 0, answer: str = "Done. The answer is \\boxed{3}. Bye."
) -> Trace:
    return Trace.create(
        problem_id=problem_id,
        parent_ids=() if writer == "teacher" else (trace(problem_id, draw=of).id,),
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
    return material(PROBLEMS, [*long, *short], Said({t.id: Outcome.RIGHT for t in long}, {t.id: survived(t.id) for t in short}))


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
    short = [trace(IDS[0], writer="post_think", of=1), trace(IDS[1], writer="post_think")]
    ends = [Outcome.WRONG, Outcome.RIGHT, Outcome.UNPARSED, Outcome.TRUNCATED, Outcome.RIGHT, Outcome.TIMEOUT] + [Outcome.RIGHT] * 3
    kept = {short[0].id: survived(short[0].id), short[1].id: survived(short[1].id, survives=False)}
    of = material(PROBLEMS, [*long, *short], Said({t.id: end for t, end in zip(long, ends, strict=True)}, kept))
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
    only_long = material(PROBLEMS, [trace(IDS[0])], Said({trace(IDS[0]).id: Outcome.RIGHT}, {}))
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


def mixed() -> Material:
    """Problems with two draws: the first right, the second wrong; one problem that is never solved."""
    long = [trace(problem_id, draw=draw) for problem_id in IDS for draw in range(2)]
    said = {t.id: Outcome.WRONG if t.draw or t.problem_id == IDS[-1] else Outcome.RIGHT for t in long}
    short = [trace(problem_id, writer="post_think") for problem_id in IDS[:-1]]
    short += [trace(problem_id, writer="wrong_short", of=1) for problem_id in IDS[:5]]
    kept = {t.id: survived(t.id, survives=t.writer == "post_think") for t in short}
    contradictory = {t.id for t in long[:10] if t.draw}
    return material(PROBLEMS, [*long, *short], Said(said, kept, contradictory))


def test_wrong_traces_come_on_top_of_the_same_positives() -> None:
    plain, with_wrong = Plan({"post_think": 1.0}), Plan({"post_think": 1.0}, negatives=Negatives(tag="Wrong."))
    composed = compose({"plain": plain, "tagged": with_wrong}, mixed(), rows_per_problem=1, seed=0)
    assert [row.trace_id for row in taught(composed["plain"])] == [row.trace_id for row in taught(composed["tagged"])]
    negatives = [row for row in composed["tagged"] if row.role is Role.NEGATIVE]
    assert [row.problem_id for row in negatives] == IDS[:-1], "of the problems that all students share"
    assert Counter(row.reason for row in negatives) == {"contradictory": 5, "wrong": 34}
    assert all(row.question.endswith("\nWrong.") and row.completion.startswith("<think>teacher 1") for row in negatives)
    rows = composed["tagged"]
    assert not {row.trace_id for row in negatives} & {row.trace_id for row in rows if row.role is Role.DROPPED}


def test_a_student_of_wrong_traces_alone_may_take_those_of_problems_that_nobody_solved() -> None:
    plans = {"long": STUDENTS["long"], "wrong": Plan({}, negatives=Negatives(problems="all", per_problem=2))}
    rows = compose(plans, mixed(), rows_per_problem=1, seed=0)["wrong"]
    assert Counter(row.role for row in rows) == {Role.NEGATIVE: 41, Role.DROPPED: 39}
    assert [row.trace_id for row in rows if row.problem_id == IDS[-1]] == sorted(row.trace_id for row in rows if row.problem_id == IDS[-1])


def test_short_wrong_traces_are_negatives_of_their_writer() -> None:
    plans = {"long": STUDENTS["long"], "wrong": Plan({}, negatives=Negatives(of="wrong_short"))}
    rows = [row for row in compose(plans, mixed(), rows_per_problem=1, seed=0)["wrong"] if row.role is Role.NEGATIVE]
    assert len(rows) == 5 and all(row.completion.startswith("<think>wrong_short") for row in rows)


def test_both_sides_of_a_pair_stand_together() -> None:
    plan = Plan({}, pairs=RightOverWrong(rule="right_over_wrong", right="post_think"))
    rows = [row for row in compose({"long": STUDENTS["long"], "redi": plan}, mixed(), rows_per_problem=1, seed=0)["redi"] if row.pair == 0]
    assert [row.role for row in rows] == [Role.CHOSEN, Role.REJECTED] * 39
    assert all(a.problem_id == b.problem_id and a.completion != b.completion for a, b in zip(rows[::2], rows[1::2], strict=True))
    assert {row.completion.split()[0] for row in rows} == {"<think>post_think", "<think>teacher"}


def test_a_student_whose_wrong_traces_nobody_wrote_is_refused() -> None:
    plan = Plan({}, negatives=Negatives(flaws=(Flaw.UNPARSED,)))
    with pytest.raises(StageError, match=r"students.none: no problem has.*'wrong': 41"):
        compose({"none": plan}, mixed(), rows_per_problem=1, seed=0)


def test_positives_whose_negatives_nobody_wrote_are_refused_too() -> None:
    plan = Plan({"post_think": 1.0}, negatives=Negatives(flaws=(Flaw.UNPARSED,)))
    with pytest.raises(StageError, match=r"students.hopeful: no problem has the wrong traces"):
        compose({"hopeful": plan}, mixed(), rows_per_problem=1, seed=0)


def test_a_student_with_wrong_traces_changes_no_other_student_s_lessons() -> None:
    alone = compose({"long": STUDENTS["long"]}, mixed(), rows_per_problem=1, seed=0)["long"]
    beside = compose({"long": STUDENTS["long"], "wrong": Plan({}, negatives=Negatives())}, mixed(), rows_per_problem=1, seed=0)
    assert beside["long"] == alone
    unused = [row for row in beside["wrong"] if row.role is Role.DROPPED and row.reason == "not chosen"]
    assert len(unused) > 0, "a wrong trace that is not needed was not dropped for being wrong"


def test_pairs_may_come_from_problems_that_are_not_shared() -> None:
    plans = {"long": STUDENTS["long"], "dast": Plan({}, pairs=ByBudget(rule="budget", max_tokens=50, margin=0.001, problems="all"))}
    of = mixed()
    for one in of.wrong["teacher"][IDS[-1]][:1]:
        of.wrong["teacher"][IDS[-1]][0] = one._replace(text=one.text + " and on and on")
    rows = compose(plans, of, rows_per_problem=1, seed=0)["dast"]
    assert {row.problem_id for row in rows if row.pair is not None} == {IDS[-1]}, "never solved, and no student else may use it"
