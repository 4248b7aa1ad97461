"""Model folders: a local one as it is, or a hub's at a pinned commit."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from data.errors import ParamsError, TextFormatError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
NOT_NEEDED = ["*.bin", "*.pth", "*.pt", "*.gguf", "*.onnx", "*.h5", "*.msgpack", "original/*"]
"""Other forms of the weights that a hub may hold beside safetensors."""


def local_folder(path: str, revision: str | None) -> Path:
    """The folder of a model in Hugging Face layout, fetched first where `path` is a hub name (owner/name at the commit `revision`).

    Raises ParamsError where there is no such folder and no pinned hub name, or no config.json; TextFormatError where the tokenizer
    has no chat template.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        folder = _fetch(path, revision)
    if not (folder / "config.json").is_file():
        raise ParamsError(f"{folder}: the folder holds no config.json; a model folder in Hugging Face layout is needed")
    if not chat_template(folder):
        raise TextFormatError(
            f"{folder}: the tokenizer has no chat template; add the file chat_template.jinja, or `chat_template` in tokenizer_config.json"
        )
    return folder


def folder_here(path: str, revision: str | None) -> Path | None:
    """The folder of a model that lies on this machine: a local one, or a hub's that was fetched before; None where it is yet to come."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder
    if not can_fetch(path, revision):
        return None
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(path, revision=revision, ignore_patterns=NOT_NEEDED, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return None
    return folder if (folder / "config.json").is_file() and weights_bytes(folder) else None  # others keep single files there


def can_fetch(path: str, revision: str | None) -> bool:
    """Whether a hub can be asked for it: `owner/name` at a commit."""
    return bool(_HUB_NAME.fullmatch(path) and revision is not None and _COMMIT.fullmatch(revision))


def _fetch(name: str, revision: str | None) -> Path:
    if not _HUB_NAME.fullmatch(name):
        raise ParamsError(f"model path {name!r}: no such folder, and no hub name (owner/name); give an existing folder or a hub name")
    if revision is None or not _COMMIT.fullmatch(revision):
        raise ParamsError(
            f"model path {name!r}: no such folder; to fetch it from a hub, pin `revision` to a commit (7 to 40 hex digits), "
            f"found {revision!r}"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, ignore_patterns=NOT_NEEDED))
    except (HfHubHTTPError, LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise ParamsError(
            f"model {name!r} at revision {revision!r} cannot be fetched: {type(error).__name__}: {error}. "
            "Check name, revision, network and access rights, or give a local folder."
        ) from error


def end_ids(folder: Path) -> list[int]:
    """The end tokens that a model folder names beside its tokenizer's: those of generation_config.json, then those of config.json."""
    return [token for name in ("generation_config.json", "config.json") for token in _listed(_settings(folder / name).get("eos_token_id"))]


def positions(folder: Path) -> int | None:
    """How many tokens the model in a folder can tell apart by place; None where its config.json does not say."""
    config = _settings(folder / "config.json")
    found = config.get("max_position_embeddings", (config.get("text_config") or {}).get("max_position_embeddings"))
    return None if found is None else int(found)


def weights_bytes(folder: Path) -> int:
    """Of the weight files in a folder; 0 where there are none."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _settings(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def _listed(value: int | list[int] | None) -> list[int]:
    return [] if value is None else [value] if isinstance(value, int) else value


def chat_template(folder: Path) -> Any:
    """The chat template in a model folder, a text or several by name; None where there is none."""
    plain = folder / "chat_template.jinja"
    if plain.is_file():
        return plain.read_text(encoding="utf-8")
    for file in (folder / "chat_template.json", folder / "tokenizer_config.json"):
        if found := _settings(file).get("chat_template"):
            return found
    return None
