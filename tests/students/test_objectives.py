import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from students.objectives import sft_loss, supervised_tokens
from students.rows import IGNORED

VOCABULARY = 11


def slow_loss(logits_BTV, labels_BT):
    """The definition, token by token."""
    total, count = 0.0, 0
    for logits_TV, labels_T in zip(logits_BTV.tolist(), labels_BT.tolist(), strict=True):
        for position in range(1, len(labels_T)):
            if labels_T[position] != IGNORED:
                scores = logits_TV[position - 1]
                total -= scores[labels_T[position]] - math.log(sum(math.exp(score) for score in scores))
                count += 1
    return total / count if count else 0.0


def example(rows, length, seed, share=0.6):
    generator = torch.Generator().manual_seed(seed)
    logits_BTV = torch.randn(rows, length, VOCABULARY, generator=generator, dtype=torch.float64)
    labels_BT = torch.randint(VOCABULARY, (rows, length), generator=generator)
    return logits_BTV, labels_BT.masked_fill(torch.rand(rows, length, generator=generator) > share, IGNORED)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(2, 9), st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 1.0]))
def test_loss_equals_the_slow_loop(rows, length, seed, share):
    logits_BTV, labels_BT = example(rows, length, seed, share)
    assert sft_loss(logits_BTV, labels_BT).item() == pytest.approx(slow_loss(logits_BTV, labels_BT), rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.integers(0, 10_000), st.integers(1, 5), st.integers(0, 7))
def test_padding_and_micro_batches_change_nothing(rows, seed, cut, padding):
    logits_BTV, labels_BT = example(rows, 8, seed)
    whole = sft_loss(logits_BTV, labels_BT)
    padded = sft_loss(
        torch.nn.functional.pad(logits_BTV, (0, 0, 0, padding)), torch.nn.functional.pad(labels_BT, (0, padding), value=IGNORED)
    )
    assert padded.item() == pytest.approx(whole.item(), rel=1e-6)
    tokens = supervised_tokens(labels_BT)
    parts = [sft_loss(logits_BTV[i : i + cut], labels_BT[i : i + cut], tokens=tokens) for i in range(0, rows, cut)]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-5)


def test_a_row_without_supervised_tokens_counts_nothing():
    logits_BTV, labels_BT = example(2, 8, 0)
    labels_BT[1] = IGNORED
    assert sft_loss(logits_BTV, labels_BT).item() == pytest.approx(sft_loss(logits_BTV[:1], labels_BT[:1]).item())


def test_nothing_supervised_is_zero_with_zero_gradient():
    logits_BTV = example(2, 8, 0)[0].requires_grad_()
    loss = sft_loss(logits_BTV, torch.full((2, 8), IGNORED))
    loss.backward()
    assert loss.item() == 0
    assert not logits_BTV.grad.any()


def test_one_token_is_its_negative_log_likelihood():
    logits_BTV, labels_BT = torch.zeros(1, 2, VOCABULARY), torch.tensor([[IGNORED, 3]])
    assert sft_loss(logits_BTV, labels_BT).item() == pytest.approx(math.log(VOCABULARY))


def test_gradient_equals_finite_differences():
    logits_BTV, labels_BT = example(2, 4, 1)
    leaf = logits_BTV.clone().requires_grad_()
    sft_loss(leaf, labels_BT).backward()
    step = 1e-2
    for place in [(0, 0, 3), (1, 2, 5), (0, 3, 0)]:
        up, down = logits_BTV.clone(), logits_BTV.clone()
        up[place] += step
        down[place] -= step
        numeric = (slow_loss(up, labels_BT) - slow_loss(down, labels_BT)) / (2 * step)
        assert leaf.grad[place].item() == pytest.approx(numeric, abs=1e-5)
