"""Stage `code`: one hash per stage of the code and the local files that it depends on; every other stage depends on its own line.

A docstring or comment changes no hash; a change of behaviour in a module changes the hash of every stage that imports it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from data.errors import StageError
from data.records import content_id
from pipeline.support import paths
from pipeline.support.closure import Sources
from pipeline.support.inputs import content_hash, named_paths
from pipeline.support.params import Params, load
from pipeline.support.stage import Statistics, run_stage
from pipeline.support.student_settings import BASE


def code(graph: Mapping[str, Any], params: Params, sources: Sources) -> dict[str, str]:
    """Stage → hash of its import closure and of the files and folders that its sections of `params` name.

    `graph` is `stages` of dvc.yaml, which says what sections a stage reads.
    """
    settings = params.model_dump(mode="json", by_alias=True)
    hashes = {}
    for stage in sorted(set(graph) - {"code"}):
        inputs = named_paths([part_of(settings, name) for name in settings_of(graph[stage])])
        hashes[stage] = content_id(sources.closure_hash(f"pipeline.{stage}"), [[p.as_posix(), content_hash(p)] for p in inputs])
    return hashes


def check_current(params: Params) -> None:
    """For commands beside the graph: raise StageError where the code or the files of `distill` changed since the last `dvc repro`."""
    known = json.loads(paths.CODE.read_text(encoding="utf-8")) if paths.CODE.is_file() else {}
    graph = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    if known.get("distill") != code({"distill": graph["distill"]}, params, Sources())["distill"]:
        raise StageError("the code of `distill`, or a file that it reads, changed since the last run; `dvc repro` first")


def settings_of(stage: Mapping[str, Any]) -> list[str]:
    """The names in params.yaml that a stage of dvc.yaml depends on, such as `sample` or `sample.teacher`."""
    return [name for name in stage.get("do", stage).get("params", []) if isinstance(name, str)]


def part_of(settings: Any, name: str) -> Any:
    """What a dotted name points at; as far as it goes, where its end stands for any of several (`students.${key}`)."""
    for key in name.split("."):
        if not isinstance(settings, dict) or key not in settings:
            break
        settings = settings[key]
    return settings


def remove_strangers(params: Params) -> list[Path]:
    """Delete models that no student and seed of `params` names, so that what depends on all models sees none of them."""
    wanted = {paths.model_of(student, seed) for student in params.students for seed in params.seeds}
    strangers = [folder for folder in paths.MODELS.glob("*/*") if folder not in wanted and folder.parent != paths.base_model()]
    strangers += [folder for folder in paths.MODELS.glob("*") if folder.name not in (BASE, *params.students)]
    for folder in strangers:
        shutil.rmtree(folder, ignore_errors=True)
    return strangers


def _body(statistics: Statistics) -> None:
    params = load()
    remove_strangers(params)
    graph = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    hashes = code(graph, params, Sources())
    statistics.rows_out = len(hashes)
    paths.CODE.parent.mkdir(parents=True, exist_ok=True)
    paths.CODE.write_text(json.dumps(hashes, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_stage("code", _body)
