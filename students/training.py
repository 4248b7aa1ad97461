"""The training of one student, in this process, whatever its objective: thin over TRL's SFTTrainer.

Rows come tokenised with their labels, in the order of training; TRL's own preparation (and its cutting) is off.
The loss of a step is a mean over the whole global batch, however it is divided: of supervised tokens, or as the objective says.
"""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.adapters import ADAPTER
from data.checks import settle
from data.errors import ParamsError, PreflightError, StageError
from data.records import Lesson
from data.tables import disk_errors_named, read_all
from students.checkpoints import last_complete
from students.curve import CURVE, write_curve
from students.examples import Example, examples_of
from students.job import Job, Trained
from students.models import (
    Precision,
    accumulation,
    adapter_of,
    devices,
    dtype_of,
    load_model,
    load_tokenizer,
    precision_of,
    with_adapter,
)
from students.preflight import collator_findings, training_findings
from students.reference import row_logprobs
from students.rows import Encoded, Row, encode, from_fork, layout, steps_of, supervised
from students.settings import Asc, Dpo, Nat, Nce, OfPairs, Sft, Unlikelihood

if TYPE_CHECKING:
    from datasets import Dataset
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

LOG_EVERY_STEPS = 10
SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


def train(job: Job) -> Trained:
    """Train as described and write the model, its tokenizer and the loss curve to `job.model`; goes on from a complete checkpoint."""
    _one_bar_only()
    precision = precision_of(job.training.precision, devices())
    tokenizer = load_tokenizer(job.base)
    encoded = encode(read_all(job.lessons, Lesson), tokenizer, job.training, instruction=job.instruction)
    settle(training_findings(job, encoded, tokenizer, precision))
    trainer = trainer_for(job, encoded.rows, tokenizer, precision)
    checkpoint = last_complete(job.work)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trained = _trained(job, encoded, precision, examples_of(_learnt(encoded.rows, job), trainer.data_collator, tokenizer))
    _save(trainer, job, trained, precision)
    del trainer
    _let_go()
    return trained


def _let_go() -> None:
    """Free what a trainer and its cycles hold, since another training may follow in this process."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _one_bar_only() -> None:
    """Silence the bars of every loading and saving; the training has its own."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def trainer_for(job: Job, rows: list[Row], tokenizer: PreTrainedTokenizerBase, precision: Precision) -> SFTTrainer:
    """The trainer of these rows, checked and ready to start."""
    from transformers import set_seed

    set_seed(job.seed)  # adapters and units are drawn before the trainer seeds
    learnt = _learnt(rows, job)
    _check_wrong(job, learnt)
    arguments = arguments_of(job, len(rows), precision)  # before the model: ZeRO-3 shards weights while they load
    model = load_model(job.base, job.training, precision)
    _name_end_tokens(model, tokenizer)
    order = layout(rows, job.training, seed=job.seed)
    prepared, adapter = _prepared(job, model)
    trainer = _trainer_class(job, precision)(
        model=prepared, args=arguments, train_dataset=_dataset(learnt, order), processing_class=tokenizer, peft_config=adapter
    )
    _adapter_in_fp32(trainer, job)
    settle(collator_findings(trainer.data_collator, rows, tokenizer))
    _watch(trainer, job, rows, tokenizer)
    if isinstance(job.objective, Dpo):
        trainer.model.to(trainer.args.device)  # DeepSpeed moves it later
        with trainer.accelerator.autocast():
            reference = row_logprobs(trainer.model, rows, trainer.data_collator, batch_rows=job.training.micro_batch_rows)
        trainer.train_dataset = _dataset(rows, order, reference)
    return trainer


def _learnt(rows: list[Row], job: Job) -> list[Row]:
    """The rows with the labels that the objective learns."""
    if isinstance(job.objective, Unlikelihood) and job.objective.tokens != "all":
        return from_fork(rows, alone=job.objective.tokens == "fork")
    return rows


