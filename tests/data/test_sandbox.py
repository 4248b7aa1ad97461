from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.records import Outcome
from data.verifiers.sandbox import run as sandbox
from data.verifiers.sandbox.crossing import HEADER_BYTES, Broken, Handle, Peer
from data.verifiers.sandbox.packing import pack, unpack
from data.verifiers.sandbox.run import Job, Report
from data.verifiers.sandbox.trial import Questions

REFUSAL = sandbox.probe()
pytestmark = pytest.mark.skipif(REFUSAL is not None, reason=f"no sandbox for foreign programs here: {REFUSAL}")

REFERENCE = "def f(x):\n    return x * x\n"
PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(), st.fractions(), st.dates()),
    lambda inner: st.one_of(st.lists(inner), st.tuples(inner, inner), st.dictionaries(st.text(), inner), st.frozensets(st.integers())),
    max_leaves=8,
)


def run(program: str, tests: str = "assert f(2) == 4\n", *, seconds: float = 20, sandboxed: bool = True) -> Report:
    return sandbox.run(Job([program], Questions([REFERENCE], tests, "f")), timeout_seconds=seconds, sandboxed=sandboxed)


@settings(deadline=None, max_examples=50)
@given(PLAIN)
def test_data_cross_as_they_are(value: object) -> None:
    def refuse(*_: object) -> object:
        raise AssertionError("no handle is needed")

    back = unpack(json.loads(json.dumps(pack(value, refuse))), refuse)
    assert back == value and type(back) is type(value)


def test_values_of_the_standard_library_cross() -> None:
    values = [
        7**9999,
        -(2**63),
        1j,
        range(1, 9, 2),
        deque([1], 3),
        bytearray(b"x"),
        Decimal("1.50"),
        Fraction(1, 3),
        timedelta(1),
        date.max,
    ]
    assert unpack(json.loads(json.dumps(pack(values, repr))), lambda *_: None) == values


@contextmanager
def hostile(*answers: object) -> Iterator[Peer]:
    """The tests' side of a pipe whose other side says `answers`, whatever it is asked."""
    (read_here, write_there), (read_there, write_here) = os.pipe(), os.pipe()
    for answer in answers:
        data = json.dumps(answer).encode()
        os.write(write_there, len(data).to_bytes(HEADER_BYTES, "big") + data)
    os.close(write_there)
    peer = Peer(read_here, write_here, home="tests")
    try:
        yield peer
    finally:
        for file in (read_here, read_there, write_here):
            os.close(file)


class Secret:
    """Something of the tests that a call hands over."""

    def __init__(self) -> None:
        self.value, self._hidden = 1, 2


def said(peer: Peer, *given: object) -> object:
    return peer.ask("__call__", Handle(peer, 0), given)


NO_VALUES = (
    ["what", 1], ["mine", "x"], ["yours", 5], ["type", "__loader__"], ["type", "eval"], ["type", "E", "int"], ["int", "x"],
    ["value", "os.system", ["true"]], ["value", "decimal.Decimal", ["x"]], ["dict", [[["list", []], 1]]], ["set", [["list", []]]], [],
)  # fmt: skip
NO_MESSAGES = (
    1, [], ["gave"], ["what"], ["raised", ["type", "list"], ["list", []], None], ["raised", 1, 2, 3],
    ["do", "__call__", ["type", "type"], ["list", [["list", [1]], ["dict", []]]]],
)  # fmt: skip


@pytest.mark.parametrize("answer", [*NO_MESSAGES, *(["gave", value, None] for value in NO_VALUES)], ids=json.dumps)
def test_what_is_no_value_breaks_off(answer: object) -> None:
    with hostile(answer) as peer, pytest.raises(Broken):
        said(peer)
    assert peer.broken


@pytest.mark.parametrize("name", ["__class__", "_hidden", "__dict__", "value"])
def test_the_program_cannot_look_into_what_it_is_given(name: str) -> None:
    read = ["do", "__getattr__", ["yours", 0], ["list", [["list", [name]], ["dict", []]]]]
    answers: list[Any] = []
    with hostile(read, ["gave", None, None]) as peer:
        peer._send = answers.append  # type: ignore[method-assign]
        said(peer, Secret())
    assert json.loads(answers[1])[0] == "raised"


