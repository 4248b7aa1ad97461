"""Pre-training: batches depend on seed and step alone, a killed run goes on to the same weights, Muon's updates are orthogonal."""

from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import torch

from students.muon import Muon, orthogonal
from students.pretrain import IGNORED, Document, PretrainSettings, batches, pretrain, rate_at, steps_in

SETTINGS = PretrainSettings(tokens=64 * 12, batch_tokens=64, round_length_to=8, pool_documents=12, save_every_steps=4, compile=False)


def counting(done: float, rng: Random) -> Document:
    """Count up from a random number: easy to learn."""
    start, length = rng.randint(3, 9), rng.randint(2, 6)
    return Document([start], [*range(start + 1, start + 1 + length), 2])


def tiny_model() -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=20, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, pad_token_id=0)
    )


def test_labels_are_shifted_and_padding_is_ignored():
    for batch in islice(batches(counting, SETTINGS, pad_id=0, first_step=0), 5):
        for inputs, labels, weights in zip(batch.input_BT, batch.labels_BT, batch.weights_BT, strict=True):
            length = int((labels != IGNORED).sum())
            assert torch.equal(inputs[1 : length + 1], labels[:length])
            assert (labels[length:] == IGNORED).all() and (weights[length:] == 0).all() and (weights[:length] > 0).all()


def test_a_batch_depends_on_its_step_alone():
    whole = list(islice(batches(counting, SETTINGS, pad_id=0, first_step=0), 8))
    late = list(islice(batches(counting, SETTINGS, pad_id=0, first_step=5), 3))
    for expected, found in zip(whole[5:], late, strict=True):
        assert torch.equal(expected.input_BT, found.input_BT)


def test_the_rate_warms_up_and_ends_at_zero():
    rates = [rate_at(step, SETTINGS) for step in range(steps_in(SETTINGS) + 1)]
    assert max(rates) == 1.0 and rates[-1] == 0.0 and all(0 <= r <= 1 for r in rates)


class KilledError(Exception):
    """Stands for the end of the process."""


def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path):
    undisturbed = tiny_model()
    pretrain(undisturbed, counting, SETTINGS, checkpoint=tmp_path / "a.pt", report=lambda step, loss: None)

    def kill(done: float, rng: Random) -> Document:
        if done > 0.5:
            raise KilledError
        return counting(done, rng)

    with pytest.raises(KilledError):
        pretrain(tiny_model(), kill, SETTINGS, checkpoint=tmp_path / "b.pt", report=lambda step, loss: None)
    resumed = tiny_model()
    pretrain(resumed, counting, SETTINGS, checkpoint=tmp_path / "b.pt", report=lambda step, loss: None)
    for name, weights in undisturbed.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name]), name


def test_the_loss_falls(tmp_path: Path):
    model = tiny_model()
    batch = next(batches(counting, SETTINGS, pad_id=0, first_step=99))

    def loss() -> float:
        with torch.no_grad():
            logits = model(input_ids=batch.input_BT).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.labels_BT.flatten(), ignore_index=IGNORED).item()

    before = loss()
    pretrain(model, counting, replace(SETTINGS, tokens=64 * 60), checkpoint=tmp_path / "c.pt", report=lambda step, loss: None)
    assert loss() < 0.8 * before


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 24, 8), (2, 8, 24)])
def test_an_orthogonal_update_has_singular_values_near_one(shape: tuple[int, int, int]):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape), iterations=8))
    assert (values > 0.6).all() and (values < 1.3).all()


def test_muon_updates_equal_shapes_together_as_one_by_one():
    torch.manual_seed(0)
    together = [torch.nn.Parameter(torch.randn(6, 4)) for _ in range(3)]
    apart = [torch.nn.Parameter(p.detach().clone()) for p in together]
    for p, q in zip(together, apart, strict=True):
        p.grad = torch.randn(6, 4)
        q.grad = p.grad.clone()
    Muon(together, lr=0.1).step()
    for q in apart:
        Muon([q], lr=0.1).step()
    for p, q in zip(together, apart, strict=True):
        torch.testing.assert_close(p, q)


def test_a_prompt_that_is_only_given_is_not_learnt():
    def stream(done: float, rng: Random) -> Document:
        return counting(done, rng)._replace(only_given=True)

    batch = next(batches(stream, SETTINGS, pad_id=0, first_step=0))
    learnt = (batch.weights_BT > 0).sum(dim=1)
    assert torch.equal(learnt, (batch.labels_BT != IGNORED).sum(dim=1))  # prompts of one token: every label is of the completion
    longer = next(batches(lambda d, r: Document([5, 6, 7], [8, 2], only_given=True), SETTINGS, pad_id=0, first_step=0))
    assert ((longer.weights_BT > 0).sum(dim=1) == 2).all()
