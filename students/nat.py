"""NAT: a student that learns from right traces with a frozen adapter of wrong ones beside it (arXiv 2312.12832, section 3.2).

In every adapted layer a unit decides, token by token, how much of what the negative adapter says is added or subtracted:

    h_i = W x + s B_i A_i x              for i in (positive, negative)
    p   = softmax(q · k_pos, q · k_neg)  with q = Q x, k_i = K h_i
    a   = 2 β p_neg - β                  in (-β, β)
    out = W x + (1 - a) V(h_pos) + a V(h_neg)

V is one linear map (the paper's equation 5) or a bottleneck with GELU (what its code runs); either ends in zeros at first, so that the
training starts at the base model. The layer depends on its input, so it cannot be merged or served: NCE distils it into a plain LoRA.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from data.adapters import ADAPTER, NAT
from data.errors import StageError
from students.settings import Nat, Training

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WEIGHTS = "adapter_model.safetensors"


class LowRank(nn.Module):
    """The part of a LoRA beside a layer: scale · B A x; nothing at first, since B is zero."""

    def __init__(self, inputs: int, outputs: int, rank: int, *, scale: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs, bias=False)
        self.scale, self.dropout = scale, nn.Dropout(dropout)
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What is added to the layer's output."""
        added: torch.Tensor = self.scale * self.up(self.down(self.dropout(x)))
        return added


