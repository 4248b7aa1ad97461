"""Pre-training of a small language model from random weights, on an endless stream of documents.

Used to build the lab's two models. Batches hold a fixed number of token positions; documents of similar length share a batch.
The hidden matrices are trained with Muon (Jordan et al. 2024), everything else with AdamW.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional as F

from students.muon import Muon

if TYPE_CHECKING:
    from transformers import PreTrainedModel

IGNORED = -100


class Document(NamedTuple):
    """Token ids of a prompt and of the completion that is learnt; a prompt that is `only_given` is not learnt at all."""

    prompt: list[int]
    completion: list[int]
    only_given: bool = False


class Batch(NamedTuple):
    """Right-padded documents; labels are shifted already: `labels_BT[:, t]` follows `input_BT[:, t]`."""

    input_BT: torch.Tensor
    labels_BT: torch.Tensor
    weights_BT: torch.Tensor


@dataclass(frozen=True)
class PretrainSettings:
    """Settings of one pre-training; `tokens` counts positions, padding included."""

    tokens: int
    batch_tokens: int = 4096
    muon_learning_rate: float = 0.02
    adam_learning_rate: float = 3e-3
    warmup_share: float = 0.02
    decay_share: float = 0.5
    prompt_weight: float = 0.1
    round_length_to: int = 64
    pool_documents: int = 1024
    save_every_steps: int = 500
    seed: int = 0
    compile: bool = True


DocumentStream = Callable[[float, Random], Document]
"""Makes one document, given the share of the training that is done (0 to 1) and a source of randomness."""


def batches(stream: DocumentStream, settings: PretrainSettings, *, pad_id: int, first_step: int) -> Iterator[Batch]:
    """Endless batches; a batch depends on the seed and its step alone, so a resumed run sees the same ones."""
    step, total = 0, steps_in(settings)
    while True:
        rng = Random(f"{settings.seed}:{step}")
        pool = [stream(min(1.0, step / total), rng) for _ in range(settings.pool_documents)]
        pool.sort(key=lambda d: len(d.prompt) + len(d.completion))
        groups = list(_groups(pool, settings))
        rng.shuffle(groups)
        for group in groups:
            if step >= first_step:
                yield _collate(group, settings, pad_id)
            step += 1


def steps_in(settings: PretrainSettings) -> int:
    """How many optimizer steps the token budget pays for."""
    return max(1, settings.tokens // settings.batch_tokens)


def _rounded(length: int, settings: PretrainSettings) -> int:
    return math.ceil(length / settings.round_length_to) * settings.round_length_to


def _groups(pool: list[Document], settings: PretrainSettings) -> Iterator[list[Document]]:
    group: list[Document] = []
    for document in pool:
        width = _rounded(len(document.prompt) + len(document.completion), settings)
        if group and width * (len(group) + 1) > settings.batch_tokens:
            yield group
            group = []
        group.append(document)


def _collate(documents: list[Document], settings: PretrainSettings, pad_id: int) -> Batch:
    width = _rounded(max(len(d.prompt) + len(d.completion) for d in documents), settings)
    rows = settings.batch_tokens // width
    input_BT = torch.full((rows, width), pad_id)
    labels_BT = torch.full((rows, width), IGNORED)
    weights_BT = torch.zeros((rows, width))
    for row, document in enumerate(documents[:rows]):
        ids = torch.tensor([*document.prompt, *document.completion])
        last, start = len(ids) - 1, len(document.prompt) - 1
        input_BT[row, : last + 1] = ids
        labels_BT[row, :last] = ids[1:]
        weights_BT[row, :start] = 0.0 if document.only_given else settings.prompt_weight
        weights_BT[row, start:last] = 1.0
    return Batch(input_BT, labels_BT, weights_BT)


def optimizers_for(model: PreTrainedModel, settings: PretrainSettings) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for embeddings, head and norms."""
    hidden = [p for n, p in model.named_parameters() if p.ndim == 2 and "layers." in n]
    other = [p for n, p in model.named_parameters() if not (p.ndim == 2 and "layers." in n)]
    return [
        Muon(hidden, lr=settings.muon_learning_rate),
        torch.optim.AdamW(other, lr=settings.adam_learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate_at(step: int, settings: PretrainSettings) -> float:
    """Share of the peak learning rate: linear warm-up, constant, linear decay to zero."""
    done = step / steps_in(settings)
    warm = min(1.0, (done + 1e-9) / settings.warmup_share)
    return min(warm, (1 - done) / settings.decay_share, 1.0)


def pretrain(
    model: PreTrainedModel,
    stream: DocumentStream,
    settings: PretrainSettings,
    *,
    checkpoint: Path,
    report: Callable[[int, float], None],
) -> None:
    """Train `model` in place; a run that was killed goes on from `checkpoint`. `report(step, loss)` is called every 50 steps."""
    optimizers = optimizers_for(model, settings)
    first = _restore(checkpoint, model, optimizers)
    forward = _compiled(model) if settings.compile else model
    pad_id = int(model.config.pad_token_id)
    model.train()
    for step, batch in enumerate(batches(stream, settings, pad_id=pad_id, first_step=first), start=first):
        if step >= steps_in(settings):
            break
        loss = _step(forward, batch, optimizers, rate_at(step, settings), settings)
        if step % 50 == 0:
            report(step, loss)
        if (step + 1) % settings.save_every_steps == 0:
            _save(checkpoint, model, optimizers, step + 1)


def _compiled(model: PreTrainedModel) -> Callable[..., object]:
    """One compiled graph per batch shape: 1.4 times the speed on a CPU."""
    import torch._dynamo

    torch._dynamo.config.recompile_limit = 64
    compiled: Callable[..., object] = torch.compile(model, dynamic=False)
    return compiled


def _step(
    forward: Callable[..., object],
    batch: Batch,
    optimizers: list[torch.optim.Optimizer],
    rate: float,
    settings: PretrainSettings,
) -> float:
    peaks = (settings.muon_learning_rate, settings.adam_learning_rate)
    for optimizer, peak in zip(optimizers, peaks, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = peak * rate
    logits_BTV = forward(input_ids=batch.input_BT, use_cache=False).logits  # type: ignore[attr-defined]
    loss_BT = F.cross_entropy(logits_BTV.flatten(0, 1), batch.labels_BT.flatten(), ignore_index=IGNORED, reduction="none")
    weights = batch.weights_BT.flatten()
    loss = (loss_BT * weights).sum() / weights.sum()
    loss.backward()
    for optimizer in optimizers:
        torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return float(loss.item())


def _save(path: Path, model: PreTrainedModel, optimizers: list[torch.optim.Optimizer], step: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {"step": step, "model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers]}
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def _restore(path: Path, model: PreTrainedModel, optimizers: list[torch.optim.Optimizer]) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])
