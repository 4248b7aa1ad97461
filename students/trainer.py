"""TRL's SFTTrainer with what a stage needs: no calls home, no generated cards, one progress bar, and marked checkpoints.

Heavy to import (TRL takes some ten seconds): only students.sft does, and inside a function.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import PrinterCallback, ProgressCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.sft_trainer import SFTTrainer

from students.checkpoints import PREFIX, mark_complete
from students.objectives import likelihood, redi_loss, unlikelihood_loss
from students.settings import Redi, Unlikelihood


class QuietTrainer(SFTTrainer):
    """SFTTrainer without telemetry and without model cards in its checkpoints."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self.add_callback(Bar())
        self.add_callback(LastPoint())
        self.add_callback(Marker())

    def _send_telemetry(self) -> None:
        """Nothing leaves the machine."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """The handoff writes the card, with numbers."""


class WithSigns:
    """A collator that lets through which rows of a batch are wrong."""

    def __init__(self, collate: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> None:
        self.collate = collate

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """The batch, with `wrong` of shape (rows,) where the examples say it."""
        batch = self.collate([{name: value for name, value in example.items() if name != "wrong"} for example in examples])
        return {**batch, "wrong": torch.tensor([bool(example.get("wrong")) for example in examples])}


class SignedTrainer(QuietTrainer):
    """Objectives that push wrong rows down while they pull right ones up."""

    def __init__(self, *, objective: Unlikelihood | Redi, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.objective = objective
        self.data_collator: Callable[[list[dict[str, Any]]], dict[str, Any]] = WithSigns(self.data_collator)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()  # type: ignore[no-untyped-call] # TRL writes no types here
        if "wrong" not in self._signature_columns:
            self._signature_columns.append("wrong")

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return this process's part of the global batch's loss; `num_items_in_batch` counts the supervised tokens of all processes."""
        wrong_B, labels_BT = inputs["wrong"], inputs["labels"]
        logits_BTV = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False).logits
        found = likelihood(logits_BTV, labels_BT)
        means_B = found.means()
        self._note("logp_right", means_B[~wrong_B])
        self._note("logp_wrong", means_B[wrong_B])
        processes = self.accelerator.num_processes  # gradients are averaged over them
        if isinstance(self.objective, Redi):
            rows = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps * processes
            return processes * redi_loss(found, wrong_B, alpha=self.objective.alpha, pairs=rows / 2)
        tokens = None if num_items_in_batch is None else int(num_items_in_batch)
        return processes * unlikelihood_loss(found, wrong_B, weight=self.objective.weight, tokens=tokens)

    def _note(self, name: str, values: torch.Tensor) -> None:
        """Show a mean in the curve of the training."""
        if len(values):
            self._metrics["train"][name].append(float(values.detach().mean()))


class Bar(TrainerCallback):
    """A progress bar of optimizer steps with the loss beside it."""

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the bar where the training starts or goes on."""
        if state.is_world_process_zero:
            self.bar = tqdm(
                desc="distill", total=state.max_steps, initial=state.global_step, unit="step", mininterval=1.0, dynamic_ncols=True
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Advance by what was done."""
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: Any) -> None:
        """Show the last loss."""
        loss = more.get("logs", {}).get("loss")
        if self.bar is not None and loss is not None:
            self.bar.set_postfix(loss=f"{float(loss):.3f}", refresh=False)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()


class LastPoint(TrainerCallback):
    """Logs the last step too, so that the loss curve ends where the training does."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Ask for a point at the end."""
        if state.global_step >= state.max_steps:
            control.should_log = True


class Marker(TrainerCallback):
    """Marks a checkpoint as complete once every process has written its part."""

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Write the marker."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()
        if state.is_world_process_zero:
            mark_complete(Path(args.output_dir) / f"{PREFIX}{state.global_step}")
