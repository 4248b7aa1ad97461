import ast
from pathlib import Path

import pytest
import yaml
from dvc.schema import COMPILED_MULTI_STAGE_SCHEMA
from voluptuous import Invalid

from pipeline.commands.doctor import recipes_in
from pipeline.support import paths
from pipeline.support.closure import Sources
from pipeline.support.params import Params, load
from students.launch import CONFIGS

ROOT = Path(__file__).parents[2]
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = {name: stage.get("do", stage) for name, stage in GRAPH["stages"].items()}
FILES = sorted(path.stem for path in (ROOT / "pipeline").glob("*.py") if path.stem != "__init__")
SECTIONS = set(Params.model_fields)
SOURCES = Sources(ROOT)
LOCATIONS = {name: str(value) for name, value in vars(paths).items() if isinstance(value, Path) and name != "STORE"}
LOCATIONS |= {"lessons_of": LOCATIONS["LESSONS"]} | dict.fromkeys(("base_model", "models_of", "model_of"), LOCATIONS["MODELS"])


def names_of(entries: list) -> set[str]:
    """The places that deps or outs lie in: a part of a folder stands for the whole."""
    paths_ = [Path(entry if isinstance(entry, str) else next(iter(entry))) for entry in entries]
    return {next(place for place in LOCATIONS.values() if path.is_relative_to(place)) for path in paths_}


def reached_by(stage: str) -> list[str]:
    """Modules of `pipeline` that a stage reaches, without the two that every stage takes its names from."""
    general = ("pipeline.support.params", "pipeline.support.paths")
    return [name for name in SOURCES.closure(f"pipeline.{stage}") if name.startswith("pipeline.") and name not in general]


def locations_in(module: str) -> set[str]:
    """Places of pipeline.support.paths that a module's source takes, as `paths.X` or by importing X."""
    tree = SOURCES.tree(module)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "pipeline.support.paths"]
    names = attributes(tree, "paths") | {alias.name for node in imports for alias in node.names}
    return {LOCATIONS[name] for name in names if name in LOCATIONS}


def sections_in(module: str) -> set[str]:
    """Sections that a module's source reads, as `params.X` or `load().X`."""
    return {name for name in attributes(SOURCES.tree(module), "params") if name in SECTIONS}


def attributes(tree: ast.AST, holder: str) -> set[str]:
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is(node.value, holder)}


def _is(node: ast.expr, name: str) -> bool:
    if isinstance(node, ast.Call) and name == "params":
        return isinstance(node.func, ast.Name) and node.func.id == "load"
    return isinstance(node, ast.Name) and node.id == name


def test_dvc_takes_the_graph():
    assert set(COMPILED_MULTI_STAGE_SCHEMA(GRAPH)["stages"]) == set(STAGES)
    with pytest.raises(Invalid, match="extra keys not allowed"):
        COMPILED_MULTI_STAGE_SCHEMA({**GRAPH, "stages": {"distill": {**GRAPH["stages"]["distill"], "desc": "not beside foreach"}}})


def test_one_stage_per_file():
    assert sorted(STAGES) == FILES


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_its_file_and_depends_on_its_own_line_of_code(stage):
    assert STAGES[stage]["cmd"].split()[:3] == ["python", "-m", f"pipeline.{stage}"]
    lines = [entry for entry in STAGES[stage].get("params", []) if isinstance(entry, dict)]
    assert lines == ([] if stage == "code" else [{str(paths.CODE): [stage]}])
    assert STAGES[stage]["outs"]


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "code"])
def test_a_stage_declares_the_files_that_its_source_names(stage):
    flowing = [dep for dep in STAGES[stage].get("deps", []) if Path(dep).is_relative_to(paths.STORE)]
    declared = names_of(flowing) | names_of(STAGES[stage]["outs"])
    assert {place for module in reached_by(stage) for place in locations_in(module)} - {str(paths.CODE)} == declared


def test_a_student_depends_on_the_one_that_it_starts_from_and_keeps_its_other_seeds():
    assert GRAPH["stages"]["distill"]["foreach"] == "${students}"
    assert STAGES["distill"]["deps"][:2] == [str(paths.lessons_of("${key}")), str(paths.models_of("${item.from}"))]
    assert STAGES["distill"]["outs"] == [{str(paths.models_of("${key}")): {"persist": True}}]
    assert STAGES["base"]["outs"] == [str(paths.base_model())]


def test_a_training_depends_on_the_files_that_launch_it():
    named = [yaml.safe_load(file.read_text()).get("deepspeed_config", {}) for file in (ROOT / CONFIGS).glob("*.yaml")]
    folders = {str(CONFIGS), *(str(Path(entry["deepspeed_config_file"]).parent) for entry in named if entry)}
    assert len(folders) == 2
    assert folders <= set(STAGES["distill"]["deps"])


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "code"])
def test_a_stage_declares_the_sections_that_its_source_reads(stage):
    declared = {name.split(".")[0] for name in STAGES[stage].get("params", []) if isinstance(name, str)}
    assert declared <= SECTIONS
    assert {section for module in reached_by(stage) for section in sections_in(module)} <= declared


@pytest.mark.parametrize("recipe", [ROOT / "params.yaml", *recipes_in(ROOT / "configs")], ids=lambda path: path.name)
def test_every_recipe_is_valid_and_names_what_the_graph_depends_on(recipe):
    load(recipe)
    values = yaml.safe_load(recipe.read_text())
    for stage in STAGES.values():
        for name in (entry for entry in stage.get("params", []) if isinstance(entry, str)):
            place = values
            for key in name.replace("${key}", next(iter(values["students"]))).split("."):
                assert key in place, f"{recipe.name} lacks {name}, without which DVC refuses the stage"
                place = place[key]


def test_metrics_plots_and_artifacts_lie_in_outputs():
    outs = {name for stage in STAGES.values() for name in names_of(stage["outs"])}
    shown = [*GRAPH["metrics"], *(artifact["path"] for artifact in GRAPH["artifacts"].values())]
    for plot in GRAPH["plots"]:
        for name, form in plot.items():
            shown += form["y"] if isinstance(form.get("y"), dict) else [name]
    assert all(any(Path(file).is_relative_to(out) for out in outs) for file in shown)
