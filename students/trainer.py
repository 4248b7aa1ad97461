"""TRL's SFTTrainer with what a stage needs: no calls home, no generated cards, one progress bar, and marked checkpoints.

Heavy to import (TRL takes some ten seconds): only students.sft does, and inside a function.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import PrinterCallback, ProgressCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.sft_trainer import SFTTrainer

from students.checkpoints import PREFIX, mark_complete


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
