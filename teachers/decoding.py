"""From token ids to text, the same for every engine: think tags stay, the tokens that end a turn go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data.chat import end_id
from data.hub import end_ids
from data.records import Status

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FINISHED = {"stop": Status.OK, "length": Status.TRUNCATED}
"""What a finish reason means; any other is an error."""


class Decoder:
    """The tokenizer of a model folder, and the tokens at which this model stops."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer

        self.tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
        self.stop_ids = frozenset({end_id(self.tokenizer), *end_ids(folder)})
        pad = self.tokenizer.pad_token_id
        self.pad_id = min(self.stop_ids) if pad is None else int(pad)
        self._silent = self.stop_ids if pad is None else self.stop_ids | {int(pad)}

    def text(self, token_ids: Sequence[int]) -> str:
        """The text of generated tokens without end and pad tokens; other special tokens, think tags among them, are spelled out."""
        kept = [token for token in token_ids if token not in self._silent]
        return str(self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def until_stop(self, token_ids: Sequence[int]) -> tuple[int, ...]:
        """The tokens up to the first that ends the turn, which is included; all of them where there is none."""
        for place, token in enumerate(token_ids):
            if token in self.stop_ids:
                return tuple(token_ids[: place + 1])
        return tuple(token_ids)