class Unit(nn.Module):
    """The dynamic integration unit of one layer: what becomes of the positive and the negative output."""

    def __init__(self, inputs: int, outputs: int, settings: Nat) -> None:
        super().__init__()
        self.beta, width = settings.beta, settings.width
        self.query, self.key = nn.Linear(inputs, width, bias=False), nn.Linear(outputs, width, bias=False)
        last = nn.Linear(outputs if settings.form == "linear" else width, outputs, bias=False)
        nn.init.zeros_(last.weight)
        self.value = last if settings.form == "linear" else nn.Sequential(nn.Linear(outputs, width, bias=False), nn.GELU(), last)

    def share(self, x: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        """Weight of the negative output for every token, in (-β, β); that of the positive one is 1 minus it."""
        query = self.query(x)
        scores = torch.stack([(query * self.key(positive)).sum(-1), (query * self.key(negative)).sum(-1)], dim=-1)
        return 2 * self.beta * F.softmax(scores, dim=-1)[..., 1:] - self.beta

    def forward(self, x: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        """What is added to the base's output."""
        share = self.share(x, positive, negative)
        added: torch.Tensor = (1 - share) * self.value(positive) + share * self.value(negative)
        return added


class NatLinear(nn.Module):
    """A linear layer with both adapters and the unit. `negative_only` makes it the layer of the negative adapter alone."""

    def __init__(self, base: nn.Linear, negative: LowRank, positive: LowRank, unit: Unit) -> None:
        super().__init__()
        self.base, self.negative, self.positive, self.unit = base, negative, positive, unit
        self.negative_only = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, of the shape and type of its base's."""
        base: torch.Tensor = self.base(x)
        inner = x.to(self.positive.down.weight.dtype)
        negative = base + self.negative(inner)
        if self.negative_only:
            return negative.to(base.dtype)
        return (base + self.unit(inner, base + self.positive(inner), negative)).to(base.dtype)


def build(model: PreTrainedModel, negative: Path, settings: Nat, training: Training) -> PreTrainedModel:
    """Put a NAT layer in the place of every layer that the LoRA adapter in the folder `negative` adapts.

    Only the positive adapters and the units are trainable. Works on any model that PEFT adapts, since PEFT finds the layers.
    """
    from peft import PeftModel
    from peft.tuners.lora import Linear, LoraLayer

    adapted = PeftModel.from_pretrained(model, str(negative))
    found = [(name, layer) for name, layer in adapted.named_modules() if isinstance(layer, Linear)]
    if not found:
        raise StageError(f"{negative}: the adapter adapts no linear layer of this model; NAT needs a LoRA on linear layers")
    if strange := [name for name, layer in found if not isinstance(layer.get_base_layer(), nn.Linear)]:
        raise StageError(f"{negative}: adapts {strange[0]}, which is no torch.nn.Linear; choose linear layers by lora_targets")
    for name, layer in found:
        base, (adapter,) = layer.get_base_layer(), layer.active_adapters
        frozen = _beside(base, layer.r[adapter], scale=layer.scaling[adapter])
        frozen.down.weight.data, frozen.up.weight.data = layer.lora_A[adapter].weight.data, layer.lora_B[adapter].weight.data
        learning = _beside(base, training.lora_rank, scale=training.lora_alpha / training.lora_rank, dropout=training.lora_dropout)
        _put(adapted, name, _layer(base, frozen, learning, settings))
    plain: PreTrainedModel = adapted.get_base_model()
    if left := [name for name, module in plain.named_modules() if isinstance(module, LoraLayer)]:
        raise StageError(f"{negative}: adapts {left[0]} too, which NAT cannot; choose linear layers by lora_targets")
    return _only_learning(plain)


def _beside(base: nn.Linear, rank: int, *, scale: float, dropout: float = 0.0) -> LowRank:
    return LowRank(base.in_features, base.out_features, rank, scale=scale, dropout=dropout)


def _layer(base: nn.Linear, negative: LowRank, positive: LowRank, settings: Nat) -> NatLinear:
    layer: NatLinear = NatLinear(base, negative, positive, Unit(base.in_features, base.out_features, settings)).to(base.weight.device)
    return layer


def _put(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, layer)


def _only_learning(model: PreTrainedModel) -> PreTrainedModel:
    model.requires_grad_(False)
    for layer in layers_of(model).values():
        layer.positive.requires_grad_(True)
        layer.unit.requires_grad_(True)
    return model


def layers_of(model: nn.Module) -> dict[str, NatLinear]:
    """The NAT layers of a model, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, NatLinear)}


@contextmanager
def negative_only(model: nn.Module) -> Iterator[None]:
    """Inside, the model is the base with the negative adapter alone."""
    layers = layers_of(model).values()
    for layer in layers:
        layer.negative_only = True
    try:
        yield
    finally:
        for layer in layers:
            layer.negative_only = False


def save(model: nn.Module, folder: Path, settings: Nat, *, base_name: str) -> None:
    """Write both adapters and the units, without the base, in the files of an adapter; their kind keeps it from being merged or served."""
    from safetensors.torch import save_file

    layers = layers_of(model)
    first = next(iter(layers.values()))
    config = {
        "peft_type": NAT,
        "base_model_name_or_path": base_name,
        "layers": sorted(layers),
        "unit": settings.model_dump(exclude={"upon"}),
        "rank": first.positive.down.out_features,
        "scale": first.positive.scale,
        "negative_rank": first.negative.down.out_features,
        "negative_scale": first.negative.scale,
    }
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _own_tensors(model).items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / ADAPTER).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Put the NAT layers that `save` wrote on their base."""
    config = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    settings = Nat.model_validate(config["unit"])
    for name in config["layers"]:
        base = model.get_submodule(name)
        negative = _beside(base, config["negative_rank"], scale=config["negative_scale"])
        _put(model, name, _layer(base, negative, _beside(base, config["rank"], scale=config["scale"]), settings))
    read_into(model, folder)
    return _only_learning(model)


def read_into(model: nn.Module, folder: Path) -> None:
    """Read the tensors that `save` wrote into a model that has the layers. Raises StageError where they do not fit."""
    from safetensors.torch import load_file

    tensors, own = load_file(folder / WEIGHTS), _own_tensors(model)
    if tensors.keys() != own.keys():
        raise StageError(f"{folder / WEIGHTS}: holds other layers than the model: {sorted(tensors.keys() ^ own.keys())[:3]}")
    for name, tensor in tensors.items():
        if own[name].shape != tensor.shape:
            raise StageError(f"{folder / WEIGHTS}: {name} has shape {tuple(tensor.shape)}, the model's {tuple(own[name].shape)}")
        own[name].data.copy_(tensor)


def _own_tensors(model: nn.Module) -> dict[str, Any]:
    """Everything in the NAT layers but their bases."""
    parts = ((name, layer) for name, layer in layers_of(model).items())
    return {f"{name}.{key}": tensor for name, layer in parts for key, tensor in layer.named_parameters() if not key.startswith("base.")}
