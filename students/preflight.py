"""Known traps of fine-tuning, found before anything expensive starts; each finding names the row and the fix.

A model that never stops (its end token was masked or never taught), rows without or with nothing but supervised tokens, rows that are
too long, packed or padded wrongly, and weights that do not belong to their tokenizer. What concerns tokenizers and chat templates alone
is in data/templates.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from data.checks import Finding, error, summed, warning
from data.templates import Said, alike_findings, round_trip, student_findings
from students.collapse import can_tell
from students.memory import free_bytes, memory_findings, memory_of, shapes_of
from students.places import ALL_SHARED, Places
from students.rows import IGNORED, Encoded, Row, ending_rows, supervised
from students.settings import Asc, Training

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

    from students.job import Job
    from students.models import Precision

MANY_OVERLONG = 0.01
"""Share of dropped rows from which on it is worth a warning."""
TOKENIZER = "tokenizer.json"
Collate = Callable[[list[dict[str, list[int]]]], Any]


def training_findings(job: Job, encoded: Encoded, tokenizer: PreTrainedTokenizerBase, precision: Precision) -> Iterator[Finding]:
    """What would spoil or end this training, found before weights are loaded."""
    from transformers import AutoConfig, AutoTokenizer

    yield from student_findings(tokenizer, job.base_name, job.instruction)
    yield from overlong_findings(encoded, job.training, job.places)
    yield from row_findings(encoded.rows, tokenizer, instruction=job.instruction)
    if not isinstance(job.objective, Asc):
        yield from ending_findings(encoded.rows, job.training, job.places)
    yield from fit_findings(encoded.rows, AutoConfig.from_pretrained(job.base))
    if job.start is not None and (job.start / TOKENIZER).is_file():  # some objectives compare its probabilities with the student's
        yield from alike_findings(tokenizer, AutoTokenizer.from_pretrained(job.start), "students.*.from")
    length = max((len(row.input_ids) for row in encoded.rows), default=job.training.max_length)
    memory = memory_of(shapes_of(job.base, job.training), job.training, precision, length=length, objective=job.objective)
    yield from memory_findings(memory, free_bytes(job.training.launch.processes), length=length, places=job.places)


def row_findings(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, *, instruction: str | None = None) -> list[Finding]:
    """Labels and round trip of every row; a trap that many rows share is one finding."""
    return summed(
        finding for row in rows for finding in (*label_findings(row, tokenizer), *round_trip_findings(row, tokenizer, instruction))
    )


def label_findings(row: Row, tokenizer: PreTrainedTokenizerBase) -> Iterator[Finding]:
    """The end token is learnt, once and last, and never by a row that was cut; some of the row is learnt and some is not; labels repeat
    the inputs.
    """
    learnt, eos, place = supervised(row), tokenizer.eos_token_id, f"trace {row.trace_id}"
    share = len(learnt) / max(1, len(row.labels))
    if not 0 < share < 1:
        yield error(place, f"{share:.0%} of its tokens are supervised", "more than none and less than all must be; see how it was encoded")
        return
    if not row.ends and eos in learnt:
        found = f"its text was cut at a limit, so it must not teach the end token {tokenizer.eos_token!r}, but does"
        yield error(place, found, "encode it without its end")
    if row.ends and (row.labels[-1] != eos or learnt.count(eos) != 1):
        yield error(
            place,
            f"the end token {tokenizer.eos_token!r} must be the last supervised label and occur once, found it {learnt.count(eos)} time(s) "
            f"and last {tokenizer.decode(learnt[-1:])!r}",
            "a completion is encoded by data.chat.completion_ids and holds no end token itself",
        )
    if any(label not in (IGNORED, token) for label, token in zip(row.labels, row.input_ids, strict=True)):
        yield error(place, "a label differs from its input token", f"labels are the inputs or {IGNORED}")


def round_trip_findings(row: Row, tokenizer: PreTrainedTokenizerBase, instruction: str | None) -> Iterator[Finding]:
    """What is trained is, token by token, what serving will show and read."""
    start = len(row.input_ids) - len(supervised(row))
    said = Said(row.question, instruction, row.completion, row.input_ids[:start], row.input_ids[start:], row.ends)
    return round_trip(tokenizer, said, f"trace {row.trace_id}")


def overlong_findings(encoded: Encoded, training: Training, places: Places = ALL_SHARED) -> Iterator[Finding]:
    """How many rows were dropped for their length: an error above `max_overlong`, and where none is left."""
    place, kept, dropped = places.key("max_length"), len(encoded.rows), encoded.dropped.total()
    share, (trace_id, tokens) = dropped / (kept + dropped), encoded.longest
    found = (
        f"{dropped} of {kept + dropped} rows ({share:.1%}) are longer than max_length: {training.max_length} tokens and are dropped; the "
        f"longest has {tokens} tokens (trace {trace_id})"
    )
    if not kept or share > training.max_overlong:
        bound = f"at most {training.max_overlong:.1%} may be (max_overlong): "
        yield error(place, found, f"{bound}raise max_length, or allow more to be dropped")
    elif share > MANY_OVERLONG:
        yield warning(place, found, "raise it, if the students are to learn from long traces too")


def ending_findings(rows: Sequence[Row], training: Training, places: Places = ALL_SHARED) -> Iterator[Finding]:
    """Rows are short enough that a look during the training can tell whether the model ends its texts."""
    guard, lengths = training.guard, [len(supervised(row)) for row in ending_rows(rows)]
    if rows and guard.ends_from and not can_tell(lengths, guard):
        found = f"fewer than half of the rows end within half of {guard.max_tokens} tokens, so it is not looked whether texts end"
        yield warning(places.key("guard.max_tokens"), found, "raise it to twice the tokens of most rows, or set guard.ends_from: 0")


def collator_findings(collate: Collate, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> Iterator[Finding]:
    """Every row stays a row of its own, so that none attends to another, and padding is masked by position and not by token id, so that
    the end token is learnt even where it is also the pad token.
    """
    short, long = min(rows, key=lambda r: len(r.input_ids)), max(rows, key=lambda r: len(r.input_ids))
    batch = collate([{"input_ids": row.input_ids, "labels": row.labels} for row in (short, long)])
    if len(batch["labels"]) != 2 or "attention_mask" not in batch:
        found = f"the collator makes {len(batch['labels'])} row(s) of two, so that one would see the other"
        yield error(f"trace {short.trace_id}", found, "rows must not be packed: turn packing and padding_free off")
        return
    for row, labels, mask in zip((short, long), batch["labels"].tolist(), batch["attention_mask"].tolist(), strict=True):
        padding = len(labels) - len(row.labels)
        if labels != row.labels + [IGNORED] * padding or mask != [1] * len(row.labels) + [0] * padding or len(labels) < len(long.labels):
            yield error(
                f"trace {row.trace_id}",
                "the collator changes the labels or the attention mask of a row when it pads "
                f"(pad token {tokenizer.pad_token!r}, end token {tokenizer.eos_token!r})",
                "padding must be masked by position",
            )


def fit_findings(rows: Sequence[Row], config: PretrainedConfig) -> list[Finding]:
    """The model has an embedding for every token and a position for every row."""
    return summed(finding for row in rows for finding in _fits(row, config.get_text_config()))


def _fits(row: Row, text: PretrainedConfig) -> Iterator[Finding]:
    positions = getattr(text, "max_position_embeddings", None)
    if max(row.input_ids) >= text.vocab_size:
        found = f"token {max(row.input_ids)} is outside of the model's vocabulary of {text.vocab_size}"
        yield error(f"trace {row.trace_id}", found, "tokenizer and weights do not belong together: give each its own")
    if positions is not None and len(row.input_ids) > positions:
        yield error(f"trace {row.trace_id}", f"{len(row.input_ids)} tokens, but the model has {positions} positions", "lower max_length")
