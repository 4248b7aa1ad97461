"""Verifier of programs: right if the problem's tests run to their end against the one that an answer states, in a sandbox.

Which program is judged is told in data.verifiers.source, how it is run in data.verifiers.sandbox. What an assertion or an exception
ends is wrong, with the last line of the traceback; what takes too long is a timeout; shortage of memory, a broken reference and
failures of the sandbox are errors. Programs vote by their fingerprint: a hash of the program without its layout, comments and docstrings.
"""

from __future__ import annotations

import sys

from data.errors import StageError
from data.records import CodeReference, Outcome
from data.verifiers.contract import Judgement, Limits
from data.verifiers.sandbox import run as sandbox
from data.verifiers.sandbox.trial import Questions
from data.verifiers.source import as_program, stated_block, stated_program
from data.verifiers.statements import Statement

NAME = "code"
VERSION = f"1+python-{sys.version_info.major}.{sys.version_info.minor}"
INLINE = False
MAX_CHARACTERS = 100_000
"""Of a longer answer only the end is read."""
_sandboxed, _timeout_seconds = True, Limits().timeout_seconds


def prepare(limits: Limits) -> str | None:
    """Take in the limits of this process and see whether it can have a sandbox; a remark where it goes without.

    Raises StageError where it must have one and cannot, and where that stays open.
    """
    global _sandboxed, _timeout_seconds
    _timeout_seconds = limits.timeout_seconds
    refusal = sandbox.probe()
    _sandboxed = refusal is None
    if refusal is None:
        return None
    if not limits.allow_unsandboxed:
        raise StageError(
            f"this machine allows no sandbox for foreign programs: {refusal}. Run as root, or allow user namespaces "
            "(sysctl user.max_user_namespaces and kernel.apparmor_restrict_unprivileged_userns; in Docker "
            "--security-opt seccomp=unconfined --cap-add SYS_ADMIN), or set verify.allow_unsandboxed: true on a machine that may be harmed"
        )
    return f"foreign programs run without a sandbox, as verify.allow_unsandboxed says: {refusal}"


def judge(reference: CodeReference, answer_text: str) -> Judgement:
    """Judge the text after the thinking. Raises SandboxError: a worker has called `prepare` before."""
    program = stated_program(reference, answer_text[-MAX_CHARACTERS:])
    if program is None:
        return Judgement(Outcome.UNPARSED, None, "no Python program")
    if program.fault is not None:
        return Judgement(Outcome.WRONG, program.fingerprint, _printable(program.fault))
    gold = as_program(reference, reference.value)
    questions = Questions(list(gold.sources), reference.tests, reference.entry_point)
    job = sandbox.Job(list(program.sources), questions)
    report = sandbox.run(job, timeout_seconds=_timeout_seconds, sandboxed=_sandboxed)
    return Judgement(report.outcome, program.fingerprint, _printable(report.detail) + ("" if _sandboxed else " (not sandboxed)"))


def statements(reference: CodeReference, answer_text: str) -> list[Statement]:
    """The block of the program that is judged; none where no program is stated."""
    block = stated_block(reference, answer_text)
    return [] if block is None else [Statement(block.text, block.start, block.end)]


def gold_text(reference: CodeReference) -> str:
    """The program that passes, in a fence that no line of it closes."""
    fence = "```"
    while fence in reference.value:
        fence += "`"
    return f"{fence}python\n{reference.value}\n{fence}"


def _printable(detail: str) -> str:
    """A text of limited length that every file can hold, whatever a program said."""
    return detail[:300].encode(errors="backslashreplace").decode()
