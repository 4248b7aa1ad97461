"""Objectives as pure tensor functions; names carry shapes: B rows, T positions, V vocabulary.

S are the positions that are predicted, one fewer than T. TRL's trainer computes `sft_loss` in a fused way; a test holds it equal.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

from students.rows import IGNORED
from students.settings import Nce


def sft_loss(logits_BTV: torch.Tensor, labels_BT: torch.Tensor, *, smoothing: float = 0.0, tokens: int | None = None) -> torch.Tensor:
    """Mean negative log-likelihood of the supervised tokens, in nats; a scalar in fp32.

    With `smoothing` a token's loss is (1 - smoothing) · -log p(label) + smoothing · mean over V of -log p (arXiv 1512.00567, section 7).

    `labels_BT[:, t]` is predicted from position t - 1; IGNORED labels count nothing. `tokens` is the number of supervised
    tokens of the whole global batch: the losses of its micro-batches then add up to the loss of the batch, however the rows
    are divided. Without supervised tokens the loss is 0 and has zero gradients.
    """
    logits_NV = logits_BTV[:, :-1].flatten(0, 1).float()
    targets_N = labels_BT[:, 1:].flatten()
    total = F.cross_entropy(logits_NV, targets_N, ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing)
    return total / max(1, supervised_tokens(labels_BT) if tokens is None else tokens)


class Likelihood(NamedTuple):
    """How likely the supervised tokens of some rows are."""

    logp_BS: torch.Tensor
    """Log-probability of each token in nats, in fp32; 0 where it is not supervised."""
    mask_BS: torch.Tensor
    """Whether it is supervised."""

    def means(self) -> torch.Tensor:
        """Mean over each row's supervised tokens; 0 for a row without any."""
        return self.logp_BS.sum(-1) / self.mask_BS.sum(-1).clamp(min=1)


