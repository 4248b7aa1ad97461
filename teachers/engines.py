"""The engines by kind; each is imported only when it is started."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from data.errors import ParamsError
from teachers.engine import Engine, EngineSpec

KINDS = {
    "scripted": "teachers.scripted:ScriptedEngine",
    "hf": "teachers.hf:HfEngine",
    "ray": "teachers.ray:RayEngine",
    "server": "teachers.server:ServerEngine",
    "vllm": "teachers.vllm:VllmEngine",
}
"""Engine kind → module and class; the class takes an EngineSpec and starts."""


def start(spec: EngineSpec) -> Engine:
    """Start the engine that `spec` describes. Raises EngineError where it does not start."""
    place = KINDS.get(spec.kind)
    if place is None:
        raise ParamsError(f"engine kind {spec.kind!r} is not known; allowed: {sorted(KINDS)}")
    module, name = place.split(":")
    started: Callable[[EngineSpec], Engine] = getattr(import_module(module), name)
    return started(spec)
