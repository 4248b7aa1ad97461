from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

PARENT = """
import subprocess, sys
from teachers.guard import EngineGuard
def sleeper():
    return subprocess.Popen(["sh", "-c", "sleep 60 & wait"])
before = sleeper()
guard = EngineGuard()
engine = sleeper()
{then}
print(before.pid, engine.pid, guard._process.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def families() -> Iterator[list[psutil.Process]]:
    """Processes that the test started; what is left of them goes at the end."""
    started: list[psutil.Process] = []
    yield started
    for process in started:
        if process.is_running():
            process.kill()


def start(then: str, started: list[psutil.Process]) -> tuple[psutil.Process, dict[str, list[psutil.Process]]]:
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(then=then)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pids = dict(zip(("before", "engine", "guard"), map(int, parent.stdout.readline().split()), strict=True))
    time.sleep(0.6)
    processes = {name: psutil.Process(pid) for name, pid in pids.items() if psutil.pid_exists(pid)}
    trees = {name: [process, *process.children()] for name, process in processes.items()}
    started.extend(process for tree in trees.values() for process in tree)
    return psutil.Process(parent.pid), trees


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=5)[1]


@pytest.mark.parametrize("then", ["", "guard.settled()"])
def test_a_killed_parent_takes_its_engine_along_and_nothing_else(families: list[psutil.Process], then: str) -> None:
    parent, trees = start(then, families)
    assert len(trees["engine"]) == 2
    os.kill(parent.pid, signal.SIGKILL)
    assert gone(trees["engine"]) and gone(trees["guard"])
    assert all(process.is_running() for process in trees["before"])


def test_a_closed_guard_leaves_everything_alone(families: list[psutil.Process]) -> None:
    parent, trees = start("guard.settled(); guard.close()", families)
    assert "guard" not in trees
    parent.kill()
    time.sleep(0.6)
    assert all(process.is_running() for process in trees["engine"])
