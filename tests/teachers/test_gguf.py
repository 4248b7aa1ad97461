from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from data.errors import PreflightError
from teachers import gguf as converter

pytestmark = pytest.mark.slow
SIZES = {"vocabulary": 300, "hidden": 64, "feed_forward": 128}
PARAMETERS = 300 * 64 + 64 + 2 * 64 + 4 * 64 * 64 + 3 * 64 + 3 * 64 * 128
END_OF_TURN, END_OF_TEXT = 257, 256
TEMPLATE = "{% for message in messages %}{{ message['content'] }}<|im_end|>{% endfor %}"


def byte_tokens() -> list[str]:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    plain = list(bytes_to_unicode().values())
    named = [*plain, "<|endoftext|>", "<|im_end|>", "ab", "bc"]
    return named + [f"[PAD{i}]" for i in range(SIZES["vocabulary"] - len(named))]


def write_gguf(path: Path) -> None:
    """A one-layer Qwen2 whose head is a slightly different copy of its embedding, as quantisation leaves it."""
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "qwen2")
    writer.add_context_length(128)
    writer.add_embedding_length(SIZES["hidden"])
    writer.add_block_count(1)
    writer.add_feed_forward_length(SIZES["feed_forward"])
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(byte_tokens())
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in byte_tokens()])
    writer.add_token_merges(["a b", "b c"])
    writer.add_eos_token_id(END_OF_TURN)
    writer.add_pad_token_id(END_OF_TEXT)
    writer.add_bos_token_id(END_OF_TEXT)
    writer.add_chat_template(TEMPLATE)
    rng = np.random.default_rng(0)

    def tensor(name: str, *shape: int) -> np.ndarray:
        values = (0.05 * rng.standard_normal(shape)).astype(np.float32)
        writer.add_tensor(name, values)
        return values

    hidden, wide = SIZES["hidden"], SIZES["feed_forward"]
    embedding = tensor("token_embd.weight", SIZES["vocabulary"], hidden)
    writer.add_tensor("output.weight", (embedding + 0.001).astype(np.float16))
    tensor("output_norm.weight", hidden)
    for name in ("attn_norm", "ffn_norm"):
        tensor(f"blk.0.{name}.weight", hidden)
    for name in ("attn_q", "attn_k", "attn_v"):
        tensor(f"blk.0.{name}.weight", hidden, hidden)
        tensor(f"blk.0.{name}.bias", hidden)
    tensor("blk.0.attn_output.weight", hidden, hidden)
    tensor("blk.0.ffn_gate.weight", wide, hidden)
    tensor("blk.0.ffn_up.weight", wide, hidden)
    tensor("blk.0.ffn_down.weight", hidden, wide)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    write_gguf(tmp_path / "tiny.gguf")
    return tmp_path / "tiny.gguf"


def test_a_folder_has_one_shared_head_the_turn_as_end_and_every_end_token(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.setattr(converter, "MOST_NATS", 100.0)
    converter.to_folder(gguf, tmp_path / "tiny", tie=True, parameters=PARAMETERS)
    assert not list(tmp_path.glob(".*.part"))
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny"), AutoTokenizer.from_pretrained(tmp_path / "tiny")
    assert model.config.tie_word_embeddings
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.chat_template) == ("<|im_end|>", "<|endoftext|>", TEMPLATE)
    settings = json.loads((tmp_path / "tiny/generation_config.json").read_text())
    assert settings["eos_token_id"] == [END_OF_TURN, END_OF_TEXT]


def test_weights_that_know_no_english_are_refused_and_leave_nothing(gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="nats per token on plain English"):
        converter.to_folder(gguf, tmp_path / "tiny", tie=True, parameters=PARAMETERS)
    assert not (tmp_path / "tiny").exists()


def test_another_number_of_parameters_is_refused(gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match=f"{PARAMETERS + 300 * 64:,} parameters, {PARAMETERS:,} are allowed"):
        converter.to_folder(gguf, tmp_path / "tiny", tie=False, parameters=PARAMETERS)
