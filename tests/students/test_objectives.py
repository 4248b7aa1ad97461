import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from students.objectives import (
    LEAST_DOUBT,
    better_side_loss,
    dpo_loss,
    likelihood,
    redi_loss,
    sft_loss,
    simpo_loss,
    supervised_tokens,
    unlikelihood_loss,
)
from students.rows import IGNORED

VOCABULARY = 11
FP32 = 1e-5
"""The rounding of sums whose terms are of order 1 and may cancel."""


def slow_loss(logits_BTV, labels_BT, smoothing=0.0):
    """The definition, token by token."""
    total, count = 0.0, 0
    for logits_TV, labels_T in zip(logits_BTV.tolist(), labels_BT.tolist(), strict=True):
        for position in range(1, len(labels_T)):
            if labels_T[position] != IGNORED:
                scores = logits_TV[position - 1]
                normaliser = math.log(sum(math.exp(score) for score in scores))
                total -= (1 - smoothing) * (scores[labels_T[position]] - normaliser)
                total -= smoothing * sum(score - normaliser for score in scores) / len(scores)
                count += 1
    return total / count if count else 0.0


def example(rows, length, seed, share=0.6):
    generator = torch.Generator().manual_seed(seed)
    logits_BTV = torch.randn(rows, length, VOCABULARY, generator=generator, dtype=torch.float64)
    labels_BT = torch.randint(VOCABULARY, (rows, length), generator=generator)
    return logits_BTV, labels_BT.masked_fill(torch.rand(rows, length, generator=generator) > share, IGNORED)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 4), st.integers(2, 9), st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.1, 0.7]))
def test_loss_equals_the_slow_loop(rows, length, seed, share, smoothing):
    logits_BTV, labels_BT = example(rows, length, seed, share)
    found = sft_loss(logits_BTV, labels_BT, smoothing=smoothing)
    assert found.item() == pytest.approx(slow_loss(logits_BTV, labels_BT, smoothing), rel=1e-5)


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


def slow_rows(logits_BTV, labels_BT):
    """The log-probabilities of every row's supervised tokens, token by token."""
    rows = []
    for logits_TV, labels_T in zip(logits_BTV.tolist(), labels_BT.tolist(), strict=True):
        found = []
        for position in range(1, len(labels_T)):
            if labels_T[position] != IGNORED:
                scores = logits_TV[position - 1]
                found.append(scores[labels_T[position]] - math.log(sum(math.exp(score) for score in scores)))
        rows.append(found)
    return rows


def slow_unlikelihood(rows, wrong, weight):
    total = sum(-logp for row, bad in zip(rows, wrong, strict=True) if not bad for logp in row)
    total += sum(
        -weight * math.log(max(1 - math.exp(logp), LEAST_DOUBT)) for row, bad in zip(rows, wrong, strict=True) if bad for logp in row
    )
    return total / max(1, sum(map(len, rows)))


def slow_redi(rows, wrong, alpha):
    means = [sum(row) / len(row) if row else 0.0 for row in rows]
    total = sum(alpha * mean if bad else -mean for mean, bad in zip(means, wrong, strict=True))
    return total / max(1, sum(not bad for bad in wrong))


ROWS = st.lists(st.booleans(), min_size=1, max_size=5)


@settings(max_examples=50, deadline=None)
@given(ROWS, st.integers(2, 9), st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 1.0]), st.floats(0, 2))
def test_losses_with_wrong_rows_equal_the_slow_loops(wrong, length, seed, share, weight):
    logits_BTV, labels_BT = example(len(wrong), length, seed, share)
    found, rows, wrong_B = likelihood(logits_BTV, labels_BT), slow_rows(logits_BTV, labels_BT), torch.tensor(wrong)
    assert unlikelihood_loss(found, wrong_B, weight=weight).item() == pytest.approx(
        slow_unlikelihood(rows, wrong, weight), rel=1e-4, abs=FP32
    )
    assert redi_loss(found, wrong_B, alpha=weight).item() == pytest.approx(slow_redi(rows, wrong, weight), rel=1e-4, abs=FP32)


@settings(max_examples=30, deadline=None)
@given(ROWS, st.integers(0, 10_000), st.integers(1, 5), st.integers(0, 7))
def test_losses_with_wrong_rows_do_not_depend_on_padding_or_on_how_rows_are_divided(wrong, seed, cut, padding):
    logits_BTV, labels_BT = example(len(wrong), 8, seed)
    wrong_B, tokens, pairs = torch.tensor(wrong), supervised_tokens(labels_BT), max(1, wrong.count(False))
    padded = likelihood(
        torch.nn.functional.pad(logits_BTV, (0, 0, 0, padding)), torch.nn.functional.pad(labels_BT, (0, padding), value=IGNORED)
    )
    whole = likelihood(logits_BTV, labels_BT)
    for loss in (lambda f, w: unlikelihood_loss(f, w, weight=0.3, tokens=tokens), lambda f, w: redi_loss(f, w, alpha=0.8, pairs=pairs)):
        assert loss(padded, wrong_B).item() == pytest.approx(loss(whole, wrong_B).item(), rel=1e-5, abs=FP32)
        parts = [loss(likelihood(logits_BTV[i : i + cut], labels_BT[i : i + cut]), wrong_B[i : i + cut]) for i in range(0, len(wrong), cut)]
        assert sum(parts).item() == pytest.approx(loss(whole, wrong_B).item(), rel=1e-5, abs=FP32)