def likelihood(logits_BTV: torch.Tensor, labels_BT: torch.Tensor) -> Likelihood:
    """The likelihood of the supervised tokens; `labels_BT[:, t]` is predicted from position t - 1."""
    targets_BS = labels_BT[:, 1:]
    mask_BS = targets_BS != IGNORED
    scores_BSV = logits_BTV[:, :-1].float()
    chosen_BS = scores_BSV.gather(-1, targets_BS.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return Likelihood((chosen_BS - scores_BSV.logsumexp(-1)).masked_fill(~mask_BS, 0.0), mask_BS)


LEAST_DOUBT = 1e-5
"""1 - p is held at or above this in unlikelihood: its logarithm has no bound, and fp32 no smaller numbers near 1."""


def unlikelihood_loss(found: Likelihood, wrong_B: torch.Tensor, *, weight: float, tokens: int | None = None) -> torch.Tensor:
    """-log p over the tokens of right rows and -`weight` · log(1 - p) over those of wrong ones, per supervised token of the batch.

    arXiv 1908.04319 (unlikelihood of tokens), with the weight of arXiv 2312.12832, equation 16. `tokens` as in `sft_loss`: those of
    the whole global batch, right and wrong, so that a step on right rows is that of `sft_loss` on the same batch. A wrong token that is
    nearly sure (1 - p below LEAST_DOUBT) has no gradient.
    """
    doubt_BS = torch.log((-torch.expm1(found.logp_BS)).clamp(min=LEAST_DOUBT)).masked_fill(~found.mask_BS, 0.0)
    total = torch.where(wrong_B[:, None], weight * doubt_BS, found.logp_BS).sum()
    return -total / max(1, int(found.mask_BS.sum()) if tokens is None else tokens)


def redi_loss(found: Likelihood, wrong_B: torch.Tensor, *, alpha: float, pairs: float | None = None) -> torch.Tensor:
    """-log π(right)/|right| + `alpha` · log π(wrong)/|wrong|, mean over pairs (arXiv 2505.24850, stage 2); no reference model.

    Rows of a pair need not stand beside each other, since the loss is a sum over rows. `pairs` is how many the whole global batch has.
    """
    means_B = found.means()
    total = torch.where(wrong_B, -alpha * means_B, means_B).sum()
    return -total / max(1, int((~wrong_B).sum()) if pairs is None else pairs)


def dpo_loss(found: Likelihood, reference_B: torch.Tensor, *, beta: float, pairs: float | None = None) -> torch.Tensor:
    """-log σ(β · (log π/π₀(better) - log π/π₀(worse))), mean over pairs (arXiv 2305.18290, equation 7).

    Rows are pairs, the better side first. `reference_B` has the log-probability of every row where the training starts, in nats.
    """
    gains_B = found.logp_BS.sum(-1) - reference_B
    return _mean_over_pairs(F.logsigmoid(beta * (gains_B[0::2] - gains_B[1::2])), pairs)


def simpo_loss(found: Likelihood, *, beta: float, gamma: float, pairs: float | None = None) -> torch.Tensor:
    """-log σ(β · (mean log π(better) - mean log π(worse)) - γ), mean over pairs (arXiv 2405.14734, equation 6); rows as in `dpo_loss`."""
    means_B = found.means()
    return _mean_over_pairs(F.logsigmoid(beta * (means_B[0::2] - means_B[1::2]) - gamma), pairs)


def better_side_loss(found: Likelihood, *, pairs: float | None = None) -> torch.Tensor:
    """-log π(better)/|better|, mean over pairs; rows as in `dpo_loss`."""
    return _mean_over_pairs(found.means()[0::2], pairs)


def asc_loss(logits_B: torch.Tensor, wrong_B: torch.Tensor, *, power: float, pairs: float | None = None) -> torch.Tensor:
    """(1 - s(right))^p + s(wrong)^p with s = σ(logit), mean over pairs (the loss of ASC's code, arXiv 2312.12832, section 3.4).

    Rows of a pair need not stand beside each other, since the loss is a sum over rows. `pairs` is how many the whole global batch has.
    """
    doubt_B = torch.sigmoid(torch.where(wrong_B, logits_B, -logits_B).float())
    return (doubt_B**power).sum() / max(1, int((~wrong_B).sum()) if pairs is None else pairs)


def _mean_over_pairs(values_P: torch.Tensor, pairs: float | None) -> torch.Tensor:
    return -values_P.sum() / max(1, len(values_P) if pairs is None else pairs)


class Teaching(NamedTuple):
    """What a NAT model and its negative adapter say of the same rows, as logits of shape (B, T, V)."""

    nat_BTV: torch.Tensor
    negative_BTV: torch.Tensor


def disagreement(teaching: Teaching) -> torch.Tensor:
    """KL(negative ‖ NAT) of every predicted position, in nats, of shape (B, S)."""
    negative_BSV = F.log_softmax(teaching.negative_BTV[:, :-1].float(), dim=-1)
    nat_BSV = F.log_softmax(teaching.nat_BTV[:, :-1].float(), dim=-1)
    return (negative_BSV.exp() * (negative_BSV - nat_BSV)).sum(-1)


def nce_weights(teaching: Teaching, mask_BS: torch.Tensor, *, per_token: bool, offset: float) -> torch.Tensor:
    """`offset` + tanh(KL(negative ‖ NAT)), of shape (B, S): the KL of each token, or its mean over a row's supervised tokens."""
    kl_BS = disagreement(teaching)
    if not per_token:
        kl_BS = ((kl_BS * mask_BS).sum(-1, keepdim=True) / mask_BS.sum(-1, keepdim=True).clamp(min=1)).expand_as(kl_BS)
    return offset + torch.tanh(kl_BS)


def nce_loss(
    logits_BTV: torch.Tensor, labels_BT: torch.Tensor, teaching: Teaching, settings: Nce, *, tokens: int | None = None
) -> torch.Tensor:
    """(1 - mix) · likelihood loss + mix · weighted distillation from the NAT model, per supervised token of the batch.

    arXiv 2312.12832, equations 6 to 8, with the offset of its code: the distillation of a position is T² · weight · cross-entropy of the
    student to NAT at temperature T. `tokens` as in `sft_loss`.
    """
    mask_BS = labels_BT[:, 1:] != IGNORED
    weights_BS = nce_weights(teaching, mask_BS, per_token=settings.per == "token", offset=settings.offset)
    taught_BSV = F.softmax(teaching.nat_BTV[:, :-1].float() / settings.temperature, dim=-1)
    own_BSV = F.log_softmax(logits_BTV[:, :-1].float() / settings.temperature, dim=-1)
    entropy_BS = -(taught_BSV * own_BSV).sum(-1) * settings.temperature**2
    distilled = (weights_BS * entropy_BS * mask_BS).sum() / max(1, supervised_tokens(labels_BT) if tokens is None else tokens)
    return (1 - settings.mix) * sft_loss(logits_BTV, labels_BT, tokens=tokens) + settings.mix * distilled


def supervised_tokens(labels_BT: torch.Tensor) -> int:
    """How many tokens are learnt; the first position is never predicted."""
    return int((labels_BT[:, 1:] != IGNORED).sum())
