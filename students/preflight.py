"""Known traps of fine-tuning, found before anything expensive starts; each refusal names the row and the fix.

A model that never stops (its end token was masked or never taught), a prompt that training renders differently from serving,
thinking tags doubled by the template, rows without or with nothing but supervised tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from data.chat import CLOSE, OPEN, messages, text_ids
from data.errors import PreflightError
from students.rows import IGNORED, Row, supervised

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

PROBE = "The answer is 7."
Collate = Callable[[list[dict[str, list[int]]]], Any]


def preflight(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, *, instruction: str | None = None) -> None:
    """Check tokenizer, labels and round trip of every row; raises PreflightError at the first trap."""
    check_tokenizer(tokenizer)
    for row in rows:
        check_labels(row, tokenizer)
        check_round_trip(row, tokenizer, instruction)


def check_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    """A chat template, a pad and an end token; and the template ends the assistant's turn with that end token."""
    name = tokenizer.name_or_path or "the tokenizer"
    for value, what, fix in (
        (tokenizer.chat_template, "chat template", "add chat_template.jinja to the model folder"),
        (tokenizer.pad_token_id, "pad token", "set pad_token in tokenizer_config.json, to a token that no text holds"),
        (tokenizer.eos_token_id, "end token", "set eos_token in tokenizer_config.json, to what ends an assistant's turn"),
    ):
        if value is None or value == "":
            raise PreflightError(f"{name}: no {what}; {fix}")
    _turn_ends_with_eos(tokenizer, name)


def _turn_ends_with_eos(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    rendered = _render(tokenizer, [*messages("What is 3 + 4?"), _said(PROBE)])
    if PROBE not in rendered:
        raise PreflightError(f"{name}: the chat template does not show the assistant's message {PROBE!r}; it rendered {rendered[-120:]!r}")
    ending = text_ids(tokenizer, rendered.rpartition(PROBE)[2].lstrip())
    if ending and ending[0] != tokenizer.eos_token_id:
        raise PreflightError(
            f"{name}: the chat template ends the assistant's turn with {tokenizer.decode(ending[:1])!r}, but eos_token is "
            f"{tokenizer.eos_token!r}: a model taught this never stops when served. Set eos_token to the template's token."
        )


def check_labels(row: Row, tokenizer: PreTrainedTokenizerBase) -> None:
    """The end token is learnt, once and last, and never by a row that was cut; some of the row is learnt and some is not; labels repeat
    the inputs.
    """
    learnt, eos = supervised(row), tokenizer.eos_token_id
    share = len(learnt) / max(1, len(row.labels))
    if not 0 < share < 1:
        raise PreflightError(f"trace {row.trace_id}: {share:.0%} of its tokens are supervised; more than none and less than all must be")
    if not row.ends and eos in learnt:
        raise PreflightError(
            f"trace {row.trace_id}: its text was cut at a limit, so it must not teach the end token {tokenizer.eos_token!r}, but does"
        )
    if row.ends and (row.labels[-1] != eos or learnt.count(eos) != 1):
        raise PreflightError(
            f"trace {row.trace_id}: the end token {tokenizer.eos_token!r} must be the last supervised label and occur once, found it "
            f"{learnt.count(eos)} time(s) and last {tokenizer.decode(learnt[-1:])!r}; a completion is encoded by data.chat.completion_ids "
            "and holds no end token itself"
        )
    if any(label not in (IGNORED, token) for label, token in zip(row.labels, row.input_ids, strict=True)):
        raise PreflightError(f"trace {row.trace_id}: a label differs from its input token; labels are the inputs or {IGNORED}")


def check_round_trip(row: Row, tokenizer: PreTrainedTokenizerBase, instruction: str | None) -> None:
    """What is trained is, token by token, what serving will show and read."""
    asked = messages(row.question, instruction)
    start = len(row.input_ids) - len(supervised(row))
    served = list(tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=True, return_dict=False))
    _same(row, tokenizer, trained=row.input_ids[:start], served=served)
    _given_back(row, tokenizer, row.input_ids[start:])
    _tags_not_doubled(row, _text(tokenizer, row.input_ids[:start]))
    whole, rendered = _render(tokenizer, [*asked, _said(row.completion)]), _render(tokenizer, asked, generate=True)
    if whole.startswith(rendered + row.completion):  # some templates rewrite thinking; then their rendering is not comparable
        _same(row, tokenizer, trained=row.input_ids, served=[*served, *text_ids(tokenizer, whole[len(rendered) :])][: len(row.input_ids)])


