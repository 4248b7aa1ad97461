"""How likely rows are to a model: the reference of preference objectives, and what a training is watched by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from students.rows import Row

if TYPE_CHECKING:
    import torch

Collate = Callable[[list[dict[str, Any]]], Any]


def row_logprobs(model: torch.nn.Module, rows: Sequence[Row], collate: Collate, *, batch_rows: int) -> list[float]:
    """The log-probability of every row's supervised tokens, in nats, without dropout; leaves the model as it was."""
    import torch

    from students.objectives import likelihood

    device, training = next(model.parameters()).device, model.training
    model.eval()
    found: list[float] = []
    with torch.no_grad():
        for begin in range(0, len(rows), batch_rows):
            batch = collate([{"input_ids": row.input_ids, "labels": row.labels} for row in rows[begin : begin + batch_rows]])
            ids_BT, mask_BT = batch["input_ids"].to(device), batch["attention_mask"].to(device)
            logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits
            found += likelihood(logits_BTV, batch["labels"].to(device)).logp_BS.sum(-1).tolist()
    model.train(training)
    return found
