"""The lab's tokenizer: a small BPE trained on the lab's own text, every digit a token of its own."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from data.tasks.lab_text import Habits, arithmetic, attempt, given, recall

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, EOS, USER, ASSISTANT, SYSTEM = "<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"
SPECIAL = (PAD, EOS, USER, ASSISTANT, SYSTEM, "<think>", "</think>")
CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def train_tokenizer(*, vocabulary: int = 512, documents: int = 4000, seed: int = 0) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most `vocabulary` tokens with the lab's chat template; the same for the same seed."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    # A word is the same token at the start of a text as inside it, whether or not a space was written there.
    core.normalizer = normalizers.Sequence([normalizers.Prepend(" "), normalizers.Replace(Regex("^ +"), " ")])
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r" ?\d"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    core.decoder = decoders.ByteLevel()
    rng = Random(seed)
    makers = (arithmetic, given, recall, lambda r: attempt(r, max_steps=4, habits=Habits()))
    texts = [" ".join(makers[i % len(makers)](rng)) for i in range(documents)]
    texts = [text.replace("<think>", " ").replace("</think>", " ") for text in texts]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        eos_token=EOS,
        additional_special_tokens=[USER, ASSISTANT, SYSTEM],
        chat_template=CHAT_TEMPLATE,
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )


def save_tokenizer(folder: Path, *, seed: int = 0) -> None:
    """Train the lab's tokenizer and write it as a Hugging Face folder."""
    train_tokenizer(seed=seed).save_pretrained(folder)