def _given_back(row: Row, tokenizer: PreTrainedTokenizerBase, completion: list[int]) -> None:
    """Reading the generated tokens as text loses nothing but spaces, and the text gives the same tokens again."""
    text = _text(tokenizer, completion)
    ending = str(tokenizer.eos_token) if row.ends else ""
    if "".join(text.split()) != "".join((row.completion + ending).split()):
        raise PreflightError(
            f"trace {row.trace_id}: the tokenizer does not give the completion back: {row.completion[:60]!r} became {text[:60]!r}; "
            "the tokenizer changes text, or the row was not encoded from this completion"
        )
    _same(row, tokenizer, trained=completion, served=text_ids(tokenizer, text))


def _tags_not_doubled(row: Row, prompt: str) -> None:
    tail = prompt.rstrip()
    if (tail.endswith(OPEN) or tail.endswith(CLOSE)) and OPEN in row.completion:
        raise PreflightError(
            f"trace {row.trace_id}: the chat template already writes {tail[-20:]!r} at the end of the prompt and the completion opens "
            f"{OPEN} again; the model would learn doubled tags. Use a chat template that leaves the tag to the model."
        )


def _same(row: Row, tokenizer: PreTrainedTokenizerBase, *, trained: list[int], served: list[int]) -> None:
    if trained == served:
        return
    pairs = zip(trained, served, strict=False)
    place = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(trained), len(served)))
    raise PreflightError(
        f"trace {row.trace_id}: training and serving render differently from token {place} on: training has "
        f"{tokenizer.decode(trained[place : place + 8])!r}, serving {tokenizer.decode(served[place : place + 8])!r}; "
        "the chat template or the tokenizer treats the assistant's turn differently with and without a generation prompt"
    )


def check_collator(collate: Collate, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> None:
    """Padding is masked by position and not by token id, so that the end token is learnt even where it is also the pad token."""
    short, long = min(rows, key=lambda r: len(r.input_ids)), max(rows, key=lambda r: len(r.input_ids))
    batch = collate([{"input_ids": row.input_ids, "labels": row.labels} for row in (short, long)])
    width = len(long.input_ids)
    for row, labels, mask in zip((short, long), batch["labels"].tolist(), batch["attention_mask"].tolist(), strict=True):
        padding = len(labels) - len(row.labels)
        if labels != row.labels + [IGNORED] * padding or mask != [1] * len(row.labels) + [0] * padding or len(labels) < width:
            raise PreflightError(
                f"trace {row.trace_id}: the collator changes the labels or the attention mask of a row when it pads "
                f"(pad token {tokenizer.pad_token!r}, end token {tokenizer.eos_token!r}); padding must be masked by position"
            )


def check_fits(rows: Sequence[Row], config: PretrainedConfig) -> None:
    """The model has an embedding for every token and a position for every row."""
    text = config.get_text_config()
    positions = getattr(text, "max_position_embeddings", None)
    for row in rows:
        if max(row.input_ids) >= text.vocab_size:
            raise PreflightError(
                f"trace {row.trace_id}: token {max(row.input_ids)} is outside of the model's vocabulary of {text.vocab_size}; "
                "tokenizer and weights do not belong together"
            )
        if positions is not None and len(row.input_ids) > positions:
            raise PreflightError(
                f"trace {row.trace_id}: {len(row.input_ids)} tokens, but the model has {positions} positions; lower max_length to that"
            )


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _render(tokenizer: PreTrainedTokenizerBase, conversation: list[dict[str, str]], *, generate: bool = False) -> str:
    return str(tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=generate))


def _text(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
