"""What stands on a base model: LoRA, and kinds of adapters that other rooms know how to load."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.errors import EngineError

CONFIG = "adapter_config.json"
LORA = "LORA"
LOADERS: dict[str, Callable[[Any, Path], Any]] = {}
"""Kind of adapter → how it is put on its base; `pipeline` fills in what `students` makes."""


def kind_of(folder: Path) -> str:
    """The kind that an adapter's settings name. Raises EngineError where there are none."""
    try:
        return str(json.loads((folder / CONFIG).read_text(encoding="utf-8"))["peft_type"])
    except (OSError, ValueError, KeyError) as error:
        raise EngineError(f"{folder / CONFIG}: no settings of an adapter: {error!r}") from error


def with_adapter(model: Any, folder: Path) -> Any:
    """The base with the adapter on it, for inference."""
    kind = kind_of(folder)
    if kind in LOADERS:
        return LOADERS[kind](model, folder)
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(folder))


def is_plain(folder: Path | None) -> bool:
    """Whether weights are plain: none on top of the base, or a LoRA, which could be merged into it."""
    return folder is None or kind_of(folder) == LORA


def check_plain(folder: Path | None, engine: str) -> None:
    """Refuse an adapter that is no LoRA where only plain weights can be computed. Raises EngineError."""
    if folder is not None and not is_plain(folder):
        raise EngineError(
            f"{folder}: an adapter of kind {kind_of(folder)} depends on its input, so engine {engine} cannot compute it and nothing can "
            "merge it; sample it with engine hf, or distil it into a plain LoRA (objective nce)"
        )
