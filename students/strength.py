"""What a student has learnt at another strength: its weights on the line from the base through the student.

Strength 0 is the base, 1 the student; between them its texts get longer or shorter by degrees, beyond 1 more so (CoT-Valve,
arXiv 2502.09601, for a LoRA; for whole weights the model merging of Kimi k1.5, arXiv 2501.12599). It needs no training.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from data.adapters import is_adapter
from data.errors import StageError
from data.tables import disk_errors_named

if TYPE_CHECKING:
    import torch

WEIGHTS = "*.safetensors"
LORA_B = "lora_B"


def at_strength(model: Path, base: Path, strength: float, out: Path) -> Path:
    """Write the student of the folder `model` at this strength to `out`, unless it lies there already; returns `out`.

    An adapter stays an adapter. Raises StageError where base and student have other tensors.
    """
    if out.is_dir():
        return out
    part = out.with_name(f"{out.name}.part")
    with disk_errors_named(part):
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(model, part, ignore=shutil.ignore_patterns(WEIGHTS))
        start = None if is_adapter(model) else _tensors(base)
        for file in sorted(model.glob(WEIGHTS)):
            _write(file, part, start, strength)
        part.replace(out)
    return out


def _write(file: Path, folder: Path, base: dict[str, torch.Tensor] | None, strength: float) -> None:
    from safetensors.torch import load_file, save_file

    learnt = load_file(file)
    if base is None:
        new = {name: tensor * strength if LORA_B in name else tensor for name, tensor in learnt.items()}
    else:
        new = {name: _between(name, base.get(name), tensor, strength) for name, tensor in learnt.items()}
    save_file({name: tensor.contiguous() for name, tensor in new.items()}, folder / file.name, metadata={"format": "pt"})


def _between(name: str, base: torch.Tensor | None, learnt: torch.Tensor, strength: float) -> torch.Tensor:
    if base is None or base.shape != learnt.shape:
        raise StageError(f"{name}: the base has {None if base is None else tuple(base.shape)}, the student {tuple(learnt.shape)}")
    return (base.float() + strength * (learnt.float() - base.float())).to(learnt.dtype)


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {name: tensor for file in sorted(folder.glob(WEIGHTS)) for name, tensor in load_file(file).items()}
