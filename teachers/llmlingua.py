"""LLMLingua-2 (arXiv 2403.12968): a token classifier that says of each word with which probability it is kept.

The published weights (`microsoft/llmlingua-2-xlm-roberta-large-meetingbank`) or any other token classifier whose label 1 means "keep".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from data.errors import EngineError

KEEP = 1
"""The label of a token that is kept."""
MAX_TOKENS = 480
"""Tokens of one piece: XLM-R reads 512, its two marks among them."""


class WordKeeper:
    """The classifier of a model folder."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForTokenClassification, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            self._model: Any = AutoModelForTokenClassification.from_pretrained(folder).eval()
        except (OSError, ValueError, KeyError) as error:
            raise EngineError(f"{folder}: no token classifier can be loaded ({str(error)[:200]}); LLMLingua-2 needs one") from error

    def keep(self, words: Sequence[str]) -> list[float]:
        """For each word the mean probability of its tokens to be kept; 0 for a word of spaces alone."""
        import torch

        found: list[float] = []
        for piece in self._pieces(words):
            read = self._tokenizer(piece, is_split_into_words=True, truncation=True, max_length=MAX_TOKENS + 2, return_tensors="pt")
            with torch.inference_mode():
                keep_T = self._model(**read).logits[0].softmax(-1)[:, KEEP].tolist()
            of_word: list[list[float]] = [[] for _ in piece]
            for index, probability in zip(read.word_ids(0), keep_T, strict=True):
                if index is not None:
                    of_word[index].append(probability)
            found += (fmean(own) if own else 0.0 for own in of_word)
        return found

    def _pieces(self, words: Sequence[str]) -> Iterator[list[str]]:
        """As many words as the classifier reads at once."""
        piece, held = list[str](), 0
        for word in (word.strip() for word in words):
            length = len(self._tokenizer(word, add_special_tokens=False)["input_ids"])
            if piece and held + length > MAX_TOKENS:
                yield piece
                piece, held = [], 0
            piece.append(word)
            held += length
        if piece:
            yield piece
