"""The engines by kind; each is imported only when it is started."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from data.errors import ParamsError
from teachers.engine import Engine, EngineSpec
from teachers.probe import check_engine

KINDS = {
    "scripted": "teachers.scripted:ScriptedEngine",
    "hf": "teachers.hf:HfEngine",
    "ray": "teachers.ray:RayEngine",
    "server": "teachers.server:ServerEngine",
    "vllm": "teachers.vllm:VllmEngine",
}
"""Engine kind → module and class; the class takes an EngineSpec and starts."""


PROBED = ("hf", "vllm")
"""Kinds that are probed here; a server probes each of its endpoints itself, workers of ray start one of these, scripts have no model."""


def start(spec: EngineSpec) -> Engine:
    """Start the engine that `spec` describes. Raises EngineError where it does not start, or does not do as it should."""
    place = KINDS.get(spec.kind)
    if place is None:
        raise ParamsError(f"engine kind {spec.kind!r} is not known; allowed: {sorted(KINDS)}")
    module, name = place.split(":")
    started: Callable[[EngineSpec], Engine] = getattr(import_module(module), name)
    engine = started(spec)
    if spec.kind in PROBED:
        try:
            check_engine(engine, spec)
        except BaseException:
            engine.__exit__(None, None, None)
            raise
    return engine
