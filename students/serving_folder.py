"""The last touches that make a merged model folder one that servers take: every end token, think tags that survive decoding."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.chat import CLOSE, OPEN, end_id
from data.errors import PreflightError
from data.hub import end_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

READABLE = 0o644
NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")


def finish(folder: Path, *, base: Path) -> None:
    """Write generation_config.json with every end token of the model and its base, make think tags plain tokens, and check the folder.

    Raises PreflightError where a file that servers need is missing, or where the touches would change what a prompt is.
    """
    from transformers import AutoTokenizer

    _check_files(folder)
    before = AutoTokenizer.from_pretrained(folder)
    if not before.chat_template:
        raise PreflightError(f"{folder}: no chat template; servers could not build the prompts that the student was trained on")
    _write_generation_config(folder, before, base)
    _make_tags_plain(folder)
    for weights in folder.glob("*.safetensors"):
        weights.chmod(READABLE)  # they are written for their owner alone, and a server is often another user
    _check_tags(before, AutoTokenizer.from_pretrained(folder), folder)


def all_end_ids(folders: Iterable[Path], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token that ends a turn: the tokenizer's own first, then those that the folders name."""
    return list(dict.fromkeys([end_id(tokenizer), *(token for folder in folders for token in end_ids(folder))]))


def _check_files(folder: Path) -> None:
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if not list(folder.glob("*.safetensors")):
        missing.append("*.safetensors")
    if missing:
        raise PreflightError(f"{folder}: {', '.join(missing)} missing; a served folder needs weights, settings and tokenizer")


def _write_generation_config(folder: Path, tokenizer: PreTrainedTokenizerBase, base: Path) -> None:
    """End tokens alone: sampling defaults in here would change what a server answers unasked."""
    values = {
        "eos_token_id": all_end_ids((folder, base), tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
    }
    _write(folder / "generation_config.json", {name: value for name, value in values.items() if value is not None})


def _make_tags_plain(folder: Path) -> None:
    """Servers leave special tokens out of their text by default, and with them the border between thinking and answer."""
    core = _read(folder / "tokenizer.json")
    settings = _read(folder / "tokenizer_config.json")
    for token in [*core.get("added_tokens", []), *settings.get("added_tokens_decoder", {}).values()]:
        if token["content"] in (OPEN, CLOSE):
            token["special"] = False
    for name in ("additional_special_tokens", "extra_special_tokens"):
        if isinstance(settings.get(name), list):
            settings[name] = [token for token in settings[name] if token not in (OPEN, CLOSE)]
    (folder / "tokenizer.json").write_text(json.dumps(core, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    _write(folder / "tokenizer_config.json", settings)


def _check_tags(before: PreTrainedTokenizerBase, after: PreTrainedTokenizerBase, folder: Path) -> None:
    text = f"{OPEN}1 + 2 = 3{CLOSE}The answer is \\boxed{{3}}."
    ids = after(text, add_special_tokens=False)["input_ids"]
    if ids != before(text, add_special_tokens=False)["input_ids"]:
        raise PreflightError(f"{folder}: making the think tags plain changed the tokens of {text!r}; this tokenizer cannot be handed off")
    said = after.decode(ids, skip_special_tokens=True)
    if OPEN not in said or CLOSE not in said:
        raise PreflightError(f"{folder}: decoding loses the think tags ({said!r}); they must not be special tokens of tokenizer.json")


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")
