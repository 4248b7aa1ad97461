"""Print a params file with all defaults filled in, or make it the one that runs: `python -m pipeline.commands.params FILE [--use]`."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from data.errors import ParamsError, ShortcotError
from pipeline.support import paths
from pipeline.support.choices import commented
from pipeline.support.inputs import content_hash
from pipeline.support.params import PARAMS, Params, load


def resolved(params: Params) -> str:
    """The settings as YAML, defaults filled in; where they are of one of several kinds, the others are named in a comment."""
    text = yaml.safe_dump(params.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True, width=140)
    return commented(params, text)


def use(recipe: Path, target: Path = PARAMS) -> None:
    """Copy a valid recipe over `target`. Raises ParamsError where that would lose edits of it that are nowhere else."""
    load(recipe)
    if target.exists() and target.read_bytes() == recipe.read_bytes():
        return
    if target.exists() and not (_was_copied(recipe, target) or _is_kept_elsewhere(target)):
        raise ParamsError(
            f"{target}: it has uncommitted edits, which `PARAMS={recipe}` would overwrite; commit them, copy them to configs/, "
            f"or drop them (`git checkout {target}`)"
        )
    shutil.copyfile(recipe, target)
    _copied().parent.mkdir(parents=True, exist_ok=True)
    _copied().write_text(_copy(recipe, target), encoding="utf-8")


def _copied() -> Path:
    """Which recipe was copied last, as it was then: it may be edited and used again."""
    return paths.workspace() / "params-in-use"


def _copy(recipe: Path, target: Path) -> str:
    return f"{content_hash(target)} {recipe.resolve()}"


def _was_copied(recipe: Path, target: Path) -> bool:
    """Whether `target` is what was copied from this recipe, though the recipe may have been edited since."""
    return _copied().is_file() and _copied().read_text(encoding="utf-8") == _copy(recipe, target)


def _is_kept_elsewhere(target: Path) -> bool:
    """Whether a file of the last commit or of configs/, committed or not, has the same content (left there by an earlier `PARAMS=`)."""
    content = target.read_bytes()
    if any(recipe.read_bytes() == content for recipe in Path("configs").rglob("*") if recipe.is_file()):
        return True
    blob, tree = _git("hash-object", str(target)), _git("ls-tree", "-r", "--full-tree", "HEAD")
    return blob in tree.split()


def _git(*arguments: str) -> str:
    """What git says; nothing where it cannot."""
    return subprocess.run(["git", *arguments], check=False, capture_output=True, text=True).stdout.strip()


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
