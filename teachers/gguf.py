"""A GGUF file made into an ordinary Hugging Face folder: float32 safetensors, tokenizer, chat template, generation_config.json.

A GGUF says less than a folder does, and what transformers guesses is not always right: the tokenizer's end token comes out as the end of a
document, not of a turn, and a shared head and embedding come out as two tensors. Both are put right here and the result is tried.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.chat import prompt_ids, text_ids
from data.errors import PreflightError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

KNOWN_TEXT = "The sun rises in the east and sets in the west. There are seven days in a week and twelve months in a year."
MOST_NATS = 3.0
"""Mean loss per token that a sound language model stays under on KNOWN_TEXT (guessing: 12 for 150,000 words)."""


def to_folder(gguf: Path, out: Path, *, tie: bool, parameters: int) -> None:
    """Convert `gguf` into the folder `out`, which appears only when it is whole and was checked.

    `tie`: head and embedding are one tensor. `parameters`: how many the model must have, shared ones counted once.
    Raises PreflightError where the model, its tokenizer or its chat template is not as it must be.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    if tie:
        _share_head(model, gguf)
    _end_turns(model, tokenizer)
    _check(model, tokenizer, parameters=parameters, place=gguf)
    partial = out.with_name(f".{out.name}.part")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    partial.replace(out)


def _share_head(model: PreTrainedModel, gguf: Path) -> None:
    """One tensor for head and embedding: of the two quantised copies the one with more bits."""
    from torch import nn

    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if not (isinstance(head, nn.Linear) and isinstance(embedding, nn.Embedding)):
        raise PreflightError(
            f"{gguf}: head {type(head).__name__} and embedding {type(embedding).__name__} cannot be one tensor; set `tie: false`"
        )
    bits = _bits_per_weight(gguf)
    if bits.get("output.weight", 0.0) > bits["token_embd.weight"]:
        embedding.weight = head.weight
    head.weight = embedding.weight
    model.config.tie_word_embeddings = True


def _bits_per_weight(gguf: Path) -> dict[str, float]:
    from gguf import GGUFReader

    wanted = ("output.weight", "token_embd.weight")
    return {t.name: 8 * float(t.n_bytes) / float(t.n_elements) for t in GGUFReader(gguf).tensors if t.name in wanted}


def _end_turns(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Make the end of a turn the tokenizer's end token, and let generation stop at it and at the end of a document."""
    from transformers import GenerationConfig

    of_turn, of_document = int(model.config.eos_token_id), int(tokenizer.eos_token_id)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(of_turn)
    ends = list(dict.fromkeys([of_turn, of_document]))
    model.generation_config = GenerationConfig(
        bos_token_id=model.config.bos_token_id, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id
    )


def _check(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, parameters: int, place: Path) -> None:
    found = sum(p.numel() for p in model.parameters())
    if found != parameters:
        raise PreflightError(f"{place}: {found:,} parameters, {parameters:,} are allowed; see `parameters` and `tie` in the manifest")
    prompt = prompt_ids(tokenizer, "What is 2 + 2?")
    end = tokenizer.eos_token_id
    if end not in prompt:
        raise PreflightError(
            f"{place}: the chat template never writes the end token {tokenizer.eos_token!r}, so a trained model would not stop"
        )
    if tokenizer.pad_token_id in (None, end):
        raise PreflightError(
            f"{place}: the padding token {tokenizer.pad_token!r} must be there and differ from the end token {tokenizer.eos_token!r}"
        )
    nats = _loss(model, text_ids(tokenizer, KNOWN_TEXT))
    if not nats < MOST_NATS:
        raise PreflightError(
            f"{place}: {nats:.2f} nats per token on plain English, under {MOST_NATS} is allowed; the weights were not read rightly"
        )


def _loss(model: PreTrainedModel, ids: list[int]) -> float:
    """Mean negative log-likelihood of `ids` in nats per token."""
    import torch

    input_BT = torch.tensor([ids])
    with torch.inference_mode():
        result: Any = model(input_ids=input_BT, labels=input_BT)
    return float(result.loss)
