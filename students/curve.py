"""The curve of a training, as a table beside the model: loss by step, and what the guard saw."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from data.errors import StageError

CURVE = "training.csv"
OF_SIDES = ("logp_right", "logp_wrong", "score_right", "score_wrong")
COLUMNS = ("step", "loss", "learning_rate", "grad_norm", "mean_token_accuracy", *OF_SIDES)


def write_curve(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Write the points of a trainer's history. Raises StageError where the training did not end with a finite loss."""
    losses = [point["loss"] for point in history if "loss" in point]
    if not losses or not math.isfinite(losses[-1]):
        raise StageError(f"the training ended with loss {losses[-1] if losses else None}; lower learning_rate, or use precision fp32")
    watched = sorted({name for point in history for name in point if name.startswith("probe_")})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, (*COLUMNS, *watched), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(point for point in history if "loss" in point or any(name in point for name in watched))
