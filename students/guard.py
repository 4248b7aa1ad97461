"""Watches a training by a fixed probe of its rows, and stops it where the model collapses; heavy to import, like students.trainer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from data.errors import CollapseError
from students.checkpoints import last_complete
from students.collapse import Look, collapse, repeated
from students.reference import Collate, row_logprobs
from students.rows import Row, supervised
from students.settings import Guard, Training


class Probe(NamedTuple):
    """The rows that are looked at, and how they are read."""

    right: Sequence[Row]
    wrong: Sequence[Row]
    collate: Collate
    tokenizer: PreTrainedTokenizerBase
    batch_rows: int
    """Rows of one forward pass: as many as the training has."""


def probe_of(rows: Sequence[Row], training: Training, collate: Collate, tokenizer: PreTrainedTokenizerBase) -> Probe:
    """The first rows of each kind by the name of their trace, the same for every training on them."""
    named = sorted(rows, key=lambda row: row.trace_id)
    right, wrong = ([row for row in named if row.wrong is is_wrong][: training.guard.rows] for is_wrong in (False, True))
    return Probe(right, wrong, collate, tokenizer, training.micro_batch_rows)


class Watcher(TrainerCallback):
    """Looks at the probe before the first step and `guard.looks` times, the last time at the end; looks are rows of the training curve."""

    def __init__(self, probe: Probe, guard: Guard, *, what: str) -> None:
        self.probe, self.guard, self.what = probe, guard, what
        self.looks: list[Look] = []

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Look where the training starts; one that goes on has looked before."""
        known = [point for point in state.log_history if "probe_logp_right" in point]
        self.looks = [_look_of(point) for point in known]
        if not known:
            self._look(args, state, more["model"])

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Look at even distances."""
        steps = {round(state.max_steps * look / self.guard.looks) for look in range(1, self.guard.looks + 1)}
        if state.global_step in steps:
            self._look(args, state, more["model"])

    def _look(self, args: TrainingArguments, state: TrainerState, model: torch.nn.Module) -> None:
        if not state.is_world_process_zero:
            return
        self.looks.append(look(model, self.probe, self.guard, step=state.global_step))
        state.log_history.append(self.looks[-1].point())
        if why := collapse(self.looks, self.guard):
            kept = last_complete(Path(args.output_dir))
            raise CollapseError(
                f"{self.what} collapses at step {state.global_step} of {state.max_steps}: {why}. Lower its learning_rate or the weight of "
                f"wrong rows, or raise the bound if that is wanted. The last checkpoint: {kept or 'none was saved yet'}"
            )


def look(model: torch.nn.Module, probe: Probe, guard: Guard, *, step: int) -> Look:
    """What the model does to the probe now."""
    right, wrong = (_per_token(model, rows, probe) for rows in (probe.right, probe.wrong))
    texts = _written(model, probe, guard)
    end = probe.tokenizer.eos_token_id
    return Look(
        step=step,
        logp_right=fmean(right),
        logp_wrong=fmean(wrong),
        tokens=fmean(len(text) for text in texts),
        finished=fmean(text[-1] == end for text in texts),
        repeated=fmean(repeated(text) for text in texts),
    )


def _per_token(model: torch.nn.Module, rows: Sequence[Row], probe: Probe) -> list[float]:
    sums = row_logprobs(model, rows, probe.collate, batch_rows=probe.batch_rows)
    return [total / len(supervised(row)) for total, row in zip(sums, rows, strict=True)]


def _written(model: torch.nn.Module, probe: Probe, guard: Guard) -> list[list[int]]:
    """What the model writes after the first prompts, the end token included: at most twice what the longest row of the probe has, and at
    most `guard.max_tokens`.
    """
    rows = probe.right[: guard.prompts]
    prompts = [row.input_ids[: len(row.input_ids) - len(supervised(row))] for row in rows]
    width = max(map(len, prompts))
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None) or width + guard.max_tokens
    most = max(1, min(2 * max(len(supervised(row)) for row in rows), guard.max_tokens, positions - width))
    pad, end, device = probe.tokenizer.pad_token_id, probe.tokenizer.eos_token_id, next(model.parameters()).device
    ids_BT = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts], device=device)
    mask_BT = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
    training = model.training
    model.eval()
    with torch.no_grad():
        plain = GenerationConfig(max_new_tokens=most, do_sample=False, eos_token_id=end, pad_token_id=pad)
        found_BT = model.generate(input_ids=ids_BT, attention_mask=mask_BT, generation_config=plain)
    model.train(training)
    return [_until(end, text) for text in found_BT[:, width:].tolist()]


def _until(end: int, text: list[int]) -> list[int]:
    return text[: text.index(end) + 1] if end in text else text


def _look_of(point: dict[str, float]) -> Look:
    return Look(step=int(point["step"]), **{name: point[f"probe_{name}"] for name in Look._fields if name != "step"})
