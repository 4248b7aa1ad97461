"""What a whole recipe would stumble over on this machine: what `make doctor` says of a params file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from data.checks import Finding, error
from data.hub import folder_here
from pipeline import distill, evaluate, handoff, reverify, sample, shorten
from pipeline.support.machine import Resources
from pipeline.support.params import Params, training_of
from pipeline.support.preflight import Look, used_findings
from students.capabilities import capability_findings
from students.memory import memory_findings, memory_of, shapes_of
from students.models import Devices, precision_of
from students.places import Places

STAGES = (sample, shorten, reverify, distill, evaluate, handoff)
"""Those that spend: on a teacher's tokens, on trainings, on answers."""


def recipe_findings(params: Params, here: Resources, devices: Devices) -> list[Finding]:
    """The recipe's own needs, its files, and what each of its stages would look at; models that are not here are left out, and named."""
    found = [*_needs(params, here), *_missing_files(params)]
    for stage in STAGES:
        found += used_findings(stage.used(params), Look(fetch=False, here=lambda: here))
    return list(dict.fromkeys([*found, *_trainings(params, here, devices)]))


def _needs(params: Params, here: Resources) -> Iterator[Finding]:
    plan = params.plan
    needs = [
        ("gpus", plan.gpus > here.gpus, f"needs {plan.gpus} GPU(s), sees {here.gpus}"),
        (
            "gpu_gigabytes",
            plan.gpu_gigabytes * 1e9 > here.gpu_memory,
            f"needs {plan.gpu_gigabytes:g} GB on each GPU, sees {here.gpu_memory / 1e9:.0f}",
        ),
        (
            "memory_gigabytes",
            plan.memory_gigabytes * 1e9 > here.memory,
            f"needs {plan.memory_gigabytes:g} GB of memory, {here.memory / 1e9:.1f} are free",
        ),
        (
            "disk_gigabytes",
            plan.disk_gigabytes * 1e9 > here.disk,
            f"needs {plan.disk_gigabytes:g} GB of disk, {here.disk / 1e9:.1f} are free",
        ),
    ]
    yield from (error(f"plan.{key}", found, "take a larger machine, or a smaller recipe") for key, missing, found in needs if missing)


def _missing_files(params: Params) -> Iterator[Finding]:
    source = params.prepare.source
    named = [("sample.file", params.sample.file), ("sample.instruction", params.sample.instruction)]
    named += [("distill.instruction", params.distill.instruction), ("evaluate.base_instruction", params.evaluate.base_instruction)]
    if source.kind == "file":
        named += [("prepare.source.train", source.train), ("prepare.source.test", source.test)]
    yield from (error(key, f"{file} is not there", "name a file that is") for key, file in named if file and not Path(file).is_file())


def _trainings(params: Params, here: Resources, devices: Devices) -> Iterator[Finding]:
    base = folder_here(params.distill.base.path, params.distill.base.revision)
    for name, student in params.students.items():
        training, places = training_of(params, name), Places.of(name, student.train)
        yield from capability_findings(training, devices, student.objective, places=places)
        if base is not None and (base / "config.json").is_file():
            shapes = shapes_of(base, training)
            precision = precision_of(training.precision, devices)
            memory = memory_of(shapes, training, precision, length=training.max_length, objective=student.objective)
            free = here.gpu_memory if devices.gpus else here.memory / training.launch.processes
            yield from memory_findings(memory, free, length=training.max_length, places=places)
