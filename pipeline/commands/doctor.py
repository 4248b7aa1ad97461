"""What is installed, what this machine has, and which recipes run here: `python -m pipeline.commands.doctor [FILE]`.

Of a FILE that is named it says everything that its stages' preflights would find. Exits with 1 where the environment is not that of the
lock, or where a named FILE cannot run here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
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
FILE, MACHINE = "the file", "this machine"
SECTIONS = (FILE, MACHINE, "prepare", "sample", "verify", "shorten", "reverify", "compose", "distill", "evaluate", "report", "handoff")
"""Under which findings stand: the stage whose settings their place is."""
WORDS = {Severity.ERROR: "ERROR", Severity.WARNING: "warning", Severity.INFO: "not seen"}
"""The worst first."""
COUNTED = {Severity.ERROR: "errors", Severity.WARNING: "warnings", Severity.INFO: "not seen"}
WIDTH = 110
MORE = "`make doctor PARAMS=FILE` shows all that was found of one of them, with what to do."


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
    parts = [versions(locked, set() if fully else asked_for(lock), lock), render(("machine", ""), machine(here, devices_here), left=(0, 1))]
    if fully:
        parts += [laid_out(recipe, own) for recipe, own in found.items()]
    else:
        parts += [render(("recipe", "runs here"), [(recipe, verdict(own)) for recipe, own in found.items()], left=(0, 1)), MORE]
    runnable = all(each.severity is not Severity.ERROR for own in found.values() for each in own)
    return Diagnosis("\n\n".join(parts), all(package.as_locked for package in locked), runnable)


def versions(locked: list[Package], shown: set[str], lock: str) -> str:
    """The packages of `shown`, and of the others those that are not as locked."""
    rows = [
        (package.name, package.found or "missing", package.locked, "" if package.as_locked else "NOT AS LOCKED")
        for package in locked
        if package.name in shown or not package.as_locked
    ]
    others = sum(package.as_locked for package in locked) - sum(not row[-1] for row in rows)
    total = f"{f'and {others} others' if rows else f'all {others} packages'} of requirements/{lock}.txt as locked"
    wrong = sum(not package.as_locked for package in locked)
    fix = f"\n{wrong} NOT AS LOCKED: `rm -rf .venv && make venv` rebuilds the environment" if wrong else ""
    table = render(("package", "found", "lock", ""), rows, left=(0, 1, 2, 3)) + "\n" if rows else ""
    return f"{table}{total}{fix}"


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
        return [error(str(recipe), str(problem).removeprefix(f"{recipe}: "), "`make params` shows what is allowed")]


def verdict(found: Sequence[Finding]) -> str:
    """`yes`, or the first reason why not, or the first thing that could not be looked at; with the number of the others."""
    for severity, word in ((Severity.ERROR, "no"), (Severity.INFO, "yes, but")):
        if first := next((each for each in found if each.severity is severity), None):
            others = sum(each.severity is severity for each in found) - 1
            reason = " ".join(f"{first.place}: {first.found}".split())
            return f"{word}: {reason}" + (f" (and {others} more)" if others else "")
    return YES


def laid_out(recipe: str, found: Sequence[Finding]) -> str:
    """All findings of a recipe under the stages that they concern, those with errors first, and in each the errors first."""
    rank = list(WORDS).index
    ranked = sorted(found, key=lambda each: rank(each.severity))
    sections = [(section, own) for section in SECTIONS if (own := [each for each in ranked if _section(each) == section])]
    counts = [f"{word}: {number}" for severity, word in COUNTED.items() if (number := sum(each.severity is severity for each in found))]
    can = "cannot run here" if any(each.severity is Severity.ERROR for each in found) else "can run here"
    blocks = ["\n".join([section, *map(_entry, own)]) for section, own in sorted(sections, key=lambda each: rank(each[1][0].severity))]
    return "\n\n".join([f"{recipe} {can} ({', '.join(counts) or 'nothing found'})", *blocks])


def _section(finding: Finding) -> str:
    """Its place is a key of the params file, or the file itself."""
    own = {"plan": MACHINE, "students": "distill"}
    first = finding.place.partition(".")[0]
    return own.get(first, first if first in SECTIONS else FILE)


def _entry(finding: Finding) -> str:
    """What was found, and below it what to do."""
    word, indent = f"  {WORDS[finding.severity]:<9} ", " " * 12
    first, *more = f"{finding.place}: {finding.found}".splitlines()
    lines = [_wrapped(first, word, indent), *(_wrapped(line.strip(), f"{indent}- ", f"{indent}  ") for line in more)]
    return "\n".join([*lines, _wrapped(f"→ {finding.fix}", indent, f"{indent}  ")])


def _wrapped(text: str, first: str, others: str) -> str:
    return fill(text, WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False)


def recipes_in(folder: Path = CONFIGS) -> list[Path]:
    """The params files under a folder: what names the stage `prepare`; accelerate, DeepSpeed and model files lie there too."""
    return [path for path in sorted(folder.rglob("*.yaml")) if "prepare" in (yaml.safe_load(path.read_text(encoding="utf-8")) or {})]


if __name__ == "__main__":
    asked = [Path(name) for name in sys.argv[1:]]
    diagnosis = doctor(asked or [PARAMS, *recipes_in()], fully=bool(asked))
    print(diagnosis.report)
    sys.exit(0 if diagnosis.as_locked and (diagnosis.runnable or not asked) else 1)
