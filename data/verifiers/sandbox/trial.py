"""The two inner processes of a sandbox: the tests, and the program that they call.

The program's process is forked before the tests are read, so they were never in its memory; where there is a sandbox it is in a
process namespace of its own, from which the tests' process can be neither seen nor signalled, and whose end kills all that it started.
What the tests name besides the entry point comes from the reference program, never from the candidate.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import CodeType, ModuleType
from typing import Any, NamedTuple, NoReturn

from data.verifiers.sandbox import kernel
from data.verifiers.sandbox.crossing import HEADER_BYTES, Handle, Peer, place

RIGHT, WRONG, TIMEOUT, ERROR = "right", "wrong", "timeout", "error"
"""Values of data.records.Outcome, which is not imported here: it would triple the start-up time."""
PROGRAM, TESTS = "program", "tests"
MAX_DETAIL_CHARACTERS = 300
MANY_FILES = 1024
KILLED_SHARE = 0.5
"""Of its limit of processor time that a process must have used where the kernel is to have killed it for that: the limit counts whole
ticks, on a busy machine more of them than the process ran for."""


class Limits(NamedTuple):
    """Of each of the two processes; time on the clock and the number of processes are those of the sandbox."""

    cpu_seconds: int
    clock_seconds: float
    memory_bytes: int = 2**29
    processes: int = 16
    open_files: int = 64
    file_bytes: int = 2**24


class Said(NamedTuple):
    """An outcome by its value, and why."""

    outcome: str
    detail: str


class Questions(NamedTuple):
    """What the tests' process is told after the program's has begun: sources of the reference program, and what is asked of whom."""

    reference: list[str]
    tests: str
    entry_point: str | None


def hold(limits: Limits, *, sandboxed: bool) -> NoReturn:
    """Read two jobs from stdin (the program's sources, the questions), have them work, and say one line on stdout. Ends the process."""
    kernel.die_with_parent()
    kernel.set_readable(False)
    answers = os.dup(1)
    sources = _job()
    program_reads, tests_write = os.pipe()
    tests_read, program_writes = os.pipe()
    if sandboxed:
        kernel.unshare(kernel.NEW_PIDS)
    program = os.fork()
    if program == 0:
        _be_the_program(sources, (program_reads, program_writes), limits)
    os.close(program_reads)
    os.close(program_writes)
    questions = Questions(*_job())
    _restrict(limits, keep=(answers, tests_read, tests_write))
    peer = Peer(tests_read, tests_write, home=TESTS)
    said = _answered(peer, questions)
    if peer.broken:
        os.kill(program, signal.SIGKILL)  # it may only have closed its pipes
        said = _lost(said, *os.wait4(program, 0)[1:], limits)
    os.write(answers, json.dumps(said._asdict()).encode() + b"\n")
    os._exit(0)


def ended(who: str, status: int, usage: resource.struct_rusage, limits: Limits) -> Said:
    """What the end of a process says that should not have ended."""
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGKILL and usage.ru_utime + usage.ru_stime >= KILLED_SHARE * limits.cpu_seconds:
        return Said(TIMEOUT, f"{who} took its {limits.cpu_seconds} s of processor time")
    return Said(ERROR, f"{who} ended early: {f'exit code {code}' if code >= 0 else signal.Signals(-code).name}")


def _lost(said: Said, status: int, usage: resource.struct_rusage, limits: Limits) -> Said:
    """The program's process is gone, or was killed since it broke the protocol: its own fault, or out of time."""
    end = ended("the program", status, usage, limits)
    if end.outcome == TIMEOUT:
        return end
    return said if os.waitstatus_to_exitcode(status) == -signal.SIGKILL else Said(WRONG, end.detail)


def _job() -> Any:
    size = int.from_bytes(_exactly(HEADER_BYTES), "big")
    return json.loads(_exactly(size))


def _exactly(count: int) -> bytes:
    """So many bytes of stdin and no more: what follows is not for the program's process."""
    data = b""
    while len(data) < count:
        chunk = os.read(0, count - len(data))
        if not chunk:
            os._exit(1)
        data += chunk
    return data


def _restrict(limits: Limits, keep: Sequence[int]) -> None:
    """Give up rights, open files but `keep`, and what is beyond the limits. Soft limits are hard ones: none can be caught."""
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    for file in range(3, MANY_FILES):
        if file not in keep:
            _close(file)
    kernel.drop_capabilities()
    for name, limit in (
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(name, (limit, limit))


def _be_the_program(sources: list[str], pipes: tuple[int, int], limits: Limits) -> NoReturn:
    """Run the sources, then do what the tests ask for."""
    try:
        os.setsid()
        kernel.die_with_parent()
        _restrict(limits, pipes)

        def load(names: list[str]) -> dict[str, object]:
            space = _run(PROGRAM, sources)
            return {name: space[name] for name in names if name in space}

        Peer(*pipes, home=None).serve(load)
    finally:
        os._exit(0)


def _run(name: str, sources: Sequence[str]) -> dict[str, Any]:
    """Run sources one after another in a module of their own; its names."""
    module = sys.modules[name] = ModuleType(name)
    for source in sources:
        exec(compile(source, f"<{name}>", "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


def _answered(peer: Peer, questions: Questions) -> Said:
    """Right if the tests ran to their end and used the program."""
    try:
        space = _run(TESTS, questions.reference)
        code = compile(questions.tests, f"<{TESTS}>", "exec", dont_inherit=True)
    except BaseException as error:  # noqa: BLE001 - foreign code
        return Said(ERROR, f"the reference does not run: {_last_line(error, questions.tests)}")
    try:
        names = [questions.entry_point] if questions.entry_point else sorted(_tested(code, space))
        found = peer.ask("__call__", Handle(peer, 0), (names,))
        if missing := [name for name in names if name not in found]:
            return Said(WRONG, f"the program does not define {', '.join(missing)}"[:MAX_DETAIL_CHARACTERS])
        loaded = peer.asked
        space.update(found)
        exec(code, space)
    except MemoryError:
        return Said(ERROR, "out of memory")
    except BaseException as error:  # noqa: BLE001 - foreign code
        return Said(WRONG, _last_line(error, questions.tests))
    if peer.broken:
        return Said(WRONG, "the program broke off")
    if peer.asked == loaded and all(isinstance(value, Handle) for value in found.values()):
        return Said(ERROR, f"the tests never call {', '.join(names) or 'a function of the program'}; let them call what they define")
    return Said(RIGHT, "the tests ran to their end")


def _tested(code: CodeType, space: dict[str, Any]) -> set[str]:
    """What the tests name of the functions and classes that the reference program defines itself."""
    inner = [_tested(constant, space) for constant in code.co_consts if isinstance(constant, CodeType)]
    return {name for name in code.co_names if getattr(space.get(name), "__module__", None) == TESTS}.union(*inner)


def _last_line(error: BaseException, tests: str) -> str:
    """The last line of the traceback, and where it was raised."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 - it may hold what only the program can show
        text = ""
    where = [*getattr(error, "__notes__", []), place(error, TESTS)]
    lines = tests.splitlines()
    if isinstance(error, AssertionError) and where[-1] and not text:
        text = lines[int(where[-1].rpartition(" ")[2]) - 1].strip()
    return f"{type(error).__name__}: {text[:200]} ({'; '.join(filter(None, where))})"[:MAX_DETAIL_CHARACTERS]


def _close(file: int) -> None:
    with suppress(OSError):  # was not open
        os.close(file)
