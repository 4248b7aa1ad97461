"""The lab's two models: their shapes, their curricula, and how they are raised from random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from data.chat import completion_ids, prompt_ids, text_ids
from data.tasks.lab_text import Habits, arithmetic, attempt, conclusion, copy, given, recall, retell
from data.tasks.lab_tokenizer import save_tokenizer
from students.pretrain import Document, DocumentStream, PretrainSettings, pretrain

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

HEAD_WIDTH = 32
"""The smallest that vLLM's CPU attention knows."""
Text = tuple[str, ...]
"""A question and what is written in answer to it; between them, where there is one, a beginning of the answer that is given."""


@dataclass(frozen=True)
class Recipe:
    """How one model of the lab is made."""

    layers: int
    width: int
    inner_width: int
    tokens: int
    """Training positions."""
    batch_tokens: int
    muon_learning_rate: float
    adam_learning_rate: float
    curriculum: Callable[[float, Random], Text]
    """One text, given the share of the training that is done."""


def teacher_text(done: float, rng: Random) -> Text:
    """Copying first, then skills with chains of one step, then chains of two and of four steps.

    Some skills to the end, and conclusions from short thinking, which re-verification asks for.
    """
    if done < 0.06:
        return rng.choice((copy, copy, copy, arithmetic))(rng)
    skills = 0.7 if done < 0.2 else 0.15 if done < 0.6 else 0.05
    if rng.random() < skills:
        return rng.choice((retell, recall, recall, arithmetic, arithmetic))(rng)
    if rng.random() < 0.1:
        return conclusion(rng)
    longest = 1 if done < 0.2 else 2 if done < 0.35 else 4
    return attempt(rng, max_steps=rng.randint(1, longest), habits=Habits())


def student_text(done: float, rng: Random) -> Text:
    """Copying first, then language, one-step arithmetic and look-ups: never a chain."""
    if done < 0.15:
        return rng.choice((copy, copy, copy, arithmetic))(rng)
    return rng.choice((retell, recall, recall, recall, arithmetic, arithmetic, given))(rng)


RECIPES = {
    "teacher": Recipe(
        layers=6,
        width=128,
        inner_width=384,
        tokens=10_000_000,
        batch_tokens=2048,
        muon_learning_rate=0.02,
        adam_learning_rate=3e-3,
        curriculum=teacher_text,
    ),
    "student": Recipe(
        layers=4,
        width=128,
        inner_width=384,
        tokens=8_000_000,
        batch_tokens=2048,
        muon_learning_rate=0.02,
        adam_learning_rate=3e-3,
        curriculum=student_text,
    ),
}


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase, *, seed: int) -> PreTrainedModel:
    """A Qwen3 with an untied head, random weights, and layers that add nothing yet.

    Normalised queries and keys (Qwen3) and zero output maps learn to copy in a fifth of the tokens that a plain Llama needs here.
    """
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    heads = recipe.width // HEAD_WIDTH
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=recipe.inner_width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=HEAD_WIDTH,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = Qwen3ForCausalLM(config)
    for name, weight in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            torch.nn.init.zeros_(weight)
    return model


def document_stream(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> DocumentStream:
    """The recipe's texts as token ids in the chat format."""

    def stream(done: float, rng: Random) -> Document:
        question, *beginning, answer = recipe.curriculum(done, rng)
        prompt = [*prompt_ids(tokenizer, question), *text_ids(tokenizer, "".join(beginning))]
        return Document(prompt, completion_ids(tokenizer, answer), only_given=bool(beginning))

    return stream


def build(name: str, folder: Path, *, checkpoint: Path, report: Callable[[int, float], None], seed: int = 0) -> None:
    """Raise one model of the lab and write it as a Hugging Face folder; goes on from `checkpoint` after a crash."""
    from transformers import AutoTokenizer, GenerationConfig

    recipe = RECIPES[name]
    save_tokenizer(folder, seed=0)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = new_model(recipe, tokenizer, seed=seed)
    settings = PretrainSettings(
        tokens=recipe.tokens,
        batch_tokens=recipe.batch_tokens,
        muon_learning_rate=recipe.muon_learning_rate,
        adam_learning_rate=recipe.adam_learning_rate,
        seed=seed,
    )
    pretrain(model, document_stream(recipe, tokenizer), settings, checkpoint=checkpoint, report=report)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    checkpoint.unlink(missing_ok=True)
