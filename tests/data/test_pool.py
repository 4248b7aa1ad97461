from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.errors import StageError
from data.records import ExpressionReference, NumberReference, Outcome, Status
from data.verifiers.judge import TextCase, judge_texts
from data.verifiers.pool import Pool, PoolSettings, Task, run

REFERENCE = NumberReference(value="18").model_dump_json()
HOSTILE = "tests.data.hostile"


def judged(*texts: str, workers: int = 2, timeout_seconds: float = 1.0, memory_bytes: int = 2**30) -> dict[str, tuple[Outcome, str]]:
    settings = PoolSettings(HOSTILE, workers, timeout_seconds, memory_bytes)
    found = list(run((Task(text, REFERENCE, text) for text in texts), settings))
    assert sorted(key for key, _ in found) == sorted(texts)
    return {key: (judgement.outcome, judgement.detail) for key, judgement in found}


def test_a_hang_is_killed_and_costs_one_item() -> None:
    started = time.monotonic()
    found = judged("loop", "18", "sleep 3600", "17", "print x")
    assert time.monotonic() - started < 60
    assert [found[text][0] for text in ("loop", "sleep 3600")] == [Outcome.TIMEOUT] * 2
    assert found["18"][0] is Outcome.RIGHT
    assert found["17"][0] is found["print x"][0] is Outcome.WRONG


def test_memory_is_bounded_and_a_swallowed_shortage_is_no_wrong_answer() -> None:
    found = judged("hog", "swallow", "18", workers=1, timeout_seconds=60, memory_bytes=2**29)
    assert found["hog"][0] is found["swallow"][0] is Outcome.ERROR
    assert "memory" in found["hog"][1] and "memory" in found["swallow"][1]
    assert found["18"][0] is Outcome.RIGHT


def test_a_worker_that_dies_yields_an_error_and_is_replaced() -> None:
    found = judged("exit 3", "raise of no use", "18", workers=1, timeout_seconds=60)
    assert found["exit 3"] == (Outcome.ERROR, "the verifier process died: exit code 3")
    assert found["raise of no use"] == (Outcome.ERROR, "ValueError: of no use")
    assert found["18"][0] is Outcome.RIGHT


def test_a_long_text_waits_for_no_worker_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is more than a pipe holds: a pool that wrote it before the worker reads would wait with it."""
    long = "18 " * 400_000
    assert judged(long, workers=1, timeout_seconds=60)[long][0] is Outcome.WRONG
    monkeypatch.setattr("data.verifiers.pool.START_SECONDS", 1)
    with pytest.raises(StageError, match="did not start within 1 s"):
        list(run([Task("t", REFERENCE, long)], PoolSettings("tests.data.hostile_start", 1, 5)))


def test_an_answer_that_came_together_with_the_greeting_is_heard() -> None:
    def slow_source() -> Iterator[Task]:
        yield Task("first", REFERENCE, "18")
        time.sleep(3)  # meanwhile the worker has started and answered
        yield Task("second", REFERENCE, "17")

    started = time.monotonic()
    outcomes = {key: judgement.outcome for key, judgement in run(slow_source(), PoolSettings(HOSTILE, 2, 90))}
    assert time.monotonic() - started < 80
    assert outcomes == {"first": Outcome.RIGHT, "second": Outcome.WRONG}


def test_a_verdict_does_not_depend_on_when_anybody_looks() -> None:
    with Pool(PoolSettings(HOSTILE, 1, 0.3)) as pool:
        pool.put(Task("slow", REFERENCE, "compute 1.6"))
        time.sleep(3)  # it has long been done, and took too long for that
        ((key, judgement),) = pool.ready(wait=True)
    assert (key, judgement.outcome) == ("slow", Outcome.TIMEOUT)


def test_results_stream_while_others_still_run() -> None:
    results = run([Task("slow", REFERENCE, "sleep 3600"), Task("quick", REFERENCE, "18")], PoolSettings(HOSTILE, 2, 60))
    started = time.monotonic()
    assert next(results)[0] == "quick"
    results.close()
    assert time.monotonic() - started < 60


def test_closing_kills_the_workers_and_their_children() -> None:
    marker = "86399.125"
    results = run([Task("slow", REFERENCE, f"child {marker}"), Task("quick", REFERENCE, "sleep 0.5")], PoolSettings(HOSTILE, 2, 60))
    next(results)
    assert _running(marker)
    results.close()
    deadline = time.monotonic() + 5
    while _running(marker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _running(marker)


def _running(marker: str) -> list[Path]:
    """Processes whose command line ends with `marker`, zombies aside."""
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if _command(path).endswith(marker.encode() + b"\0")]


def _command(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_verifier_that_cannot_start_is_one_clear_error() -> None:
    with pytest.raises(StageError, match="a package that is not there"):
        list(run([Task("t", REFERENCE, "18")], PoolSettings("tests.data.hostile_import", 1, 5)))


def test_no_tasks_start_no_process() -> None:
    assert list(run([], PoolSettings("no.such.module", 2, 5))) == []


def test_math_verify_is_killed_when_it_hangs() -> None:
    gold = ExpressionReference(value="1")
    cases = [TextCase("hang", gold, "\\boxed{9^{9^{9^{9}}}}", Status.OK), TextCase("fine", gold, "\\boxed{1}", Status.OK)]
    outcomes = {v.trace_id: v.outcome for v in judge_texts(cases, workers=2, timeout_seconds=2)}
    assert outcomes == {"hang": Outcome.TIMEOUT, "fine": Outcome.RIGHT}


def test_the_caller_needs_no_math_verify_and_the_worker_no_torch() -> None:
    code = (
        "import sys, data.verifiers.judge, data.verifiers.worker; print([m for m in ('torch', 'sympy', 'math_verify') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
