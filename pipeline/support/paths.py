"""Where everything lies; dvc.yaml names the same places and a test holds them equal."""

from __future__ import annotations

import os
from pathlib import Path

STORE = Path("data/store")
CODE = STORE / "code.json"
PROBLEMS = STORE / "problems.jsonl"
DROPS = STORE / "drops.jsonl"
LONG_TRACES = STORE / "traces/long.jsonl"
DRAWN = STORE / "drawn.jsonl"
LONG_VERDICTS = STORE / "verdicts/long.jsonl"
SHORT_TRACES = STORE / "traces/short.jsonl"
SHORT_VERDICTS = STORE / "verdicts/short.jsonl"
LESSONS = STORE / "lessons"
MODELS = STORE / "models"
SCORES = STORE / "scores.jsonl"
REPORT = STORE / "report"
HANDOFF = STORE / "handoff"
JUDGED = Path("data/judged.jsonl")
"""What a person said of answers on which verifiers disagreed; kept with the code."""


def lessons_of(student: str) -> Path:
    """The lessons of one student."""
    return LESSONS / f"{student}.jsonl"


def base_model() -> Path:
    """What is known of the untrained weights; they themselves lie where the params say."""
    return MODELS / "base"


def models_of(student: str) -> Path:
    """The trained weights of one student, a folder for each seed."""
    return MODELS / student


def model_of(student: str, seed: int) -> Path:
    """The trained weights of one student and seed."""
    return models_of(student) / str(seed)


def workspace() -> Path:
    """The ignored folder that outlives runs: completions, checkpoints, stage statistics.

    It lies under the main workspace (DVC sets DVC_ROOT), so that queued and temporary experiments share it;
    SHORTCOT_WORKSPACE puts it elsewhere.
    """
    return Path(os.environ.get("SHORTCOT_WORKSPACE") or Path(os.environ.get("DVC_ROOT") or ".") / ".shortcot")


def completions() -> Path:
    """The completion store."""
    return workspace() / "completions"


def token_scores() -> Path:
    """What teachers' probabilities say of traces, by content."""
    return workspace() / "scores"


def checkpoints() -> Path:
    """Training checkpoints, one folder per hash of settings, lessons and starting weights."""
    return workspace() / "checkpoints"


def at_strength(model: str, base: str, strength: float) -> Path:
    """Weights between a base and a student, by content."""
    return workspace() / "strengths" / f"{model[:16]}-{base[:16]}-{strength:g}"


def stage_statistics() -> Path:
    """One JSON file per stage: seconds, rows, tokens; for the table at the end and for `make plan`."""
    return workspace() / "stages"
