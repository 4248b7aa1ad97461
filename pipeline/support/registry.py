"""The model registry: a finished folder becomes a version of a registered model in MLflow, found again by an alias."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.support.inputs import content_hash
from pipeline.support.tracking import store_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

CONTENT_TAG = "shortcot.content"


class Registered(NamedTuple):
    """A version of a registered model, and whether it is new."""

    name: str
    version: str
    new: bool


def register(folder: Path, *, name: str, alias: str, tags: Mapping[str, str]) -> Registered:
    """Register `folder` under `name` and point `alias` at it; the same content is found again and is no new version.

    The version's source is the folder itself: DVC keeps its content, MLflow its history.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # A run needs no network.
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=store_uri(), registry_uri=store_uri())
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name)
    content = content_hash(folder)
    version, new = _known(client, name, content), False
    if version is None:
        source = folder.resolve().as_uri()
        version, new = str(client.create_model_version(name, source, tags={**tags, CONTENT_TAG: content}).version), True
    client.set_registered_model_alias(name, alias, version)
    return Registered(name, version, new)


def _known(client: MlflowClient, name: str, content: str) -> str | None:
    found = client.search_model_versions(f"name = '{name}'")
    return next((str(version.version) for version in found if version.tags.get(CONTENT_TAG) == content), None)