def test_without_wrong_rows_unlikelihood_is_sft_and_redi_is_sft_by_the_row():
    logits_BTV, labels_BT = example(4, 9, 3)
    found, right_B = likelihood(logits_BTV, labels_BT), torch.zeros(4, dtype=torch.bool)
    assert unlikelihood_loss(found, right_B, weight=0.5).item() == pytest.approx(sft_loss(logits_BTV, labels_BT).item(), rel=1e-6)
    by_row = sum(sft_loss(logits_BTV[i : i + 1], labels_BT[i : i + 1]) for i in range(4)) / 4
    assert redi_loss(found, right_B, alpha=0.8).item() == pytest.approx(by_row.item(), rel=1e-6)


def test_redi_without_alpha_is_sft_of_the_right_sides_by_the_row():
    logits_BTV, labels_BT = example(4, 9, 5)
    wrong_B = torch.tensor([False, True, False, True])
    found = likelihood(logits_BTV, labels_BT)
    by_row = sum(sft_loss(logits_BTV[i : i + 1], labels_BT[i : i + 1]) for i in (0, 2)) / 2
    assert redi_loss(found, wrong_B, alpha=0.0).item() == pytest.approx(by_row.item(), rel=1e-6)


@pytest.mark.parametrize("loss", [lambda f, w: unlikelihood_loss(f, w, weight=0.3), lambda f, w: redi_loss(f, w, alpha=0.8)])
def test_gradients_are_those_of_finite_differences_and_push_wrong_tokens_down(loss):
    logits_BTV, labels_BT = example(2, 5, 11)
    wrong_B = torch.tensor([False, True])
    logits_BTV.requires_grad_()
    loss(likelihood(logits_BTV, labels_BT), wrong_B).backward()
    step, gradient = 1e-3, logits_BTV.grad
    for index in ((0, 1, 2), (1, 2, 3), (1, 0, 0)):
        moved = [logits_BTV.detach().clone() for _ in range(2)]
        moved[0][index] += step
        moved[1][index] -= step
        high, low = (loss(likelihood(each, labels_BT), wrong_B) for each in moved)
        assert gradient[index].item() == pytest.approx(((high - low) / (2 * step)).item(), abs=2e-3)
    position = next(t for t in range(1, 5) if labels_BT[1, t] != IGNORED)
    assert gradient[1, position - 1, labels_BT[1, position]] > 0, "a step against the gradient makes the wrong token less likely"


def test_a_sure_wrong_token_has_a_finite_loss():
    logits_BTV = torch.zeros(1, 2, VOCABULARY)
    logits_BTV[0, 0, 3] = 1e4
    found = likelihood(logits_BTV, torch.tensor([[IGNORED, 3]]))
    assert unlikelihood_loss(found, torch.tensor([True]), weight=1.0).item() == pytest.approx(-math.log(LEAST_DOUBT))


def test_rows_without_supervised_tokens_have_no_gradient():
    logits_BTV = example(2, 8, 0)[0].requires_grad_()
    found = likelihood(logits_BTV, torch.full((2, 8), IGNORED))
    loss = redi_loss(found, torch.tensor([False, True]), alpha=0.8) + unlikelihood_loss(found, torch.tensor([False, True]), weight=1.0)
    loss.backward()
    assert loss.item() == 0 and not logits_BTV.grad.any()


def slow_sigmoid_loss(margins):
    return sum(math.log1p(math.exp(-margin)) for margin in margins) / len(margins)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(3, 9), st.integers(0, 10_000), st.floats(0.05, 3), st.floats(0, 2))
def test_losses_of_pairs_equal_the_slow_loops(pairs, length, seed, beta, gamma):
    logits_BTV, labels_BT = example(2 * pairs, length, seed, share=1.0)
    rows, found = slow_rows(logits_BTV, labels_BT), likelihood(logits_BTV, labels_BT)
    reference_B = torch.randn(2 * pairs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    gains = [sum(row) - reference for row, reference in zip(rows, reference_B.tolist(), strict=True)]
    means = [sum(row) / len(row) for row in rows]
    slow_dpo = slow_sigmoid_loss([beta * (better - worse) for better, worse in zip(gains[::2], gains[1::2], strict=True)])
    slow_simpo = slow_sigmoid_loss([beta * (better - worse) - gamma for better, worse in zip(means[::2], means[1::2], strict=True)])
    assert dpo_loss(found, reference_B, beta=beta).item() == pytest.approx(slow_dpo, rel=1e-4)
    assert simpo_loss(found, beta=beta, gamma=gamma).item() == pytest.approx(slow_simpo, rel=1e-4)
    assert better_side_loss(found).item() == pytest.approx(-sum(means[::2]) / pairs, rel=1e-5)
    parts = [
        dpo_loss(likelihood(logits_BTV[i : i + 2], labels_BT[i : i + 2]), reference_B[i : i + 2], beta=beta, pairs=pairs)
        for i in range(0, 2 * pairs, 2)
    ]
    assert sum(parts).item() == pytest.approx(slow_dpo, rel=1e-4)


def test_where_nothing_was_learnt_dpo_is_the_logarithm_of_two():
    logits_BTV, labels_BT = example(4, 9, 7)
    found = likelihood(logits_BTV, labels_BT)
    assert dpo_loss(found, found.logp_BS.sum(-1), beta=0.1).item() == pytest.approx(math.log(2))


def test_simpo_is_what_trl_computes():
    from types import SimpleNamespace

    from trl.experimental.cpo.cpo_trainer import CPOTrainer

    logits_BTV, labels_BT = example(6, 9, 13)
    found = likelihood(logits_BTV, labels_BT)
    own = SimpleNamespace(
        loss_type="simpo", simpo_gamma=1.0, beta=2.0, label_smoothing=0.0, alpha=0.0, accelerator=SimpleNamespace(device="cpu")
    )
    theirs, *_ = CPOTrainer.cpo_loss(own, found.means()[0::2], found.means()[1::2])
    assert simpo_loss(found, beta=2.0, gamma=1.0).item() == pytest.approx(theirs.mean().item(), rel=1e-6)
