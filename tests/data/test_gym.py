from __future__ import annotations

import ast
import builtins
import inspect
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tokenize import TokenError
from types import ModuleType

import pytest
import reasoning_gym
from hypothesis import given
from hypothesis import strategies as st
from reasoning_gym.factory import DATASETS

from data.dedup import tokens, without_duplicates
from data.errors import ParamsError, RecordError
from data.records import GymReference, Outcome, Problem, Split
from data.sources import gym as source
from data.splits import gold_cases, with_right_gold
from data.statement import final_statement
from data.verifiers import gym
from data.verifiers.audit import golden
from data.verifiers.judge import judge_texts

COUNTS = {Split.TRAIN: 30, Split.VALIDATION: 5, Split.TEST: 10}
CASES = list(golden(Path(__file__).parents[1] / "golden/gym.jsonl"))
SUM = GymReference(dataset="chain_sum", entry=repr({"question": "What is 2 + 3?", "metadata": {}}), value="5")


def made(name: str, counts: dict[Split, int] = COUNTS, *, seed: int = 0, **arguments: object) -> list[Problem]:
    return source.load(name, counts, task="gym", seed=seed, arguments=arguments)


def test_splits_share_no_question_and_more_training_moves_nothing() -> None:
    problems = made("chain_sum")
    assert len({tokens(problem.question) for problem in problems}) == len(problems) == sum(COUNTS.values())
    assert without_duplicates(problems) == (problems, [])
    assert problems == made("chain_sum")
    more = made("chain_sum", {**COUNTS, Split.TRAIN: 40})
    assert [p for p in more if p.split is not Split.TRAIN] == [p for p in problems if p.split is not Split.TRAIN]
    assert not {p.question for p in problems} & {p.question for p in made("chain_sum", seed=1)}, "a neighbouring seed is no shift by one"


def test_few_different_questions_are_split_without_repeats_or_named() -> None:
    arguments = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1, "allow_negation": False}
    problems = made("chain_sum", {Split.TRAIN: 60, Split.TEST: 30}, **arguments)
    assert without_duplicates(problems)[1] == []
    with pytest.raises(RecordError, match="500 train problems are asked for, but it made"):
        made("chain_sum", {Split.TRAIN: 500, Split.TEST: 30}, **arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("no_such", {}), ("chain_sum", {"min_terms": 5, "max_terms": 2}), ("chain_sum", {"terms": 2}), ("composite", {})],
)
def test_what_the_library_refuses_is_named(name: str, arguments: dict[str, object]) -> None:
    with pytest.raises(ParamsError, match=f"reasoning-gym refuses name '{name}'"):
        made(name, **arguments)


def test_a_data_set_without_gold_answers_is_named() -> None:
    with pytest.raises(RecordError, match="graph_color: field answer: None is no text"):
        made("graph_color")


NAMES = ("leg_counting", "countdown", "puzzle24", "knights_knaves", "n_queens", "spell_backward")


@pytest.mark.parametrize("name", NAMES)
def test_gold_answers_are_right_by_the_scorer(name: str) -> None:
    for problem in made(name, {Split.TRAIN: 2}):
        assert isinstance(problem.reference, GymReference)
        assert gym.judge(problem.reference, gym.gold_text(problem.reference)).outcome is Outcome.RIGHT


def test_golden() -> None:
    """In this process, where the generators are loaded already."""
    found = [(case, gym.judge(case.reference, case.text)) for case in CASES]
    assert [(case.why, case.text[-80:], judgement) for case, judgement in found if judgement.outcome is not case.expected] == []


def test_the_golden_cases_are_of_many_data_sets_and_of_every_outcome() -> None:
    assert len(CASES) >= 100 and len({case.reference.dataset for case in CASES if isinstance(case.reference, GymReference)}) >= 20
    assert {case.expected for case in CASES} == {Outcome.RIGHT, Outcome.WRONG, Outcome.UNPARSED}


PIECES = (
    "The answer is ",
    "\\boxed{",
    "}",
    "<answer>",
    "</answer>",
    "```\n",
    "\n",
    "5",
    "1,000",
    "0 1",
    "[1, 2]",
    "x = ",
    " × ",
    "\\frac{",
    "**",
    "$",
    "(",
    ")",
)


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), st.sampled_from(["5", "1000", "0 1", "[1, 2]"]))
def test_any_text_is_judged_without_a_crash_and_right_only_if_it_holds_the_gold_answer(text: str, gold: str) -> None:
    reference = GymReference(dataset="rotate_matrix", entry=repr({"question": "Turn it.", "metadata": {}}), value=gold)
    judgement = gym.judge(reference, text)
    assert judgement.outcome in (Outcome.RIGHT, Outcome.WRONG, Outcome.UNPARSED)
    assert (judgement.extracted == gold) == (judgement.outcome is Outcome.RIGHT)


