"""What killed trainings leave where DeepSpeed compiles its operators: a lock, for which every later training would wait for ever."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

LOCK = "lock"
_LOG = logging.getLogger(__name__)


def free_builds(root: Path | None = None, *, pause_seconds: float = 1.0) -> list[Path]:
    """Remove the locks of PyTorch's extension builder that no living process holds open, and return them.

    `root` is its folder (default: where PyTorch builds). A builder closes its lock just before it removes it, so a lock counts as left
    behind if it is still there, and held by nobody, after a pause.
    """
    found = sorted((root or _root()).glob(f"**/{LOCK}"))
    if not found or not (left := _unheld(found)):
        return []
    time.sleep(pause_seconds)
    stale = _unheld([lock for lock in left if lock.exists()])
    for lock in stale:
        lock.unlink(missing_ok=True)
        _LOG.warning("%s: left by a training that was killed while it compiled; removed", lock)
    return stale


def _root() -> Path:
    from torch.utils.cpp_extension import get_default_build_root

    return Path(os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root())


def _unheld(locks: list[Path]) -> list[Path]:
    import psutil

    held = set[Path]()
    for process in psutil.process_iter():
        try:
            held.update(Path(file.path) for file in process.open_files())
        except psutil.Error:  # it ended, or is somebody else's
            continue
    return [lock for lock in locks if lock.resolve() not in held]
