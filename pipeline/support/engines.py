"""From params to what the rooms take: engine, tokenizer, sampling and the text of an instruction."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from data.chat import tagged_instruction
from data.errors import EngineError, ParamsError
from data.hub import local_folder
from pipeline.support.params import EngineSettings, ModelSource, Sampling
from teachers.engine import EngineSpec, ModelRef, SamplingSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def engine_spec(settings: EngineSettings, source: ModelSource) -> EngineSpec:
    """The engine of these settings with these weights; it is not started."""
    return EngineSpec(
        kind=settings.kind,
        model=ModelRef(local_folder(source.path, source.revision)),
        dtype=settings.dtype,
        batch=settings.batch,
        max_model_length=settings.max_model_length,
        arguments=settings.arguments,
    )


def sampling_settings(sampling: Sampling) -> SamplingSettings:
    """How tokens are drawn, as engines take it."""
    return SamplingSettings(sampling.temperature, sampling.top_p, sampling.max_tokens)


def tokenizer_of(source: ModelSource) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, loaded once. Raises EngineError where the folder has none."""
    return tokenizer_in(local_folder(source.path, source.revision))


@lru_cache(maxsize=4)
def tokenizer_in(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer that lies in a folder, loaded once. Raises EngineError where it has none."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise EngineError(f"{folder}: its tokenizer cannot be loaded ({str(error)[:200]}); the folder needs tokenizer.json") from None


def instruction_of(file: str | None, *, tag: str | None = None) -> str | None:
    """The text that a file holds, without white space around it (None where none is named), with a student's tag behind the question."""
    return tagged_instruction(None if file is None else _text(file), tag)


def _text(file: str) -> str:
    path = Path(file)
    if not path.is_file():
        raise ParamsError(f"instruction: {file!r} is no file; name a text file with the system message, or null")
    text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise ParamsError(f"instruction: {file!r} is empty; write the system message into it, or set null")
    return text
