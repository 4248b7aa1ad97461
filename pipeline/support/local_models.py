"""Models that the recipes name by a local folder, and how one comes there."""

from __future__ import annotations

from pathlib import Path

from data.assets import read_manifest

LAB = {"teacher": Path("teachers/lab"), "student": Path("students/lab")}
"""Built by `make lab-models`, and kept with the code."""
MANIFEST, FETCHED = Path("configs/models.yaml"), Path("models")
"""What `make gsm8k-models` can fetch, and the folder of what it fetched."""


def how_to_get(path: str) -> str:
    """What to do about a model folder that is not there."""
    folder = Path(path)
    if folder in LAB.values():
        return f"`git checkout {folder}` brings it back, `make lab-models` builds it again (hours)"
    if folder.parent == FETCHED and MANIFEST.is_file() and folder.name in read_manifest(MANIFEST):
        return "`make gsm8k-models` fetches and converts it"
    return "put a model folder in Hugging Face layout there, or name a hub's (owner/name) with `revision` pinned to a commit"
