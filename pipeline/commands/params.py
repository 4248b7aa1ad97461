"""Print a params file with all defaults filled in, or make it the one that runs: `python -m pipeline.commands.params FILE [--use]`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from data.errors import ParamsError, ShortcotError
from pipeline.support.params import PARAMS, Params, load


def resolved(params: Params) -> str:
    """The settings as YAML, defaults filled in."""
    return yaml.safe_dump(params.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True, width=140)


def use(recipe: Path, target: Path = PARAMS) -> None:
    """Copy a valid recipe over `target`. Raises ParamsError where that would lose edits of it that are nowhere else."""
    load(recipe)
    if target.exists() and not _is_kept_elsewhere(target):
        raise ParamsError(
            f"{target}: it has uncommitted edits, which `PARAMS={recipe}` would overwrite; commit them, copy them to configs/, "
            f"or drop them (`git checkout {target}`)"
        )
    shutil.copyfile(recipe, target)


def _is_kept_elsewhere(target: Path) -> bool:
    """Whether the file equals its last commit or a recipe of configs/ (left there by an earlier `PARAMS=`)."""
    content = target.read_bytes()
    if any(recipe.read_bytes() == content for recipe in Path("configs").rglob("*.yaml")):
        return True
    committed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", str(target)], check=False, capture_output=True)
    return committed.returncode == 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--use", action="store_true", help=f"copy the file over {PARAMS}")
    arguments = parser.parse_args()
    try:
        if arguments.use:
            use(arguments.file)
        else:
            print(resolved(load(arguments.file)), end="")
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
