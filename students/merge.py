"""From a trained student to plain weights: an adapter is merged into its base on the CPU in fp32, and the result is measured."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from data.adapters import is_adapter, is_plain, kind_of
from data.errors import PreflightError, StageError
from students.checkpoints import file_hash
from students.curve import CURVE
from students.job import TRAINED

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

NOT_SERVED = (TRAINED, CURVE)
PROBE_ROWS, PROBE_TOKENS = 4, 64


class MergeReport(NamedTuple):
    """How the written weights differ from what was trained."""

    max_logit_difference: float
    """Largest absolute difference of a logit over the probe."""
    top1_agreement: float
    """Share of probe positions with the same most likely token."""


def merged(model_folder: Path, base_folder: Path, out: Path) -> MergeReport:
    """Write plain weights for serving to `out`, with tokenizer, chat template and generation settings; return how they differ.

    A student whose weights were all trained is copied. An adapter is merged into the unquantised base in fp32, written, read
    again, and compared with the adapter on its base over random tokens. Raises StageError where the result is not finite.
    """
    out.mkdir(parents=True, exist_ok=True)
    if not is_adapter(model_folder):
        return _copied(model_folder, out)
    if not is_plain(model_folder):
        raise PreflightError(
            f"{model_folder}: an adapter of kind {kind_of(model_folder)} depends on its input, so it cannot be merged or served; hand off "
            "a student that distils it (objective nce)"
        )
    if not (base_folder / "config.json").is_file():
        raise PreflightError(f"{base_folder}: no config.json: not the folder of the weights that {model_folder} was trained on")
    return _merged(model_folder, base_folder, out)


def _copied(model_folder: Path, out: Path) -> MergeReport:
    shutil.copytree(model_folder, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*NOT_SERVED))
    for name in (path.name for path in model_folder.glob("*.safetensors")):
        if file_hash(model_folder / name) != file_hash(out / name):
            raise StageError(f"{out / name}: the copy differs from {model_folder / name}; run again, and look at the disk")
    return MergeReport(0.0, 1.0)


def _merged(model_folder: Path, base_folder: Path, out: Path) -> MergeReport:
    import torch
    from peft import PeftModel
    from transformers import AutoTokenizer, GenerationConfig

    base = _load(base_folder)
    probe_BT = torch.randint(
        base.config.get_text_config().vocab_size, (PROBE_ROWS, PROBE_TOKENS), generator=torch.Generator().manual_seed(0)
    )
    adapted = PeftModel.from_pretrained(base, str(model_folder)).eval()
    wanted_BTV = _logits(adapted, probe_BT)
    plain = adapted.merge_and_unload(safe_merge=True)
    plain.generation_config = GenerationConfig.from_pretrained(model_folder)
    plain.save_pretrained(out)
    AutoTokenizer.from_pretrained(model_folder).save_pretrained(out)
    return compared(wanted_BTV, _logits(_load(out), probe_BT))


def _load(folder: Path) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM

    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, device_map=None)
    return model.eval()


def _logits(model: torch.nn.Module, ids_BT: torch.Tensor) -> torch.Tensor:
    import torch

    with torch.no_grad():
        logits_BTV: torch.Tensor = model(input_ids=ids_BT, use_cache=False).logits
    return logits_BTV


def compared(wanted_BTV: torch.Tensor, found_BTV: torch.Tensor) -> MergeReport:
    """How two sets of logits for the same tokens differ; raises StageError where one is not finite."""
    if not bool(wanted_BTV.isfinite().all() and found_BTV.isfinite().all()):
        raise StageError("logits of the merged student are not finite; the adapter or the base is damaged, train again")
    agreement = (wanted_BTV.argmax(-1) == found_BTV.argmax(-1)).float().mean()
    return MergeReport(float((wanted_BTV - found_BTV).abs().max()), float(agreement))
