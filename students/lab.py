"""The lab's two models: their shapes, their curricula, and how they are raised from random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from data.chat import completion_ids, prompt_ids
from data.tasks.lab_text import Habits, arithmetic, attempt, given, recall
from data.tasks.lab_tokenizer import save_tokenizer
from students.pretrain import Document, DocumentStream, PretrainSettings, pretrain

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Text = tuple[str, str]
"""A question and what is written in answer to it."""


@dataclass(frozen=True)
class Recipe:
    """How one model of the lab is made."""

    layers: int
    width: int
    inner_width: int
    tokens: int
    """Training positions."""
    curriculum: Callable[[float, Random], Text]
    """One text, given the share of the training that is done."""


def teacher_text(done: float, rng: Random) -> Text:
    """Skills first, then chains of one step, of two, and of four; a tenth of skills to the end."""
    skills = 0.7 if done < 0.08 else 0.3 if done < 0.4 else 0.1
    if rng.random() < skills:
        return rng.choice((recall, recall, arithmetic))(rng)
    longest = 1 if done < 0.05 else 2 if done < 0.2 else 4
    return attempt(rng, max_steps=rng.randint(1, longest), habits=Habits())


def student_text(done: float, rng: Random) -> Text:
    """Language, one-step arithmetic and look-ups: never a chain."""
    return rng.choice((recall, recall, arithmetic, given))(rng)


RECIPES = {
    "teacher": Recipe(layers=6, width=128, inner_width=384, tokens=12_000_000, curriculum=teacher_text),
    "student": Recipe(layers=4, width=128, inner_width=384, tokens=5_000_000, curriculum=student_text),
}


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, *, seed: int) -> PreTrainedModel:
    """A Llama with random weights and an untied head."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    heads = recipe.width // 32  # vLLM's CPU attention knows heads of 32
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=recipe.inner_width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


def document_stream(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> DocumentStream:
    """The recipe's texts as token ids in the chat format."""

    def stream(done: float, rng: Random) -> Document:
        question, answer = recipe.curriculum(done, rng)
        return Document(prompt_ids(tokenizer, question), completion_ids(tokenizer, answer))

    return stream


def build(name: str, folder: Path, *, checkpoint: Path, report: Callable[[int, float], None], seed: int = 0) -> None:
    """Raise one model of the lab and write it as a Hugging Face folder; goes on from `checkpoint` after a crash."""
    from transformers import AutoTokenizer, GenerationConfig

    recipe = RECIPES[name]
    save_tokenizer(folder, seed=0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = new_model(recipe, tokenizer, seed=seed)
    settings = PretrainSettings(tokens=recipe.tokens, seed=seed)
    pretrain(model, document_stream(recipe, tokenizer), settings, checkpoint=checkpoint, report=report)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    checkpoint.unlink(missing_ok=True)
