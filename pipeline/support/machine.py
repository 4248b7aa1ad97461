"""What this machine has: packages against the lock, memory, disk, processors."""

from __future__ import annotations

import os
import re
import shutil
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from pipeline.support.paths import workspace

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
    """Bytes that are free, GPUs with the memory of the smallest one in bytes, and whether they compute bf16."""

    memory: int
    disk: int
    gpus: int
    gpu_memory: int
    bf16: bool = False


def accelerator() -> str:
    """`cuda` or `cpu`: the one whose vLLM is installed; that of this machine's lock."""
    return "cuda" if installed("vllm") else "cpu"


def packages(lock: str, folder: Path = REQUIREMENTS) -> list[Package]:
    """All packages of the lock `cpu` or `cuda`, torch included, sorted by name."""
    files = [folder / f"{lock}.txt", *folder.glob(f"torch-{lock}.txt")]
    pinned = {match[1]: match[2] for file in files for line in file.read_text().splitlines() if (match := _PINNED.match(line))}
    return [Package(name, version, installed(name)) for name, version in sorted(pinned.items())]


def asked_for(lock: str, folder: Path = REQUIREMENTS) -> set[str]:
    """Names in base.in and the accelerator's own file: what the code imports; the rest of the lock is what those need."""
    lines = [line for file in ("base.in", f"{lock}.in") for line in (folder / file).read_text().splitlines()]
    return {match.group(1).lower() for line in lines if (match := _NAMED.match(line))}


def installed(name: str) -> str | None:
    """The version of a package that is here; None where there is none."""
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
    bf16 = bool(gpus) and torch.cuda.is_bf16_supported(including_emulation=False)
    return Resources(psutil.virtual_memory().available, shutil.disk_usage(place).free, len(gpus), min(gpus, default=0), bf16)


def processor() -> str:
    """The processor's name, usable cores and what of its instruction sets matters for speed."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    name = re.search(r"model name\s*:\s*(.+)", text)
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if re.search(rf"\b{flag}\b", text)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name.group(1) if name else 'CPU'}, {cores} cores, {' '.join(flags) or 'instruction sets unknown'}"
