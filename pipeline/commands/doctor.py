"""What is installed, what this machine has, and which recipes run here: `python -m pipeline.commands.doctor [FILE]`.

Of a FILE that is named it says everything that its stages' preflights would find. Exits with 1 where the environment is not that of the
lock, or where a named FILE cannot run here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from data.checks import Finding, Severity, error
from data.errors import ParamsError, StageError
from data.verifiers.sandbox.run import probe
from pipeline.support.machine import Package, Resources, accelerator, asked_for, packages, processor, resources
from pipeline.support.params import PARAMS, load
from pipeline.support.recipe import recipe_findings
from pipeline.support.text_table import render, size
from students.models import Devices, devices, precision_of

CONFIGS, YES = Path("configs"), "yes"


class Diagnosis(NamedTuple):
    """The whole report, whether the packages are those of the lock, and whether all recipes that were asked for can run here."""

    report: str
    as_locked: bool
    runnable: bool


def doctor(recipes: list[Path], *, fully: bool) -> Diagnosis:
    """Look at the environment, the machine and the recipes; `fully` shows all that was found of them."""
    lock = accelerator()
    locked, here, devices_here = packages(lock), resources(), devices()
    found = {str(recipe): findings_of(recipe, here, devices_here) for recipe in recipes}
    parts = [
        versions(locked, asked_for(lock), lock),
        render(("machine", ""), machine(here, devices_here), left=(0, 1)),
        render(("recipe", "runs here"), [(recipe, verdict(own)) for recipe, own in found.items()], left=(0, 1)),
    ]
    if fully:
        parts += [f"{recipe}:\n" + "\n".join(f"  {each.severity:<7}  {each}" for each in own) for recipe, own in found.items() if own]
    runnable = all(each.severity is not Severity.ERROR for own in found.values() for each in own)
    return Diagnosis("\n\n".join(parts), all(package.as_locked for package in locked), runnable)


def versions(locked: list[Package], shown: set[str], lock: str) -> str:
    """The packages that the code imports, and of the others those that are not as locked."""
    rows = [
        (package.name, package.found or "missing", package.locked, "" if package.as_locked else "NOT AS LOCKED")
        for package in locked
        if package.name in shown or not package.as_locked
    ]
    others = sum(package.as_locked for package in locked) - sum(not row[-1] for row in rows)
    total = f"and {others} others of requirements/{lock}.txt as locked"
    wrong = sum(not package.as_locked for package in locked)
    fix = f"\n{wrong} NOT AS LOCKED: `rm -rf .venv && make venv` rebuilds the environment" if wrong else ""
    return render(("package", "found", "lock", ""), rows, left=(0, 1, 2, 3)) + f"\n{total}{fix}"


def machine(here: Resources, found: Devices) -> list[tuple[str, str]]:
    """Facts in words."""
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    precision = precision_of("auto", found)
    gpus = [f"{torch.cuda.get_device_name(i)}, {torch.cuda.get_device_properties(i).total_memory / 1e9:.0f} GB" for i in range(found.gpus)]
    return [
        ("python", sys.version.split()[0]),
        ("torch build", f"{torch.__version__} ({build})"),
        ("processor", processor()),
        ("GPUs", "; ".join(gpus) or "none"),
        ("precision: auto", f"{precision.name}: {precision.why}"),
        ("sandbox for programs", sandbox()),
        ("free memory", size(here.memory)),
        ("free disk", size(here.disk)),
    ]


def sandbox() -> str:
    """Whether foreign programs can be kept apart here, or why not, or why that is not known."""
    try:
        return probe() or YES
    except StageError as problem:
        return str(problem)


def findings_of(recipe: Path, here: Resources, found: Devices) -> list[Finding]:
    """What was found of a recipe; of one that cannot be read, that."""
    try:
        return recipe_findings(load(recipe), here, found)
    except ParamsError as problem:
        return [error(str(recipe), str(problem), "`make params` shows what is allowed")]


def verdict(found: Sequence[Finding]) -> str:
    """`yes`, or why not; with what could not be looked at."""
    for severity, word in ((Severity.ERROR, "no"), (Severity.INFO, "yes, but")):
        if reasons := [f"{each.place}: {each.found}" for each in found if each.severity is severity]:
            return f"{word}: {'; '.join(reasons)}"
    return YES


def recipes_in(folder: Path = CONFIGS) -> list[Path]:
    """The params files under a folder: what names the stage `prepare`; accelerate, DeepSpeed and model files lie there too."""
    return [path for path in sorted(folder.rglob("*.yaml")) if "prepare" in (yaml.safe_load(path.read_text(encoding="utf-8")) or {})]


if __name__ == "__main__":
    asked = [Path(name) for name in sys.argv[1:]]
    diagnosis = doctor(asked or [PARAMS, *recipes_in()], fully=bool(asked))
    print(diagnosis.report)
    sys.exit(0 if diagnosis.as_locked and (diagnosis.runnable or not asked) else 1)
