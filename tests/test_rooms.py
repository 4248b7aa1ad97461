import ast
import importlib.util
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "data": {"data"},
    "teachers": {"data", "teachers"},
    "students": {"data", "students"},
    "pipeline": {"data", "teachers", "students", "pipeline"},
}
SOURCES = [path for room in MAY_IMPORT for path in sorted((ROOT / room).rglob("*.py"))]
HEAVY = {"torch", "transformers", "trl", "peft", "accelerate", "deepspeed", "bitsandbytes", "vllm", "mlflow", "dvc", "ray", "datasets"}


def imported(tree: ast.AST) -> set[str]:
    """First words of all absolute imports at any depth."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in names}


def at_import(tree: ast.Module) -> ast.Module:
    """What runs when the module is imported, as far as it imports."""
    return ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def sources_of(room: str) -> dict[str, ast.Module]:
    return {relative(path): ast.parse(path.read_text()) for path in SOURCES if path.relative_to(ROOT).parts[0] == room}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_one_way(room):
    forbidden = (set(MAY_IMPORT) | {"tests"}) - MAY_IMPORT[room] | ({"torch", "vllm", "trl"} if room == "data" else set())
    assert {name: found for name, tree in sources_of(room).items() if (found := imported(tree) & forbidden)} == {}


@pytest.mark.parametrize("room", ["data", "pipeline"])
def test_nothing_heavy_is_imported_before_it_is_used(room):
    assert {name: found for name, tree in sources_of(room).items() if (found := imported(at_import(tree)) & HEAVY)} == {}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_each_room_resolves_inside_the_repository(room):
    spec = importlib.util.find_spec(room)
    assert spec is not None
    assert Path(spec.origin).is_relative_to(ROOT)


def test_no_module_is_named_like_one_of_the_standard_library():
    # pipeline/code.py is the exception: the stage, its file and its section share one word, and it is only ever run as pipeline.code.
    named = {relative(path) for path in SOURCES if path.stem in sys.stdlib_module_names and path.stem != "__init__"}
    assert named <= {"pipeline/code.py"}
    assert not set(MAY_IMPORT) & set(sys.stdlib_module_names)


def test_pyproject_names_every_package():
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(packages) == sorted(".".join(path.parent.relative_to(ROOT).parts) for path in SOURCES if path.name == "__init__.py")


def test_a_stage_is_a_file_whose_first_public_function_bears_its_name():
    first = {}
    for path in (ROOT / "pipeline").glob("*.py"):
        functions = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        first[path.stem] = next((name for name in functions if not name.startswith("_")), None)
    del first["__init__"]
    assert first == {stem: stem for stem in first}


def test_tests_have_no_packages():
    assert not list((ROOT / "tests").rglob("__init__.py"))
