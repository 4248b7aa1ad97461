"""The chat format, known to this module alone: prompts, think tags and the text after them.

Training and serving both call `prompt_ids`, and a completion is `completion_ids`: its text and the end token.
A model that writes no think tags is asked for sections instead (`Format.sections`) and its text is mapped to the think format.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from data.errors import TextFormatError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OPEN, CLOSE = "<think>", "</think>"
QUESTION = "{question}"
AFTER_CLOSE = re.compile(f"(?<={CLOSE})")
ANSWER_OF_SECTIONS = re.compile(
    r"\A\s*(?:#+\s*|\*\*)?Working:?(?:\*\*)?:?\s*\n(?P<thinking>.*?)"
    r"\n\s*(?:#+\s*|\*\*)?Short solution:?(?:\*\*)?:?\s*\n(?P<answer>.*)\Z",
    re.DOTALL | re.IGNORECASE,
)


class Format(StrEnum):
    """How a writer marks its thinking."""

    THINK = "think"
    SECTIONS = "sections"


class Parts(NamedTuple):
    """A text in its two parts; `closed` is False where the thinking never ended."""

    thinking: str
    answer: str
    closed: bool


def split(text: str) -> Parts:
    """Thinking and answer of a text in the think format.

    Without tags all of it is answer (a model that does not think). An open tag that is never closed leaves no answer.
    """
    if CLOSE in text:
        thinking, _, answer = text.partition(CLOSE)
        return Parts(thinking.replace(OPEN, "", 1).strip(), answer.strip(), True)
    if OPEN in text:
        return Parts(text.partition(OPEN)[2].strip(), "", False)
    return Parts("", text.strip(), True)


def join(thinking: str, answer: str) -> str:
    """The text whose parts these are; the inverse of `split` for stripped parts without tags."""
    for name, part in (("thinking", thinking), ("answer", answer)):
        if OPEN in part or CLOSE in part:
            raise TextFormatError(f"{name} holds a think tag: {part[:80]!r}; tags are written by data.chat.join alone")
    return f"{OPEN}{thinking.strip()}{CLOSE}{answer.strip()}"


def to_think(text: str, written: Format) -> str | None:
    """`text` in the think format, or None where it does not follow the format that was asked for."""
    if written is Format.THINK:
        return text if split(text).closed and text.count(CLOSE) <= 1 and text.count(OPEN) <= 1 else None
    found = ANSWER_OF_SECTIONS.match(text)
    if found is None or OPEN in text or CLOSE in text:
        return None
    return join(found["thinking"], found["answer"])


def begin_answer(thinking: str, written: Format) -> str:
    """What a writer of this format has written when its thinking has just ended; its answer comes next."""
    if written is Format.THINK:
        return join(thinking, "")
    return f"Working:\n{thinking.strip()}\n\nShort solution:\n"


def tagged(question: str, tag: str | None) -> str:
    """The question with a tag behind it, by which a student that learnt several ways of writing is asked for one of them."""
    return question if tag is None else f"{question}\n{tag}"


def tagged_instruction(instruction: str | None, tag: str | None) -> str | None:
    """The instruction that asks every question as `tagged` writes it. Raises TextFormatError for a system message, which cannot."""
    if tag is None:
        return instruction
    around = QUESTION if instruction is None else instruction
    if QUESTION not in around:
        raise TextFormatError(f"a tag needs an instruction that holds {QUESTION}, or none; found a system message: {around[:80]!r}")
    return around.replace(QUESTION, tagged(QUESTION, tag))


def messages(question: str, instruction: str | None = None) -> list[dict[str, str]]:
    """The conversation that asks a question.

    An `instruction` is the system message; one that holds `{question}` is the user's message around the question, which small models
    follow better.
    """
    if instruction and QUESTION in instruction:
        return [{"role": "user", "content": instruction.replace(QUESTION, question)}]
    system = [{"role": "system", "content": instruction}] if instruction else []
    return [*system, {"role": "user", "content": question}]


def prompt_ids(tokenizer: PreTrainedTokenizerBase, question: str, instruction: str | None = None) -> list[int]:
    """Token ids of the prompt up to where the model begins to write."""
    if not tokenizer.chat_template:
        raise TextFormatError(f"{tokenizer.name_or_path}: the tokenizer has no chat template; add chat_template.jinja to the model folder")
    rendered = tokenizer.apply_chat_template(messages(question, instruction), tokenize=False, add_generation_prompt=True)
    return _encoded(tokenizer, str(rendered))


def completion_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of what the model writes for `text`, the end token included."""
    return [*text_ids(tokenizer, text), end_id(tokenizer)]


def text_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of `text` that a model writes, no special tokens added.

    A closing think tag ends a token even where the tokenizer does not know it: otherwise `>The` could be one token, and a model that
    goes on after a given thinking would see other tokens than it was trained on.
    """
    known = tokenizer.convert_tokens_to_ids(CLOSE) not in (None, tokenizer.unk_token_id)
    pieces = [text] if known else AFTER_CLOSE.split(text)
    return [token for piece in pieces if piece for token in _encoded(tokenizer, piece)]


def _encoded(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def end_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that ends an assistant turn."""
    if tokenizer.eos_token_id is None:
        raise TextFormatError(f"{tokenizer.name_or_path}: the tokenizer has no end token; set eos_token in tokenizer_config.json")
    return int(tokenizer.eos_token_id)


def tokenizer_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """16 hex digits of the tokenizer's vocabulary and chat template: equal hash, equal prompts."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    core = backend.to_str() if backend is not None else repr(sorted(tokenizer.get_vocab().items()))
    return hashlib.sha256(f"{core}\0{tokenizer.chat_template}".encode()).hexdigest()[:16]
