import pytest

from data.errors import PreflightError
from students.models import Devices, accumulation, adapter_of, load_tokenizer, precision_of, quantization_of
from students.settings import Training

CPU, OLD_GPU, GPUS = Devices(0, False), Devices(1, False), Devices(8, True)


@pytest.mark.parametrize(
    ("asked", "found", "name", "why"),
    [
        ("auto", CPU, "fp32", "no GPU"),
        ("auto", OLD_GPU, "fp32", "no bf16"),
        ("auto", GPUS, "bf16", "computes bf16"),
        ("bf16", CPU, "bf16", "set in params"),
        ("fp32", GPUS, "fp32", "set in params"),
    ],
)
def test_precision_is_chosen_with_a_reason(asked, found, name, why):
    chosen = precision_of(asked, found)
    assert chosen.name == name
    assert why in chosen.why


def test_batch_rows_are_global():
    launch = {"processes": 4, "strategy": "ddp"}
    assert accumulation(Training.model_validate({"batch_rows": 64, "micro_batch_rows": 2, "launch": launch})) == 8


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(PreflightError, match=r"config\.json"):
        load_tokenizer(tmp_path)


def test_adapter_and_quantisation_follow_the_settings():
    training = Training(adapter="lora", quantization="nf4", lora_rank=4, lora_alpha=8)
    lora, nf4 = adapter_of(training), quantization_of(training, precision_of("fp32", CPU))
    assert (lora.r, lora.lora_alpha, lora.target_modules) == (4, 8, "all-linear")
    assert nf4.bnb_4bit_quant_type == "nf4"
    assert str(nf4.bnb_4bit_compute_dtype) == "torch.float32"
    assert adapter_of(Training()) is None
    assert quantization_of(Training(), precision_of("fp32", CPU)) is None