@given(st.integers(-(10**7), 10**7), st.integers(-(10**7), 10**7))
def test_only_the_same_number_is_right_however_it_is_spelled(gold: int, said: int) -> None:
    reference = GymReference(dataset="gcd", entry=repr({"question": "What is it?", "metadata": {}}), value=str(gold))
    for text in (
        f"\\boxed{{{said:,}}}",
        f"The answer is **{said}**.",
        f"The answer is:\n```\n{said}\n```",
        f"<answer>n = {said:_}</answer>".replace("_", " "),
    ):
        assert (gym.judge(reference, text).outcome is Outcome.RIGHT) == (gold == said)


@pytest.mark.parametrize(
    "said", ["The answer is:\n\n0 1\n1 2", "**Answer:**\n```\n0 1\n1 2\n```", "<answer>\n0 1\n1 2\n</answer>", "\\boxed{0 1\n1 2}"]
)
def test_the_statement_of_a_grid_has_all_of_its_rows(said: str) -> None:
    grid = GymReference(dataset="binary_matrix", entry=repr({"question": "How far?", "metadata": {}}), value="0 1\n1 2")
    assert final_statement(f"We go through the cells.\n\n{said}\n\nEach cell has its distance.", grid) == said
    assert gym.judge(grid, said).extracted == grid.value


@pytest.mark.slow
def test_gold_answers_are_right_in_processes_of_their_own() -> None:
    problems = [problem for name in (*NAMES, "rearc") for problem in made(name, {Split.TRAIN: 10})]
    verdicts = judge_texts(gold_cases(problems), workers=1, timeout_seconds=30)
    assert with_right_gold(problems, verdicts) == (problems, [])


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("The answer is \\boxed{5}.", Outcome.RIGHT),
        ("Answer: 5", Outcome.RIGHT),
        ("The answer is 4. No, wait: the answer is 5.", Outcome.RIGHT),
        ("The answer is \\boxed{6}.", Outcome.WRONG),
        ("The answer is \\boxed{5 apples}.", Outcome.WRONG),
        ("The answer is \\boxed{5} or \\boxed{6}.", Outcome.UNPARSED),
        ("5", Outcome.UNPARSED),
        ("", Outcome.UNPARSED),
        ("\\boxed{}", Outcome.UNPARSED),
    ],
)
def test_the_last_statement_is_scored_and_a_part_of_the_score_is_wrong(text: str, outcome: Outcome) -> None:
    judgement = gym.judge(SUM, text)
    assert judgement.outcome is outcome, judgement
    assert (judgement.extracted is None) == (outcome is Outcome.UNPARSED)
    assert "score 0.125" in gym.judge(SUM, "The answer is \\boxed{5 apples}.").detail


def test_a_scorer_may_accept_another_answer_than_the_gold_and_reads_what_the_data_set_was_made_with() -> None:
    entry = repr({"question": "Make 24.", "metadata": {"numbers": [9, 9, 3, 3]}})
    reference = GymReference(dataset="puzzle24", entry=entry, value="9 + 9 + 3 + 3")
    assert gym.judge(reference, "The answer is \\boxed{9 + 3*9/3 + 6 - 6}.").outcome is Outcome.WRONG
    assert gym.judge(reference, "The answer is \\boxed{9/3 * 9 - 3}.").outcome is Outcome.RIGHT
    narrow = reference.model_copy(update={"arguments": {"max_value": 6}})
    assert gym.judge(narrow, "The answer is \\boxed{9 + 9 + 3 + 3}.").outcome is Outcome.WRONG


ATTACKS = (
    "__import__('os').system('true')", "open('x', 'w')", "[print][0]('x')", "(print)('x')", "().mro", "f'{1}'", "exec('1')", "[x := 1]",
    "lambda: 1", "x! + print (1)", "x!\nprint(1)", "(open\\\n(1))", "open!(1)", "sin(x)(1)", "sin(open(1))", "sin(*x)", "sin(x=1)",
    "[1 for x in y]", "x.y", "x[1]", "1 if x else y", "not x", "x @ y", "'a' * 9", "ｏｐｅｎ(1)", "[1, 2] # 3", "-" * 3000,
    "1 + " * 1000 + "1", "(" * 300 + ")" * 300, "[open(1)]", "[open\\\n(1)]", "1, open(1)", "lambda", "Integral(x, x)",
)  # fmt: skip
CREATES = ('open\\\n("{file}",chr\\\n(119))', '(open#\n("{file}",chr#\n(119)))', '[open("{file}","w")]', 'sin(open("{file}","w"))')


