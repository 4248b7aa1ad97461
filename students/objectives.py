"""Objectives as pure tensor functions; names carry shapes: B rows, T positions, V vocabulary.

The trainers compute the same numbers in a fused way; tests hold them equal to these.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from students.rows import IGNORED


def sft_loss(logits_BTV: torch.Tensor, labels_BT: torch.Tensor, *, tokens: int | None = None) -> torch.Tensor:
    """Mean negative log-likelihood of the supervised tokens, in nats; a scalar in fp32.

    `labels_BT[:, t]` is predicted from position t - 1; IGNORED labels count nothing. `tokens` is the number of supervised
    tokens of the whole global batch: the losses of its micro-batches then add up to the loss of the batch, however the rows
    are divided. Without supervised tokens the loss is 0 and has zero gradients.
    """
    logits_NV = logits_BTV[:, :-1].flatten(0, 1).float()
    targets_N = labels_BT[:, 1:].flatten()
    total = F.cross_entropy(logits_NV, targets_N, ignore_index=IGNORED, reduction="sum")
    return total / max(1, supervised_tokens(labels_BT) if tokens is None else tokens)


def supervised_tokens(labels_BT: torch.Tensor) -> int:
    """How many tokens are learnt; the first position is never predicted."""
    return int((labels_BT[:, 1:] != IGNORED).sum())
