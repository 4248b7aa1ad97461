import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from data.errors import PreflightError, StageError
from students.merge import compared, merged


@pytest.fixture(scope="module")
def adapter(base, tokenizer, tmp_path_factory):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    GenerationConfig(eos_token_id=[1, 4], pad_token_id=0).save_pretrained(folder)
    return folder


def test_an_adapter_is_merged_and_the_written_weights_are_compared_with_it(adapter, base, tmp_path):
    report = merged(adapter, base, tmp_path / "out")
    assert report.max_logit_difference < 1e-4
    assert report.top1_agreement == 1.0
    plain, start = load_file(tmp_path / "out/model.safetensors"), load_file(base / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.allclose(plain[name], start[name], atol=1e-2)
    assert plain.keys() == start.keys()
    assert json.loads((tmp_path / "out/generation_config.json").read_text())["eos_token_id"] == [1, 4]
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    assert not (tmp_path / "out/adapter_config.json").exists()


def test_a_student_trained_in_full_is_copied_without_its_curve(base, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for file in base.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    (model / "training.csv").write_text("step\n")
    assert merged(model, base, tmp_path / "out") == (0.0, 1.0)
    assert {f.name: f.read_bytes() for f in (tmp_path / "out").iterdir()} == {f.name: f.read_bytes() for f in base.iterdir()}


def test_an_adapter_without_its_base_is_refused(adapter, tmp_path):
    with pytest.raises(PreflightError, match=r"no config\.json"):
        merged(adapter, tmp_path / "nowhere", tmp_path / "out")


def test_differences_are_measured_and_infinite_logits_refused():
    wanted_BTV = torch.zeros(1, 4, 3)
    wanted_BTV[..., 0] = 1
    found_BTV = wanted_BTV.clone()
    found_BTV[0, 0, 1] = 3
    assert compared(wanted_BTV, found_BTV) == (3.0, 0.75)
    with pytest.raises(StageError, match="not finite"):
        compared(wanted_BTV, found_BTV / 0)
