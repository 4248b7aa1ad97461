"""How much memory a training takes on each device, from shapes alone: no weights are read.

With P parameters of which T learn, N processes, w bytes of a number (4; 2 where it is held in 16 bits; about 0.52 in nf4's blocks):

    weights      w P                     / N under ZeRO-3
    gradients    w T                     / N under ZeRO-2 and ZeRO-3
    optimizer    8 T (AdamW's two moments in fp32), and 4 T for the fp32 weights behind 16-bit ones under ZeRO; / N there
    activations  b L (n (4 m + 6 h + 4 (q + k)) a + c V): b rows of L tokens, n layers, hidden size h, inner size m, q and k the widths of
                 all queries and of all keys, V the vocabulary; a = 4 bytes (3 in mixed precision), c = 12 bytes (14: logits, their fp32
                 copy, log-probabilities, gradient). With gradient checkpointing n h a and one layer. Mixed precision over fp32 weights
                 holds a 16-bit copy of them too.

The first three are held for certain. The fourth is what a decoder with gated layers and attention that stores no scores keeps for its
backward pass; other architectures differ. ZeRO: arXiv 1910.02054; activations counted after arXiv 2205.05198.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from data.checks import Finding, error, warning
from students.places import ALL_SHARED, Places
from students.settings import Asc, Nce, Objective, Training

if TYPE_CHECKING:
    from students.models import Precision

NF4_BYTES = 0.516
"""Four bits, and the scales of its blocks after they are quantised themselves (arXiv 2305.14314, section 3)."""
MOMENT_BYTES, MASTER_BYTES, FP32_BYTES = 8, 4, 4


class Shapes(NamedTuple):
    """What of a model decides its memory, in numbers."""

    parameters: int
    packed: int
    """Parameters of linear layers but the head: what nf4 packs."""
    adapter: int
    """Of the LoRA that the settings name."""
    layers: int
    per_layer: int
    """Numbers that a layer keeps of each token for its backward pass."""
    hidden: int
    vocabulary: int


class Memory(NamedTuple):
    """Bytes on each device."""

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def certain(self) -> float:
        """What is held however short the rows are."""
        return self.weights + self.gradients + self.optimizer

    @property
    def whole(self) -> float:
        """With what a micro batch of the longest rows keeps."""
        return self.certain + self.activations


def shapes_of(folder: Path, training: Training) -> Shapes:
    """The shapes of the model in a folder, built without memory for its weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head, targets = model.get_output_embeddings(), training.lora_targets
    linear = {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and m is not head}
    adapted = [m for name, m in linear.items() if targets == "all-linear" or name.split(".")[-1] in targets]
    text = config.get_text_config()
    return Shapes(
        parameters=sum(weight.numel() for weight in model.parameters()),
        packed=sum(m.weight.numel() for m in linear.values()),
        adapter=sum(training.lora_rank * (m.in_features + m.out_features) for m in adapted),
        layers=text.num_hidden_layers,
        per_layer=_kept_per_layer(text),
        hidden=text.hidden_size,
        vocabulary=text.vocab_size,
    )


def _kept_per_layer(text: Any) -> int:
    heads = text.num_attention_heads
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    keys = getattr(text, "num_key_value_heads", None) or heads
    inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    return int(4 * inner + 6 * text.hidden_size + 4 * width * (heads + keys))


def memory_of(shapes: Shapes, training: Training, precision: Precision, *, length: int, objective: Objective | None = None) -> Memory:
    """The estimate of the module's docstring for rows of `length` tokens."""
    strategy, processes = training.launch.strategy, training.launch.processes
    shards, is_sharded = (processes if strategy == "zero3" else 1), strategy in ("zero2", "zero3")
    is_16_bit, is_frozen = precision.name != "fp32", isinstance(objective, Asc) and objective.body == "frozen"
    held = 2 if is_16_bit and (is_sharded or training.adapter == "lora") else FP32_BYTES
    weights = float(shapes.parameters * held)
    if training.quantization == "nf4":
        weights = shapes.packed * NF4_BYTES + (shapes.parameters - shapes.packed) * held
    if isinstance(objective, Nce):
        weights *= 2  # its NAT teacher stands on weights of its own
    learning, learnt_in = shapes.parameters, held
    if training.adapter == "lora":
        learning, learnt_in = shapes.adapter, 2 if is_16_bit and is_sharded else FP32_BYTES
        weights += learning * learnt_in
    learning = 0 if is_frozen else learning
    owners = processes if is_sharded else 1
    moments = MOMENT_BYTES + (MASTER_BYTES if learnt_in == 2 else 0)
    return Memory(
        weights=weights / shards,
        gradients=learning * learnt_in / owners,
        optimizer=learning * moments / owners,
        activations=0.0
        if is_frozen
        else _activations(shapes, training, is_16_bit=is_16_bit, length=length)
        + (2.0 * shapes.parameters if is_16_bit and held == FP32_BYTES else 0.0),
    )


def _activations(shapes: Shapes, training: Training, *, is_16_bit: bool, length: int) -> float:
    number, logit = (3, 14) if is_16_bit else (4, 12)
    kept = shapes.layers * shapes.per_layer
    if training.gradient_checkpointing:
        kept = shapes.layers * shapes.hidden + shapes.per_layer
    return float(training.micro_batch_rows * length * (kept * number + shapes.vocabulary * logit))


def free_bytes(processes: int) -> int:
    """What this process may take: of its GPU, or its share of the machine's memory where there is none."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info(int(os.environ.get("LOCAL_RANK", "0")))[0])
    return int(psutil.virtual_memory().available // processes)


def memory_findings(memory: Memory, free: float, *, length: int, places: Places = ALL_SHARED) -> Iterator[Finding]:
    """An error where what is held for certain is more than what is `free` for one process; a warning where the estimate is."""
    held = f"weights {_gb(memory.weights)}, gradients {_gb(memory.gradients)}, optimizer {_gb(memory.optimizer)}"
    if memory.certain > free:
        yield error(
            places.whole,
            f"each process holds {_gb(memory.certain)} ({held}), and {_gb(free)} are free",
            "set adapter: lora, quantization: nf4, or launch.strategy: zero2 or zero3 over more GPUs; or take a smaller base",
        )
    elif memory.whole > free:
        yield warning(
            places.whole,
            f"with rows of {length} tokens each process takes about {_gb(memory.whole)} ({held}, activations about "
            f"{_gb(memory.activations)}), and {_gb(free)} are free",
            "lower micro_batch_rows or max_length, or set gradient_checkpointing: true",
        )


def _gb(count: float) -> str:
    return f"{count / 1e9:.3g} GB"