def _check_wrong(job: Job, rows: list[Row]) -> None:
    """An objective that needs wrong rows must not become another one where none are left."""
    if isinstance(job.objective, Unlikelihood | OfPairs) and not any(row.wrong and supervised(row) for row in rows):
        raise StageError(f"objective {job.objective.kind}: no wrong row is left of {len(rows)}; raise {job.places.key('max_length')}")


def _watch(trainer: SFTTrainer, job: Job, rows: list[Row], tokenizer: PreTrainedTokenizerBase) -> None:
    """Trainings whose model writes are watched, so that they are stopped where wrong rows spoil it, or where it never ends a text."""
    from students.guard import Watcher, probe_of

    if isinstance(job.objective, Asc):
        return  # it writes nothing that could be spoilt
    probe = probe_of(rows, job.training, trainer.data_collator, tokenizer)
    is_sharded = job.training.launch.strategy == "zero3"
    if is_sharded and probe.right:
        raise ParamsError(f"{job.places.key('guard')}: a training with wrong rows cannot be watched under zero3; set guard.looks: 0")
    if probe.asked and not is_sharded:  # that it is not looked whether texts end then, students/capabilities.py says
        trainer.add_callback(Watcher(probe, job.training.guard, what=f"objective {job.objective.kind}"))


def _prepared(job: Job, model: PreTrainedModel) -> tuple[PreTrainedModel | PeftModel, LoraConfig | None]:
    """The model as its objective trains it, and the new adapter that it gets for that."""
    from students import nat, ranker

    if isinstance(job.objective, Nat):
        return nat.build(model, _start(job), job.objective, job.training), None
    if isinstance(job.objective, Asc):
        return ranker.build(_body(job, model), job.objective, job.training), None
    if job.start is None or isinstance(job.objective, Nce):
        return model, adapter_of(job.training)
    return with_adapter(model, job.start), None


def _body(job: Job, model: PreTrainedModel) -> PreTrainedModel | PeftModel:
    """What stands below a ranker's head: the start as it is, or with an adapter that learns."""
    if job.start is not None:
        return with_adapter(model, job.start)
    adapter = adapter_of(job.training)
    if adapter is None or _is_frozen(job):
        return model
    from peft import get_peft_model

    return get_peft_model(model, adapter)


def _trainer_class(job: Job, precision: Precision) -> Callable[..., SFTTrainer]:
    """TRL's own loss where it is the objective, else ours."""
    from students import nat
    from students.trainer import ContrastTrainer, NatTrainer, NceTrainer, QuietTrainer, RankTrainer, SmoothTrainer

    objective = job.objective
    match objective:
        case Sft():
            return partial(SmoothTrainer, objective=objective) if objective.smoothing else QuietTrainer
        case Nat():
            return partial(NatTrainer, objective=objective, base_name=job.base_name)
        case Asc():
            return partial(RankTrainer, objective=objective)
        case Nce():
            teacher = nat.load(load_model(job.base, job.training, precision), _start(job))
            return partial(NceTrainer, objective=objective, teacher=teacher)
    return partial(ContrastTrainer, objective=objective)


def _start(job: Job) -> Path:
    if job.start is None:
        raise ParamsError(f"objective {job.objective.kind} starts from an adapter: name the student that trained it in `from`")
    return job.start


def arguments_of(job: Job, rows: int, precision: Precision) -> SFTConfig:
    """TRL's settings for a training of so many rows."""
    from trl.trainer.sft_config import SFTConfig

    training, cpu = job.training, devices().gpus == 0
    steps, sharded = steps_of(rows, training), training.launch.strategy in ("zero2", "zero3")
    return SFTConfig(
        output_dir=str(job.work),
        num_train_epochs=1,  # the rows are laid out in order, epoch after epoch
        train_sampling_strategy="sequential",
        per_device_train_batch_size=training.micro_batch_rows,
        gradient_accumulation_steps=accumulation(training),
        learning_rate=training.learning_rate,
        lr_scheduler_type=SCHEDULES[training.schedule],
        warmup_steps=round(training.warmup_share * steps),
        weight_decay=training.weight_decay,
        gradient_checkpointing=training.gradient_checkpointing and not _is_frozen(job),
        bf16=precision.name == "bf16",
        fp16=precision.name == "fp16",
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        # Windows of the loss curve end where checkpoints do, so a resumed curve has the same points.
        logging_steps=min(math.gcd(LOG_EVERY_STEPS, training.save_every_steps), steps),
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_steps=training.save_every_steps,
        save_total_limit=2,
        seed=job.seed,
        use_cpu=cpu and not sharded,  # DeepSpeed finds the CPU by itself, and use_cpu would switch it off
        ddp_backend="gloo" if cpu and training.launch.processes > 1 else None,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=not cpu,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )


def _is_frozen(job: Job) -> bool:
    """Whether only a head learns, so that there is nothing to go back through."""
    return isinstance(job.objective, Asc) and job.objective.body == "frozen"


def _dataset(rows: list[Row], order: list[int], reference: Sequence[float] | None = None) -> Dataset:
    """The rows in the order of training; `reference` has the log-probability of each where the training starts."""
    from datasets import Dataset

    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in ("input_ids", "labels", "wrong")}
    columns["reference"] = list(reference or [0.0] * len(rows))
    return Dataset.from_dict(columns).select(order)


def _name_end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Generation stops at the tokenizer's end token and at all that the base knew; checked now, since it is saved last."""
    config = model.generation_config
    known = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    ends = [tokenizer.eos_token_id, *(token for token in known if token not in (None, tokenizer.eos_token_id))]
    config.eos_token_id = ends if len(ends) > 1 else ends[0]
    config.pad_token_id = tokenizer.pad_token_id
    config._from_model_config = False  # from now on it stands for itself
    try:
        config.validate(strict=True)
    except ValueError as error:
        raise PreflightError(f"generation_config.json of the base contradicts itself and could not be saved: {error}") from None


def _adapter_in_fp32(trainer: SFTTrainer, job: Job) -> None:
    """TRL casts adapters on quantised weights to bf16, too coarse for small updates (and slow on CPUs): they learn in fp32."""
    if job.training.quantization != "none":
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()


def _trained(job: Job, encoded: Encoded, precision: Precision, examples: list[Example]) -> Trained:
    order, learnt = layout(encoded.rows, job.training, seed=job.seed), _learnt(encoded.rows, job)
    return Trained(
        training_id=job.work.name,
        rows=len(encoded.rows),
        dropped=dict(encoded.dropped),
        steps=steps_of(len(encoded.rows), job.training),
        trained_tokens=sum(len(encoded.rows[i].input_ids) for i in order),
        supervised_tokens=sum(len(supervised(learnt[i])) for i in order),
        precision=precision.name,
        examples=examples,
    )


def _save(trainer: SFTTrainer, job: Job, trained: Trained, precision: Precision) -> None:
    part = job.model.with_name(f"{job.model.name}.part")
    # A ranker is never served: it stays as it learnt.
    if job.training.adapter == "none" and not trainer.is_deepspeed_enabled and not isinstance(job.objective, Asc):
        trainer.model.to(dtype_of(precision))
    trainer.model.config.use_cache = True  # TRL turns it off to train; whoever loads the folder generates
    with disk_errors_named(part):
        trainer.save_model(str(part))
        if trainer.is_world_process_zero():
            trainer.model.generation_config.save_pretrained(part)
            for unwanted in ("training_args.bin", "README.md"):
                (part / unwanted).unlink(missing_ok=True)
            _settle_adapter(part / ADAPTER, job)
            write_curve(part / CURVE, trainer.state.log_history)
            trained.write(part)
            part.replace(job.model)


def _settle_adapter(path: Path, job: Job) -> None:
    """Equal trainings shall make equal files: PEFT writes a machine's path of the base, and the adapted layers in any order."""
    if path.is_file():
        config = json.loads(path.read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = job.base_name
        if "target_modules" in config:
            config["target_modules"] = sorted(config["target_modules"])
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
