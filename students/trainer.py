"""TRL's SFTTrainer with what a stage needs: no calls home, no generated cards, one progress bar, and marked checkpoints.

Heavy to import (TRL takes some ten seconds): only students.training does, and inside a function.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tqdm import tqdm
from transformers import PrinterCallback, ProgressCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.sft_trainer import SFTTrainer

from students import nat, ranker
from students.checkpoints import PREFIX, mark_complete
from students.objectives import (
    Likelihood,
    Teaching,
    asc_loss,
    better_side_loss,
    dpo_loss,
    likelihood,
    nce_loss,
    redi_loss,
    sft_loss,
    simpo_loss,
    unlikelihood_loss,
)
from students.rows import IGNORED
from students.settings import Asc, Dpo, Nat, Nce, Redi, Sft, SimPo, Unlikelihood

Contrast = Unlikelihood | Redi | Dpo | SimPo


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


class WithSides:
    """A collator that lets through which rows of a batch are wrong, and how likely they were where the training starts."""

    def __init__(self, collate: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> None:
        self.collate = collate

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """The batch, with `wrong` and `reference` of shape (rows,) where the examples have them."""
        batch = self.collate([{name: example[name] for name in ("input_ids", "labels")} for example in examples])
        if not any("wrong" in example for example in examples):
            return batch
        wrong = torch.tensor([bool(example["wrong"]) for example in examples])
        return {**batch, "wrong": wrong, "reference": torch.tensor([float(example["reference"]) for example in examples])}


class SidesTrainer(QuietTrainer):
    """What objectives have whose rows are of two kinds."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs: bool = True  # losses are parts of the global batch's: nobody divides them again
        self.data_collator: Callable[[list[dict[str, Any]]], dict[str, Any]] = WithSides(self.data_collator)

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()  # type: ignore[no-untyped-call] # TRL writes no types here
        self._signature_columns += [name for name in ("wrong", "reference") if name not in self._signature_columns]

    @property
    def global_rows(self) -> int:
        """Rows of one optimizer step, over all processes."""
        return int(self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps * self.accelerator.num_processes)

    def _note(self, name: str, values: torch.Tensor) -> None:
        """Show a mean in the curve of the training."""
        if len(values):
            self._metrics["train"][name].append(float(values.detach().mean()))