@pytest.mark.parametrize("dataset", ["number_sorting", "simple_integration", "puzzle24", "string_insertion"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_text_that_could_run_code_reaches_no_scorer_that_evaluates(attack: str, dataset: str) -> None:
    reference = GymReference(dataset=dataset, entry=repr({"question": "Sort.", "metadata": {}}), value="['1']")
    if attack not in ("lambda", "not x", "1 if x else y", "'a' * 9") or dataset in gym.FORMULAS:
        assert not gym.is_harmless(reference, attack)
    assert gym.is_harmless(SUM, attack)


@pytest.mark.parametrize("dataset", sorted(gym.LITERALS | gym.FORMULAS))
@pytest.mark.parametrize("attack", CREATES)
def test_no_answer_makes_a_file(attack: str, dataset: str, tmp_path: Path) -> None:
    metadata = {
        "variable": "x",
        "integrand": "x",
        "valid_answers": [],
        "problem": "1",
        "numbers": [1],
        "target": 1,
        "direction": "ascending",
    }
    reference = GymReference(dataset=dataset, entry=repr({"question": "?", "metadata": metadata}), value="1")
    file = tmp_path / "made"
    assert gym.judge(reference, f"\\boxed{{{attack.format(file=file)}}}").outcome is Outcome.UNPARSED
    assert not file.exists()


LITERAL_ANSWERS = ("['1', '2.5']", "A B C", "[[0, 1], [1, 0]]", "ABCDD", "0 1\n1 0", "_ _ Q", "1, 2, 3", "0x1f")
FORMULA_ANSWERS = (
    "3*x**2 + sin(x)/2 - exp(2*x)",
    "(1 + 2)*3.5",
    "4! + 2**3",
    "-(x - 1)!/2",
    "x^2",
    "2*(2 - 8*x)**(3/2)/3 + C",
    "(sin(x)\n + 1)",
)


@pytest.mark.parametrize(
    ("datasets", "answers"), [(gym.LITERALS, LITERAL_ANSWERS), (gym.FORMULAS, FORMULA_ANSWERS)], ids=["literals", "formulas"]
)
def test_answers_as_asked_for_are_harmless(datasets: frozenset[str], answers: tuple[str, ...]) -> None:
    references = [GymReference(dataset=name, entry="{}", value="0") for name in datasets]
    assert [answer for answer in answers for reference in references if not gym.is_harmless(reference, answer)] == []


NAME_OR_CALL = st.sampled_from(
    ["x", "C", "1", "2.5", "sin(x)", "open", "open(1)", "x.real", "(", ")", "+", "**", "!", " ", "\n", "\\\n", "#"]
)


@given(st.lists(NAME_OR_CALL, max_size=8).map("".join))
def test_what_is_passed_on_to_sympy_calls_nothing_but_functions(text: str) -> None:
    from sympy.parsing.sympy_parser import standard_transformations, stringify_expr

    if not gym.is_harmless(GymReference(dataset="puzzle24", entry="{}", value="0"), text):
        return
    space: dict[str, object] = {"sin": abs, **vars(builtins)}
    with suppress(TokenError, SyntaxError):  # then parse_expr ends there, too
        code = ast.parse(stringify_expr(text.strip(), {}, space, standard_transformations), mode="eval")
        calls = {ast.unparse(node.func) for node in ast.walk(code) if isinstance(node, ast.Call)}
        assert calls <= {"Symbol", "Integer", "Float", "factorial", "sin"}


EVALUATES = {"eval", "exec", "compile", "parse_expr", "sympify", "simplify", "S", "N", "expand", "factor", "solve", "__import__", "system"}


def defined(module: ModuleType) -> dict[str, list[ast.FunctionDef]]:
    """The functions and methods of a module, and of those of the library that it imports from, by name."""
    tree = ast.parse(inspect.getsource(module))
    found: dict[str, list[ast.FunctionDef]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            found.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("reasoning_gym")):
            base = import_module("." * node.level + (node.module or ""), module.__package__)
            for alias in node.names:
                own = inspect.getmodule(getattr(base, alias.name, None))
                if own not in (None, module) and own.__name__.startswith("reasoning_gym."):
                    for inner in ast.walk(ast.parse(inspect.getsource(own))):
                        if isinstance(inner, ast.FunctionDef):
                            found.setdefault(inner.name, []).append(inner)
    return found


def evaluates(dataset: type) -> bool:
    """Whether a scorer, or a function that it may reach by name, evaluates a text."""
    functions = defined(inspect.getmodule(dataset.score_answer))
    queue, seen = ["score_answer"], set()
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        for function in functions[name]:
            called = {ast.unparse(node.func).rpartition(".")[2] for node in ast.walk(function) if isinstance(node, ast.Call)}
            if (called & EVALUATES) - functions.keys():
                return True
            used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            used |= {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
            queue += used & functions.keys()
    return False


def test_every_scorer_that_evaluates_is_known() -> None:
    found = {name for name, (dataset, _) in DATASETS.items() if evaluates(dataset)}
    assert found == gym.LITERALS | gym.FORMULAS


def test_gold_answers_of_scorers_that_evaluate_are_right() -> None:
    problems = [problem for name in sorted(gym.LITERALS | gym.FORMULAS) for problem in made(name, {Split.TRAIN: 4})]
    found = {problem.question: gym.judge(problem.reference, gym.gold_text(problem.reference)) for problem in problems}
    assert {question: judgement for question, judgement in found.items() if judgement.outcome is Outcome.UNPARSED} == {}


def test_the_version_names_the_installed_library() -> None:
    assert gym.VERSION.endswith(f"reasoning-gym-{version('reasoning-gym')}") and reasoning_gym.create_dataset
