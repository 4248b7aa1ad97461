"""Problems from a data set on the Hugging Face hub, or from a local folder of the same layout."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from data.errors import ParamsError, RecordError
from data.records import Problem, Split
from data.sources.rows import Layout, problems_of

COMMIT = re.compile(r"[0-9a-f]{40}")


def load(name: str, layout: Layout, *, split: Split, config: str | None = None, revision: str | None = None) -> list[Problem]:
    """The problems of the data set's part that is called like `split` ("train", "test").

    A hub name needs the commit of its revision, so that a rerun reads the same rows; a folder has none.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError

    _check_revision(name, revision)
    try:
        rows = load_dataset(name, config, split=split.value, revision=revision)
    except (DatasetNotFoundError, FileNotFoundError, ConnectionError, ValueError) as error:
        raise RecordError(
            f"{name}: part {split.value!r} cannot be loaded: {error}; check name, config and revision in prepare.source"
        ) from error
    places = ((f"{name}[{split.value}]:{number}", _mapping(row)) for number, row in enumerate(rows, start=1))
    problems = list(problems_of(places, layout, split))
    if not problems:
        raise RecordError(f"{name}: part {split.value!r} is empty; at least one problem is needed")
    return problems


def _check_revision(name: str, revision: str | None) -> None:
    if Path(name).is_dir():
        if revision is not None:
            raise ParamsError(f"prepare.source.revision: {revision!r} is given, but {name!r} is a local folder; leave it out")
    elif revision is None or not COMMIT.fullmatch(revision):
        raise ParamsError(
            f"prepare.source.revision: {revision!r} does not pin {name!r}; give the data set's commit (40 hex digits), or a local folder"
        )


def _mapping(row: object) -> Mapping[str, object]:
    assert isinstance(row, dict)
    return row
