"""What goes together in a training: its settings with each other, with its objective, with this machine and with what is installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from data.checks import Finding, error, info, warning
from students.places import ALL_SHARED, Places
from students.settings import Asc, Dpo, Nat, Nce, Objective, OfPairs, SimPo, Training, Unlikelihood

if TYPE_CHECKING:
    from students.models import Devices


def capability_findings(
    training: Training, found: Devices, objective: Objective | None = None, *, places: Places = ALL_SHARED
) -> Iterator[Finding]:
    """Settings that do not go together or not with this machine; nothing is loaded for it."""
    for key, what, fix in (*_errors(training, found), *_errors_of_objective(training, objective), *_not_installed(training, found)):
        yield error(places.key(key), what, fix)
    for key, what, fix in _warnings(training, found):
        yield warning(places.key(key), what, fix)
    if training.launch.strategy == "zero3" and training.guard.ends_from and not isinstance(objective, Asc):
        what = "whether texts end is not looked at under launch.strategy: zero3, which shards the weights that would write them"
        yield info(places.key("guard.ends_from"), what, "evaluate says how many do; use zero2 to be told while training")


def _errors(training: Training, found: Devices) -> Iterator[tuple[str, str, str]]:
    launch, rows, is_nf4 = training.launch, training.micro_batch_rows * training.launch.processes, training.quantization == "nf4"
    if is_nf4 and training.adapter == "none":
        yield "quantization", "nf4 trains no weights of its own", "set adapter: lora, or quantization: none"
    if is_nf4 and launch.strategy == "zero3":
        yield "quantization", "nf4 does not go with launch.strategy: zero3, which shards what nf4 packs", "use zero2 or ddp"
    if training.precision == "fp16" and not found.gpus:
        yield "precision", "fp16 needs a GPU, and none is seen", "use auto or fp32"
    if training.precision == "bf16" and found.gpus and not found.bf16:
        yield "precision", "bf16 is not computed by this GPU", "use auto, fp16 or fp32"
    if 0 < found.gpus < launch.processes:
        what = f"{launch.processes} is more than the {found.gpus} GPU(s) seen"
        yield "launch.processes", what, f"allowed: 1 to {found.gpus}"
    if training.batch_rows % rows:
        what = f"{training.batch_rows} is no multiple of micro_batch_rows × processes = {rows}"
        yield "batch_rows", what, "change one of them"


def _errors_of_objective(training: Training, objective: Objective | None) -> Iterator[tuple[str, str, str]]:
    is_zero3 = training.launch.strategy == "zero3"
    if isinstance(objective, Dpo | Nat | Nce | Asc) and is_zero3:
        what = "objectives dpo, nat, nce and asc do not go with launch.strategy: zero3, which shards the weights that they read"
        yield "launch.strategy", what, "use zero2"
    if isinstance(objective, Nat | Nce) and (training.adapter == "none" or training.quantization != "none"):
        yield "adapter", "objectives nat and nce train an adapter on plain weights", "set adapter: lora and quantization: none"
    if isinstance(objective, Asc) and training.quantization != "none":
        yield "quantization", "objective asc scores with plain weights", "set quantization: none"
    if isinstance(objective, Dpo | SimPo) and training.micro_batch_rows % 2:
        what = f"{training.micro_batch_rows} divides pairs, which objectives dpo and simpo compare"
        yield "micro_batch_rows", what, "give an even number of micro_batch_rows"
    if isinstance(objective, OfPairs) and training.batch_rows % 2:
        yield "batch_rows", f"{training.batch_rows} divides pairs", "give an even number of batch_rows"
    if isinstance(objective, Unlikelihood | OfPairs) and is_zero3 and training.guard.looks > 0:
        what = "a training with wrong rows cannot be watched under launch.strategy: zero3"
        yield "guard", what, "use zero2, or set guard.looks: 0"


def _not_installed(training: Training, found: Devices) -> Iterator[tuple[str, str, str]]:
    is_sharded = training.launch.strategy in ("zero2", "zero3")
    needs = [("quantization", "bitsandbytes", training.quantization == "nf4"), ("launch.strategy", "deepspeed", is_sharded)]
    for key, library, is_needed in needs:
        if is_needed and find_spec(library) is None:
            yield key, f"needs {library}, which is not installed", "`make venv` installs what the lock says"
    if is_sharded and not found.gpus and shutil.which("g++") is None:
        what = "DeepSpeed compiles an operator for the CPU at its first start, and there is no g++"
        yield "launch.strategy", what, "install g++, or use ddp"


def _warnings(training: Training, found: Devices) -> Iterator[tuple[str, str, str]]:
    if training.precision == "bf16" and not found.gpus:
        what = "bf16 on a CPU is over a hundred times slower than fp32 where the CPU has no instructions for it"
        yield "precision", what, "use auto, which takes fp32 there"
    if training.launch.strategy == "zero3" and not found.gpus:
        yield "launch.strategy", "zero3 without a GPU was never tried here; ddp and zero2 were", "use ddp or zero2"