def test_two_sides_call_each_other() -> None:
    (read_here, write_there), (read_there, write_here) = os.pipe(), os.pipe()
    here, there = Peer(read_here, write_here, home="tests"), Peer(read_there, write_there, home=None)

    def serve() -> None:
        with pytest.raises(Broken):
            there.serve(lambda f, items: items.append(f(2)) or f)

    thread = threading.Thread(target=serve)
    thread.start()
    items = [1]
    own = lambda x: x + 1  # noqa: E731
    assert said(here, own, items) is own
    assert items == [1, 3]
    os.close(write_here)
    thread.join()
    for file in (read_here, read_there, write_there):
        os.close(file)


def test_a_machine_with_a_sandbox_says_so() -> None:
    assert REFUSAL is None


def test_the_tests_are_nowhere_in_the_memory_of_the_program() -> None:
    program = """
import gc
def f(x):
    word = "".join(["squ", "irrel"])
    things = [thing for thing in gc.get_objects() if isinstance(thing, (dict, list, tuple, set))]
    return 0 if any(word in str(thing) for thing in things) else x * x
"""
    assert run(program, "nut = 'squirrel'\nassert f(2) == 4, nut\n").outcome is Outcome.RIGHT
    assert run(f"nut = 'squirrel'\n{program}").outcome is Outcome.WRONG  # where it is, it is found


@pytest.mark.slow
def test_a_program_sees_libraries_a_few_devices_and_an_empty_folder_of_its_own() -> None:
    program = f"""
import os
def f(x):
    hidden = [name for name in ('/etc', '/proc', '/sys', '/root/.ssh', '/home', {str(sandbox.ROOT)!r}) if os.path.exists(name)]
    return sorted(os.listdir('/dev')), os.listdir('/tmp'), os.getcwd(), dict(os.environ), os.getpid(), hidden
"""
    tests = "assert f(1) == (['null', 'random', 'urandom', 'zero'], [], '/tmp', {}, 1, []), f(1)\n"
    assert run(program, tests) == Report(Outcome.RIGHT, "the tests ran to their end")


@pytest.mark.slow
@pytest.mark.parametrize("sandboxed", [True, False])
def test_nothing_is_left_running(sandboxed: bool) -> None:
    marker = str(80000 + os.getpid() + sandboxed)
    program = f"""
import os, sys, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            import ctypes
            ctypes.CDLL(None).prctl(15, b'left{marker}', 0, 0, 0)
            time.sleep(1000)
        os._exit(0)
time.sleep(1)
if {sandboxed}: time.sleep(1000)
"""
    assert run(program, seconds=2, sandboxed=sandboxed).outcome in (Outcome.TIMEOUT, Outcome.WRONG)
    deadline = time.monotonic() + 10
    while (left := running(f"left{marker}")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def running(name: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):  # it has ended meanwhile
            found += [path.parent.name] if path.read_text().strip() == name else []
    return found


@pytest.mark.slow
@pytest.mark.skipif(
    os.getuid() != 0 or not Path("/usr/bin/python3.11").exists(), reason="needs root and a Python that every user can start"
)
def test_an_ordinary_user_has_the_same_sandbox() -> None:
    user = 1000
    plan = [True, os.getpid(), [20, 60.0]]
    program = "import os\ndef f(x):\n    return x * x if os.getuid() == 1000 and not os.path.exists('/etc') else 0\n"
    jobs = b"".join(sandbox._framed(job) for job in ([program], [[REFERENCE], "assert f(2) == 4", "f"]))
    command = ["/usr/bin/python3.11", "-S", "-s", "-P", "-B", "-c", sandbox.START, str(sandbox.ROOT), json.dumps(plan)]
    done = subprocess.run(command, input=jobs, capture_output=True, user=user, group=user, extra_groups=[], env={})
    assert json.loads(done.stdout)["outcome"] == "right", (done.stdout, done.stderr)
