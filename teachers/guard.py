"""A guard that ends an engine's processes when the process that started them dies, `kill -9` included.

vLLM's engine process does not notice that: it would wait forever, its memory (a GPU's, too) held against the next run. The guard is a
small process of its own, started before the engine: it notes the children that come up while the engine starts, and kills them and
theirs once its parent is gone.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress

POLL_SECONDS = 0.25


class EngineGuard:
    """Watches this process. Create it before the engine's processes start, call `settled` after, `close` when they have ended."""

    def __init__(self) -> None:
        # A session of its own: neither Ctrl-C nor a kill of the process group reaches it before its work is done. -P: this folder
        # holds modules named like libraries.
        command = [sys.executable, "-P", __file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def settled(self) -> None:
        """All processes of the engine are there; children that start from now on are others'."""
        with suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.write(b"settled\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """End the guard; whatever it watched is left alone."""
        self._process.kill()
        self._process.communicate()


def watch() -> None:
    """The guard's own process."""
    import psutil

    parent = psutil.Process(os.getppid())
    others, engine = set(parent.children()), set[psutil.Process]()
    sys.stdout.write("watching\n")
    sys.stdout.flush()
    is_starting = True
    while os.getppid() == parent.pid:
        if not is_starting:
            time.sleep(POLL_SECONDS)
            continue
        is_starting = not select.select([sys.stdin], [], [], POLL_SECONDS)[0]
        with suppress(psutil.NoSuchProcess):
            engine |= set(parent.children()) - others
    for process in engine:
        _kill_tree(process)


def _kill_tree(process: object) -> None:
    import psutil

    assert isinstance(process, psutil.Process)
    with suppress(psutil.NoSuchProcess):
        for one in [*process.children(recursive=True), process]:
            with suppress(psutil.NoSuchProcess):
                one.kill()


if __name__ == "__main__":
    watch()