class LogitsTrainer(SidesTrainer):
    """Objectives that are functions of the logits and the labels."""

    def __init__(self, *, objective: Sft | Contrast, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.objective: Any = objective

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return this process's part of the global batch's loss; `num_items_in_batch` counts the supervised tokens of all processes."""
        logits_BTV = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False).logits
        whole = Whole(rows=self.global_rows, tokens=None if num_items_in_batch is None else int(num_items_in_batch))
        return self.accelerator.num_processes * self._part(logits_BTV, inputs, whole)  # gradients are averaged over the processes

    def _part(self, logits_BTV: torch.Tensor, inputs: dict[str, Any], whole: Whole) -> torch.Tensor:
        """The part that these rows have in the loss of the global batch."""
        raise NotImplementedError


class SmoothTrainer(LogitsTrainer):
    """Likelihood of smoothed labels; TRL's own way of it computes every step twice."""

    def _part(self, logits_BTV: torch.Tensor, inputs: dict[str, Any], whole: Whole) -> torch.Tensor:
        return sft_loss(logits_BTV, inputs["labels"], smoothing=self.objective.smoothing, tokens=whole.tokens)


class ContrastTrainer(LogitsTrainer):
    """Objectives that pull right or better rows up and push wrong or worse ones down."""

    def _part(self, logits_BTV: torch.Tensor, inputs: dict[str, Any], whole: Whole) -> torch.Tensor:
        found, wrong_B = likelihood(logits_BTV, inputs["labels"]), inputs["wrong"]
        means_B, is_learnt_B = found.means(), found.mask_BS.any(-1)
        self._note("logp_right", means_B[~wrong_B & is_learnt_B])
        self._note("logp_wrong", means_B[wrong_B & is_learnt_B])
        return contrast_loss(self.objective, found, wrong_B, inputs["reference"], whole)


class Whole(NamedTuple):
    """The global batch that a loss is a mean over."""

    rows: int
    tokens: int | None
    """Supervised; None: those at hand are all."""


def contrast_loss(objective: Contrast, found: Likelihood, wrong_B: torch.Tensor, reference_B: torch.Tensor, whole: Whole) -> torch.Tensor:
    """The part that these rows have in the loss of the global batch."""
    pairs = whole.rows / 2
    match objective:
        case Unlikelihood():
            return unlikelihood_loss(found, wrong_B, weight=objective.weight, tokens=whole.tokens)
        case Redi():
            return redi_loss(found, wrong_B, alpha=objective.alpha, pairs=pairs)
        case Dpo():
            loss = dpo_loss(found, reference_B, beta=objective.beta, pairs=pairs)
        case SimPo():
            loss = simpo_loss(found, beta=objective.beta, gamma=objective.gamma, pairs=pairs)
    return loss + objective.sft * better_side_loss(found, pairs=pairs)


class RankTrainer(SidesTrainer):
    """Trains the head of a ranker, and the body below it where that is not frozen; saves and resumes both."""

    def __init__(self, *, objective: Asc, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.objective = objective

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return this process's part of the global batch's loss."""
        plain, wrong_B = self.accelerator.unwrap_model(model), inputs["wrong"]
        if self.objective.body == "frozen":
            for part in plain.children():  # the states as they are: without the dropout that the trainer turned on
                part.eval()
        logits_B = ranker.logits_of(model, plain, inputs["input_ids"], inputs["attention_mask"], inputs["labels"] != IGNORED)
        self._note("score_right", torch.sigmoid(logits_B[~wrong_B]))
        self._note("score_wrong", torch.sigmoid(logits_B[wrong_B]))
        loss = asc_loss(logits_B, wrong_B, power=self.objective.power, pairs=self.global_rows / 2)
        return self.accelerator.num_processes * loss  # gradients are averaged over the processes

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        if self.objective.body == "trained":
            super()._save(output_dir, ranker.without_head(state_dict or self.model.state_dict()))
        ranker.save_head(self.model, folder, self.objective)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        if self.objective.body == "trained":
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        ranker.read_head(model or self.model, Path(resume_from_checkpoint))


class NatTrainer(QuietTrainer):
    """Trains the positive adapters and units of a NAT model; saves and resumes them alone, without the base."""

    def __init__(self, *, objective: Nat, base_name: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.objective, self.base_name = objective, base_name

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = Path(output_dir or str(self.args.output_dir))
        nat.save(self.model, folder, self.objective, base_name=self.base_name)
        if self.processing_class is not None:
            self.processing_class.save_pretrained(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: torch.nn.Module | None = None) -> None:
        nat.read_into(model or self.model, Path(resume_from_checkpoint))


class NceTrainer(QuietTrainer):
    """Distils a NAT model, which is asked for every batch: once as it is, and once as its negative adapter alone."""

    def __init__(self, *, objective: Nce, teacher: torch.nn.Module, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs: bool = True  # as in ContrastTrainer
        self.objective, self.teacher = objective, teacher.to(self.args.device).eval()

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return this process's part of the global batch's loss; `num_items_in_batch` counts the supervised tokens of all processes."""
        read = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "use_cache": False}
        with torch.no_grad():
            as_it_is = self.teacher(**read).logits
            with nat.negative_only(self.teacher):
                teaching = Teaching(as_it_is, self.teacher(**read).logits)
        tokens = None if num_items_in_batch is None else int(num_items_in_batch)
        loss = nce_loss(model(**read).logits, inputs["labels"], teaching, self.objective, tokens=tokens)
        return self.accelerator.num_processes * loss  # gradients are averaged over the processes


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
