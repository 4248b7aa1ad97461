"""What is installed, what this machine has, and which recipes run here: `python -m pipeline.commands.doctor [FILE]`.

Exits with 1 where the environment is not that of the lock, or where the named FILE cannot run here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import yaml

from data.errors import ParamsError
from pipeline.support.machine import Package, Resources, accelerator, asked_for, lacking, packages, processor, resources
from pipeline.support.params import PARAMS, load
from pipeline.support.text_table import render, size
from students.models import Devices, devices, precision_of

CONFIGS, YES = Path("configs"), "yes"


class Findings(NamedTuple):
    """The whole report, whether the packages are those of the lock, and whether all recipes that were asked for can run here."""

    report: str
    as_locked: bool
    runnable: bool


def doctor(recipes: list[Path]) -> Findings:
    """Look at the environment, the machine and the recipes."""
    lock = accelerator()
    locked, here, found = packages(lock), resources(), devices()
    verdicts = [(str(recipe), verdict(recipe, here, found)) for recipe in recipes]
    parts = [
        versions(locked, asked_for(lock), lock),
        render(("machine", ""), machine(here, found), left=(0, 1)),
        render(("recipe", "runs here"), verdicts, left=(0, 1)),
    ]
    return Findings("\n\n".join(parts), all(package.as_locked for package in locked), all(text == YES for _, text in verdicts))


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
        ("free memory", size(here.memory)),
        ("free disk", size(here.disk)),
    ]


def verdict(recipe: Path, here: Resources, found: Devices) -> str:
    """`yes`, or why not."""
    try:
        params = load(recipe)
    except ParamsError as error:
        return f"no: {error}"
    reasons = list(lacking(params, here, found))
    return f"no: {'; '.join(reasons)}" if reasons else YES


def recipes_in(folder: Path = CONFIGS) -> list[Path]:
    """The params files under a folder: what names the stage `prepare`; accelerate, DeepSpeed and model files lie there too."""
    return [path for path in sorted(folder.rglob("*.yaml")) if "prepare" in (yaml.safe_load(path.read_text(encoding="utf-8")) or {})]


if __name__ == "__main__":
    asked = [Path(name) for name in sys.argv[1:]]
    findings = doctor(asked or [PARAMS, *recipes_in()])
    print(findings.report)
    sys.exit(0 if findings.as_locked and (findings.runnable or not asked) else 1)
