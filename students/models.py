"""Models that learn: loading by precision, adapters, quantisation.

LoRA: Hu et al. 2021 (arXiv 2106.09685), on all linear layers but the head. nf4: Dettmers et al. 2023 (arXiv 2305.14314).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from data.errors import PreflightError
from students.settings import Training

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

Asked = Literal["auto", "bf16", "fp16", "fp32"]


class Devices(NamedTuple):
    """What this machine can train on."""

    gpus: int
    bf16: bool
    """Whether the GPUs compute bf16 in hardware."""


class Precision(NamedTuple):
    """The number format of the training, and why it was chosen."""

    name: Literal["bf16", "fp16", "fp32"]
    why: str


def devices() -> Devices:
    """The GPUs that torch sees."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Devices(gpus, gpus > 0 and torch.cuda.is_bf16_supported(including_emulation=False))


def precision_of(asked: Asked, found: Devices) -> Precision:
    """`auto` is bf16 on GPUs that have it, else fp32: bf16 products on most CPUs are over a hundred times slower than fp32."""
    if asked != "auto":
        return Precision(asked, "set in params")
    if found.bf16:
        return Precision("bf16", "the GPU computes bf16")
    if found.gpus:
        return Precision("fp32", "the GPU has no bf16, and fp16 must be asked for")
    return Precision("fp32", "no GPU: a CPU computes fp32 fastest")


def dtype_of(precision: Precision) -> torch.dtype:
    """The torch type of a precision."""
    import torch

    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision.name]


def accumulation(training: Training) -> int:
    """Forward passes per optimizer step in each process."""
    return training.batch_rows // (training.micro_batch_rows * training.launch.processes)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder; raises PreflightError where the folder is no model."""
    from transformers import AutoTokenizer

    _is_model(folder)
    return AutoTokenizer.from_pretrained(folder)


def load_model(folder: Path, training: Training, precision: Precision) -> PreTrainedModel:
    """The causal language model of a folder, ready to train.

    Weights that are trained in full stay fp32 (bf16 and fp16 compute under autocast); a frozen base is held in `precision`.
    """
    import torch
    from transformers import AutoModelForCausalLM

    _is_model(folder)
    frozen = training.adapter == "lora"
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=dtype_of(precision) if frozen else torch.float32,
        attn_implementation="sdpa",
        quantization_config=quantization_of(training, precision),
    )
    return model


def with_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """The model with a trained adapter that is trained on."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(folder), is_trainable=True)


def _is_model(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise PreflightError(f"{folder}: no config.json: not a model folder in Hugging Face layout; give one that `save_pretrained` wrote")


def quantization_of(training: Training, precision: Precision) -> BitsAndBytesConfig | None:
    """nf4 with double quantisation, computing in `precision`; None without quantisation."""
    if training.quantization == "none":
        return None
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype_of(precision),
    )


def adapter_of(training: Training) -> LoraConfig | None:
    """LoRA on the layers that the settings name; None where all weights are trained."""
    if training.adapter == "none":
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=training.lora_rank,
        lora_alpha=training.lora_alpha,
        lora_dropout=training.lora_dropout,
        target_modules=training.lora_targets,
        task_type="CAUSAL_LM",
    )
