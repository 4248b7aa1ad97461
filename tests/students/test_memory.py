import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from data.checks import Severity
from students.memory import Memory, Shapes, _activations, free_bytes, memory_findings, memory_of, shapes_of
from students.models import Precision
from students.places import Places
from students.settings import Asc, Nce, Training

FP32, BF16 = Precision("fp32", "test"), Precision("bf16", "test")
SHAPES = Shapes(parameters=1000, packed=800, adapter=100, layers=2, per_layer=50, hidden=10, vocabulary=20)
TWO = {"micro_batch_rows": 1, "launch": {"processes": 4, "strategy": "zero2"}}
THREE = {"micro_batch_rows": 1, "launch": {"processes": 4, "strategy": "zero3"}}
LORA = {"adapter": "lora"}


@pytest.mark.parametrize(
    ("settings", "precision", "objective", "held"),
    [
        ({}, FP32, None, (4000, 4000, 8000)),
        ({}, BF16, None, (4000, 4000, 8000)),
        (TWO, FP32, None, (4000, 1000, 2000)),
        (TWO, BF16, None, (2000, 500, 3000)),
        (THREE, FP32, None, (1000, 1000, 2000)),
        (LORA, FP32, None, (4000 + 400, 400, 800)),
        (LORA, BF16, None, (2000 + 400, 400, 800)),
        (LORA, FP32, Nce(kind="nce"), (8000 + 400, 400, 800)),
        ({**LORA, "quantization": "nf4"}, BF16, None, (0.516 * 800 + 400 + 400, 400, 800)),
        ({}, FP32, Asc(kind="asc"), (4000, 0, 0)),
    ],
)
def test_what_is_held_for_certain_follows_the_formula(settings, precision, objective, held):
    found = memory_of(SHAPES, Training.model_validate(settings), precision, length=8, objective=objective)
    assert (found.weights, found.gradients, found.optimizer) == pytest.approx(held)
    assert found.certain == pytest.approx(sum(held))


def test_shapes_are_those_of_the_model_and_its_adapter(base):
    model, attention, inner = LlamaForCausalLM.from_pretrained(base), 64 + 64, 64 + 128
    for targets, sides in (("all-linear", 4 * attention + 3 * inner), (["q_proj", "v_proj"], 2 * attention)):
        shapes = shapes_of(base, Training(adapter="lora", lora_rank=4, lora_targets=targets))
        assert shapes.parameters == sum(weight.numel() for weight in model.parameters())
        assert shapes.adapter == 2 * 4 * sides, "two layers of rank 4"
    assert (shapes.layers, shapes.vocabulary) == (2, model.config.vocab_size)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_near_what_autograd_keeps(checkpointing, tmp_path):
    sizes = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 6, "num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(vocab_size=32, max_position_embeddings=128, **sizes)
    config.save_pretrained(tmp_path)
    plain = Training(micro_batch_rows=2)
    training = plain.model_copy(update={"gradient_checkpointing": checkpointing})
    model = LlamaForCausalLM(config).train()
    if checkpointing:
        model.gradient_checkpointing_enable()
    own, kept = {p.untyped_storage().data_ptr() for p in model.parameters()}, {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    ids = torch.zeros(2, 100, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(input_ids=ids, labels=ids, use_cache=False)
    estimate, whole = (_activations(shapes_of(tmp_path, how), how, is_16_bit=False, length=100) for how in (training, plain))
    measured = sum(storage.nbytes() for storage in kept.values())
    if checkpointing:  # the layer that is computed again is not among what the forward pass keeps
        assert measured < estimate < 0.5 * whole
    else:
        assert 0.8 < measured / estimate < 1.2


@pytest.mark.parametrize(("free", "severity"), [(50, Severity.ERROR), (65, Severity.WARNING), (71, None)])
def test_what_is_certain_is_refused_and_what_is_estimated_is_a_warning(free, severity):
    found = list(memory_findings(Memory(10e9, 20e9, 30e9, 10e9), free * 1e9, length=512))
    assert [finding.severity for finding in found] == ([] if severity is None else [severity])
    assert {finding.place for finding in found} <= {"distill.training"}
    own = memory_findings(Memory(10e9, 20e9, 30e9, 10e9), free * 1e9, length=512, places=Places.of("a", {"adapter": "none"}))
    assert {finding.place for finding in own} == {"students.a.train" for _ in found}
    assert all("weights 10 GB, gradients 20 GB, optimizer 30 GB" in finding.found for finding in found)


def test_processes_share_what_is_free():
    assert free_bytes(1) > 1.5 * free_bytes(2) > 0
