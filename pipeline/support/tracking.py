"""The mirror of a run in MLflow: one parent run per execution, a child per student and seed. Nothing reads it back.

The store is sqlite in the workspace, with the artefacts beside it. Runs are made by id (MlflowClient), so that MLFLOW_RUN_ID and active
runs of a caller play no part.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.records import content_id
from pipeline.support.paths import workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

LONGEST_VALUE = 500
"""Longer parameter values are logged as a hash; params.yaml, which holds them, is an artefact."""
BATCH, METRICS = 100, 1000
"""MLflow takes at most so many parameters or tags, and metrics, at once."""
CONTENT_TAG = "shortcot.content"
LOCK = Path("dvc.lock")


@dataclass(frozen=True)
class Child:
    """One student with one seed: final numbers, and its training curve as rows with a `step`."""

    student: str
    seed: int
    metrics: Mapping[str, float]
    curve: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class Execution:
    """One run of the graph: settings as JSON types, numbers of the report, files and folders to keep."""

    experiment: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float | str]
    children: Sequence[Child]
    artifacts: Sequence[Path] = field(default=())

    @property
    def content(self) -> str:
        """Equal for executions that reported the same."""
        children = [[c.student, c.seed, dict(c.metrics), [dict(row) for row in c.curve]] for c in self.children]
        return content_id("execution", self.experiment, dict(self.params), dict(self.metrics), children, _lock_hash(), _experiment_name())


def store_uri() -> str:
    """Where MLflow keeps runs: `mlflow ui --backend-store-uri` takes it."""
    return f"sqlite:///{(workspace() / 'mlflow.db').resolve()}"


def mirror(execution: Execution) -> str | None:
    """Log an execution and return its parent run's id; an execution that is there already is found and not logged twice.

    Does nothing and returns None in the processes of a launcher other than the first (RANK).
    """
    if os.environ.get("RANK", "0") != "0":
        return None
    with _one_writer():
        client, experiment_id = _open(execution.experiment)
        known = client.search_runs([experiment_id], filter_string=f"tags.`{CONTENT_TAG}` = '{execution.content}'")
        finished = [run for run in known if run.info.status == "FINISHED"]
        if finished:
            return str(finished[0].info.run_id)
        for torn in known:  # A killed report left it.
            _delete(client, experiment_id, str(torn.info.run_id))
        return _log(client, experiment_id, execution)


@contextmanager
def _one_writer() -> Iterator[None]:
    """Experiments may report at the same time, and two processes must not create the database at once."""
    workspace().mkdir(parents=True, exist_ok=True)
    with (workspace() / "mlflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open(experiment: str) -> tuple[MlflowClient, str]:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # A run needs no network.
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store_uri())
    found = client.get_experiment_by_name(experiment)
    if found is not None and found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    if found is not None:
        return client, str(found.experiment_id)
    place = (workspace() / "mlflow-artifacts").resolve()
    return client, str(client.create_experiment(experiment, artifact_location=place.as_uri()))


def _delete(client: MlflowClient, experiment_id: str, parent: str) -> None:
    for child in client.search_runs([experiment_id], filter_string=f"tags.`mlflow.parentRunId` = '{parent}'"):
        client.delete_run(child.info.run_id)
    client.delete_run(parent)


def _log(client: MlflowClient, experiment_id: str, execution: Execution) -> str:
    tags = {**_revision(), CONTENT_TAG: execution.content}
    name = tags.get("dvc.exp") or f"{tags['git.sha'][:7]}-{execution.content[:6]}"
    parent = str(client.create_run(experiment_id, tags=tags, run_name=name).info.run_id)
    _log_params(client, parent, flattened(execution.params))
    _log_metrics(client, parent, execution.metrics)
    for path in execution.artifacts:
        if path.is_dir():
            client.log_artifacts(parent, str(path), path.name)
        elif path.exists():
            client.log_artifact(parent, str(path))
    for child in execution.children:
        _log_child(client, experiment_id, child, parent=parent, params=execution.params)
    client.set_terminated(parent)
    return parent


def _log_child(client: MlflowClient, experiment_id: str, child: Child, *, parent: str, params: Mapping[str, Any]) -> None:
    tags = {"mlflow.parentRunId": parent, "student": child.student, "seed": str(child.seed)}
    run_id = str(client.create_run(experiment_id, tags=tags, run_name=f"{child.student}-{child.seed}").info.run_id)
    own = {"seed": child.seed, "student": child.student, **params.get("students", {}).get(child.student, {})}
    _log_params(client, run_id, flattened(own))
    _log_metrics(client, run_id, child.metrics)
    _log_curve(client, run_id, child.curve)
    client.set_terminated(run_id)


def _log_params(client: MlflowClient, run_id: str, params: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    rows = [Param(clean(name), short(value)) for name, value in params.items()]
    for start in range(0, len(rows), BATCH):
        client.log_batch(run_id, params=rows[start : start + BATCH])


def _log_metrics(client: MlflowClient, run_id: str, metrics: Mapping[str, float | str]) -> None:
    """Numbers become metrics, words (such as "keeps accuracy: yes") tags."""
    from mlflow.entities import RunTag

    _log_curve(client, run_id, [{"step": 0, **{name: value for name, value in metrics.items() if not isinstance(value, str)}}], prefix="")
    words = [RunTag(clean(name), value) for name, value in metrics.items() if isinstance(value, str)]
    for start in range(0, len(words), BATCH):
        client.log_batch(run_id, tags=words[start : start + BATCH])


def _log_curve(client: MlflowClient, run_id: str, rows: Sequence[Mapping[str, float]], *, prefix: str = "train.") -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    points = [
        Metric(clean(prefix + name), value, now, int(row["step"]))
        for row in rows
        for name, value in row.items()
        if name != "step" and math.isfinite(value)
    ]
    for start in range(0, len(points), METRICS):
        client.log_batch(run_id, metrics=points[start : start + METRICS])


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as `section.name` → text; lists as JSON."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return flat


def clean(name: str) -> str:
    """A name that MLflow takes: letters, digits, `_`, `-` and `.`; at most 250 characters."""
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[:250]


def short(value: str) -> str:
    """`value`, or the hash of a long one."""
    return value if len(value) <= LONGEST_VALUE else f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"


def _revision() -> dict[str, str]:
    """Tags that say which code and data made the numbers; `none` without git."""
    tags = {"git.sha": _git("rev-parse", "HEAD") or "none", "git.dirty": str(bool(_git("status", "--porcelain"))).lower()}
    tags |= {"dvc.lock": _lock_hash(), "dvc.exp": _experiment_name()}
    return {name: value for name, value in tags.items() if value}


def _git(*arguments: str) -> str:
    found = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else ""


def _lock_hash() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.exists() else ""


def _experiment_name() -> str:
    return os.environ.get("DVC_EXP_NAME", "")
