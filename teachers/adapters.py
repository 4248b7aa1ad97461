"""What stands on a base model: LoRA, and kinds of adapters that other rooms know how to load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from data.adapters import LORA, is_plain, kind_of
from data.errors import EngineError

LOADERS: dict[str, Callable[[Any, Path], Any]] = {}
"""Kind of adapter → how it is put on its base; a stage that asks such models fills it in, since `students` makes them."""


def with_adapter(model: Any, folder: Path) -> Any:
    """The base with the adapter on it, for inference. Raises EngineError for a kind that nobody here can load."""
    kind = kind_of(folder)
    if kind == LORA:
        from peft import PeftModel

        return PeftModel.from_pretrained(model, str(folder))
    if kind not in LOADERS:
        raise EngineError(f"{folder}: an adapter of kind {kind}; allowed here: {sorted({LORA, *LOADERS})}")
    return LOADERS[kind](model, folder)


def check_plain(folder: Path | None, engine: str) -> None:
    """Refuse an adapter that is no LoRA where only plain weights can be computed. Raises EngineError."""
    if folder is not None and not is_plain(folder):
        raise EngineError(
            f"{folder}: an adapter of kind {kind_of(folder)} depends on its input, so engine {engine} cannot compute it and nothing can "
            "merge it; sample it with engine hf, or distil it into a plain LoRA (objective nce)"
        )
