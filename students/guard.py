"""Watches a training by a fixed probe of its rows, and stops it where the model collapses or never ends a text; heavy to import, like
students.trainer.

A look decides nothing but whether to go on: it draws nothing at random and leaves the model as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from data.errors import CollapseError
from students.checkpoints import last_complete
from students.collapse import Look, can_tell, collapse, ending_steps, must_end, repeated
from students.reference import Collate, row_logprobs
from students.rows import Row, ending_rows, supervised
from students.settings import Guard, Training

_LOG = logging.getLogger(__name__)
_MASKED = "a model that never does had its end token masked, or its rows cut before it"
_LOST = "the model ends its rows where they do, but gets lost in texts of its own: it learnt little yet, or learns texts that get lost"


class Probe(NamedTuple):
    """The rows that are looked at, and how they are read."""

    right: Sequence[Row]
    """Rows whose likelihood is measured; none where no wrong ones are watched."""
    wrong: Sequence[Row]
    asked: Sequence[Row]
    """Rows whose prompts are answered."""
    tells: bool
    """Whether a model that learns such rows can be expected to end its answers within the limit."""
    collate: Collate
    tokenizer: PreTrainedTokenizerBase
    batch_rows: int
    """Rows of one forward pass: as many as the training has."""


def probe_of(rows: Sequence[Row], training: Training, collate: Collate, tokenizer: PreTrainedTokenizerBase) -> Probe:
    """The first rows of each kind by the name of their trace, or where wrong ones are not watched the shortest that end; the same for every
    training on them.
    """
    guard, named = training.guard, sorted(rows, key=lambda row: row.trace_id)
    right, wrong = ([row for row in named if row.wrong is is_wrong][: guard.rows] for is_wrong in (False, True))
    ending, asked = ending_rows(named), right
    tells = can_tell([len(supervised(row)) for row in ending], guard)
    if not (guard.looks and right and wrong):
        right, wrong, asked = [], [], _shortest(ending) if guard.ends_from and tells else []
    return Probe(right, wrong, asked[: guard.prompts], tells, collate, tokenizer, training.micro_batch_rows)


def _shortest(rows: Sequence[Row]) -> list[Row]:
    """The shortest row of every question, the shortest first."""
    own = dict[str, Row]()
    for row in sorted(rows, key=lambda row: len(supervised(row))):
        own.setdefault(row.question, row)
    return list(own.values())


class Watcher(TrainerCallback):
    """Looks at the probe where `ending_steps` says and, with wrong rows, before the first step and `guard.looks` times, the last time at
    the end; looks are rows of the training curve.
    """

    def __init__(self, probe: Probe, guard: Guard, *, what: str) -> None:
        self.probe, self.guard, self.what = probe, guard, what
        self.looks: list[Look] = []

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Look where the training starts; one that goes on has looked before."""
        self.looks = [_look_of(point) for point in state.log_history if "probe_finished" in point]
        if self.probe.right and not self.looks:
            self._look(args, state, more["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Look where texts must end, and with wrong rows at even distances."""
        even = range(1, self.guard.looks + 1) if self.probe.right else ()
        steps = {round(state.max_steps * look / self.guard.looks) for look in even}
        if state.global_step in steps | ending_steps(state.max_steps, self.guard):
            self._look(args, state, more["model"])

    def _look(self, args: TrainingArguments, state: TrainerState, model: torch.nn.Module) -> None:
        if not state.is_world_process_zero:
            return
        self.looks.append(look(model, self.probe, self.guard, step=state.global_step))
        state.log_history.append(self.looks[-1].point())
        if why := self._gone_wrong(state.global_step, state.max_steps):
            raise CollapseError(f"{why}. The last checkpoint: {last_complete(Path(args.output_dir)) or 'none was saved yet'}")

    def _gone_wrong(self, step: int, steps: int) -> str | None:
        """Why the training is to be stopped after its last look; what may still come right is a warning."""
        at, last = f"at step {step} of {steps}", self.looks[-1]
        if why := collapse(self.looks, self.guard):
            fix = "Lower its learning_rate or the weight of wrong rows, or raise the bound if that is wanted"
            return f"{self.what} collapses {at}: {why}. {fix}"
        if last.finished > self.guard.min_finished or not self.probe.tells:
            return None
        found = f"{self.what}: {last.finished:.0%} of the {len(self.probe.asked)} texts that are looked at end {at}"
        learnt = last.knows_end > self.guard.min_finished
        if must_end(step, steps, self.guard) and not learnt:
            return (
                f"{found}, and {last.knows_end:.0%} of their rows would where they do: more than guard.min_finished: "
                f"{self.guard.min_finished:g} must. Likely the end token is masked (a pad token "
                "that is the end token, masked by its id) or the rows were cut before it; if it is only that little was learnt, raise "
                "learning_rate, or go on without looking by guard.ends_from: 0"
            )
        if step in ending_steps(steps, self.guard):
            _LOG.warning("%s; %s", found, _LOST if learnt else _MASKED)
        return None


def look(model: torch.nn.Module, probe: Probe, guard: Guard, *, step: int) -> Look:
    """What the model does to the probe now."""
    right, wrong = (_per_token(model, rows, probe) for rows in (probe.right, probe.wrong))
    texts, last = _written(model, probe, guard), _continued(model, [row.input_ids[:-1] for row in probe.asked], probe, most=1)
    end = probe.tokenizer.eos_token_id
    return Look(
        step=step,
        tokens=fmean(len(text) for text in texts),
        finished=fmean(text[-1] == end for text in texts),
        repeated=fmean(repeated(text) for text in texts),
        knows_end=fmean(text == [end] for text in last),
        logp_right=right,
        logp_wrong=wrong,
    )


def _per_token(model: torch.nn.Module, rows: Sequence[Row], probe: Probe) -> float | None:
    """Mean over rows; None of no rows."""
    sums = row_logprobs(model, rows, probe.collate, batch_rows=probe.batch_rows)
    return fmean(total / len(supervised(row)) for total, row in zip(sums, rows, strict=True)) if rows else None


def _written(model: torch.nn.Module, probe: Probe, guard: Guard) -> list[list[int]]:
    """What the model writes after the prompts that are asked, the end token included: at most twice what the longest of their rows has, and
    at most `guard.max_tokens`.
    """
    rows = probe.asked
    prompts = [row.input_ids[: len(row.input_ids) - len(supervised(row))] for row in rows]
    width = max(map(len, prompts))
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None) or width + guard.max_tokens
    most = max(1, min(2 * max(len(supervised(row)) for row in rows), guard.max_tokens, positions - width))
    return [_until(probe.tokenizer.eos_token_id, text) for text in _continued(model, prompts, probe, most=most)]


def _continued(model: torch.nn.Module, begun: Sequence[list[int]], probe: Probe, *, most: int) -> list[list[int]]:
    """What the model writes after each text, greedily: at most `most` tokens, padded where it ends before another."""
    width = max(map(len, begun))
    pad, end, device = probe.tokenizer.pad_token_id, probe.tokenizer.eos_token_id, next(model.parameters()).device
    ids_BT = torch.tensor([[pad] * (width - len(text)) + text for text in begun], device=device)
    mask_BT = torch.tensor([[0] * (width - len(text)) + [1] * len(text) for text in begun], device=device)
    training = model.training
    model.eval()
    with torch.no_grad():
        plain = GenerationConfig(max_new_tokens=most, do_sample=False, eos_token_id=end, pad_token_id=pad)
        found_BT = model.generate(input_ids=ids_BT, attention_mask=mask_BT, generation_config=plain)
    model.train(training)
    return [text[width:] for text in found_BT.tolist()]


def _until(end: int, text: list[int]) -> list[int]:
    return text[: text.index(end) + 1] if end in text else text


def _look_of(point: dict[str, float]) -> Look:
    return Look(step=int(point["step"]), **{name: point[f"probe_{name}"] for name in Look._fields if f"probe_{name}" in point})
