import pytest

from data.difficulty import Difficulty
from data.errors import RecordError
from data.metrics.bootstrap import Estimate
from data.metrics.lengths import LessonLength, common_problems, data_ratios, kept, lesson_length, regrows, survival
from data.records import Lesson, Outcome, Recheck, Role, Status, Trace


def _trace(writer: str, draw: int, problem_id: str = "p", parent_ids: tuple[str, ...] = ()) -> Trace:
    return Trace.create(
        problem_id=problem_id,
        parent_ids=parent_ids,
        writer=writer,
        settings_id="s",
        draw=draw,
        text="t",
        status=Status.OK,
        prompt_tokens=1,
        completion_tokens=1,
        tokenizer="t",
    )


def _recheck(trace: Trace, survives: bool, reason: str) -> Recheck:
    return Recheck(
        trace_id=trace.id,
        stated=Outcome.RIGHT if survives else Outcome.UNPARSED,
        continued_right=int(survives),
        continued_draws=1,
        empty_right=0,
        empty_draws=1,
        survives=survives,
        reason=reason,
    )


def test_survival_counts_reasons_per_compressor() -> None:
    traces = [_trace("shortest", 0), _trace("shortest", 1), _trace("cut", 0)]
    rows = [_recheck(traces[0], True, "ok"), _recheck(traces[1], False, "continued wrong"), _recheck(traces[2], False, "not stated")]
    found = survival(traces, rows, {"p": Difficulty.HARD})
    assert list(found) == ["cut", "shortest"]
    assert (found["shortest"].traces, found["shortest"].survived, found["shortest"].dropped) == (2, 1, {"continued wrong": 1})
    assert (found["cut"].continued_right, found["cut"].empty_draws) == (0, 1)
    assert found["shortest"].by_difficulty == {Difficulty.HARD: {True: 1, False: 1}}
    assert (found["shortest"].gain, found["cut"].gain) == (0.5, 0.0)


def test_kept_tokens_are_those_of_the_long_traces_they_come_from_on_all_and_on_common_problems() -> None:
    long = {trace.id: trace for trace in (_trace("teacher", 0, problem) for problem in "pq")}
    parents = {trace.problem_id: trace.id for trace in long.values()}
    short = [
        _trace("cut", 0, "p", (parents["p"], "another")),
        _trace("cut", 0, "q", (parents["q"],)),
    ]
    short.append(_trace("brief", 0, "p", (short[0].id,)))  # made of what "cut" made
    assert common_problems(short) == {"p"}
    lengths = {**dict.fromkeys(long, 100), short[0].id: 20, short[1].id: 60, short[2].id: 50}
    found = kept(short, long | {trace.id: trace for trace in short}, lambda trace: lengths[trace.id])
    assert found == {"brief": (0.5, 0.5), "cut": (0.4, 0.2)}
    assert kept([], long, lambda trace: 1) == {}
    with pytest.raises(RecordError, match="its parent lost is in no table"):
        kept([_trace("cut", 0, "p", ("lost",))], long, lambda trace: 1)


def test_lessons_that_are_not_taught_have_no_length() -> None:
    def lesson(role: Role, text: str) -> Lesson:
        return Lesson(student="s", problem_id="p", trace_id="t", role=role, reason="", question="q", completion=text)

    rows = [lesson(Role.POSITIVE, "</think>a"), lesson(Role.POSITIVE, "</think>abc"), lesson(Role.DROPPED, "a" * 99)]
    assert lesson_length(rows, len) == LessonLength(2, 10.0, 2.0)
    ratios = data_ratios({"long": LessonLength(2, 12.0, 2.0), "short": LessonLength(2, 3.0, 2.0)}, long="long")
    assert ratios == {"long": 1.0, "short": pytest.approx(0.25)}
    assert data_ratios({"short": LessonLength(2, 3.0, 2.0)}, long="long") == {}


@pytest.mark.parametrize(("low", "grows"), [(16.0, True), (14.0, False), (None, False)])
def test_answers_that_are_surely_longer_than_the_lessons_have_grown_again(low: float | None, grows: bool) -> None:
    assert regrows(Estimate(20.0, low, 30.0), LessonLength(5, 60.0, 10.0)) is grows
