"""What the folder of an adapter says of it; an adapter stands on base weights that lie elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from data.errors import StageError

ADAPTER: Final = "adapter_config.json"
LORA: Final = "LORA"
"""Plain: it can be merged into its base, and vLLM computes it."""
NAT: Final = "NAT"
"""Depends on its input (students/nat.py): neither."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and not whole weights."""
    return (folder / ADAPTER).is_file()


def kind_of(folder: Path) -> str:
    """The kind that an adapter's settings name. Raises StageError where there are none."""
    try:
        return str(json.loads((folder / ADAPTER).read_text(encoding="utf-8"))["peft_type"])
    except (OSError, ValueError, KeyError) as error:
        raise StageError(f"{folder / ADAPTER}: no settings of an adapter ({error!r}); train it again") from error


def is_plain(folder: Path | None) -> bool:
    """Whether weights are plain: none on top of the base, or a LoRA."""
    return folder is None or kind_of(folder) == LORA
