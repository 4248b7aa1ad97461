"""Files of the completion store: one owner per shard, whole lines only, nothing written is lost with the process.

Every line goes to the system in one unbuffered write, so killing the *process* loses nothing that was written. `fsync` is batched
(every SYNC_LINES lines or SYNC_SECONDS, and at the end), so a *power loss* costs at most that much.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data.errors import ParamsError, ShardOwnedError, StoreError

SYNC_LINES = 64
SYNC_SECONDS = 0.2
SUFFIX = ".jsonl"
_BLOCK_BYTES = 1 << 16
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@=-]*")


class ShardWriter:
    """The only writer of one shard. Opening it takes the shard (ShardOwnedError where another process has it) and repairs a torn end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _take(path)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            self._end = _repair(self._file)
        self._unsynced, self._synced_at = 0, time.monotonic()

    def append(self, line: bytes) -> int:
        """Write one line (without its end) and return its offset. A failed write leaves the shard as it was."""
        offset = self._end
        data = memoryview(line + b"\n")
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, offset)
            raise _named(self.path, error) from error
        self._end = offset + len(line) + 1
        self._unsynced += 1
        if self._unsynced >= SYNC_LINES or time.monotonic() - self._synced_at >= SYNC_SECONDS:
            self.sync()
        return offset

    def sync(self) -> None:
        """Have everything written so far reach the disk."""
        with disk_errors(self.path):
            os.fsync(self._file)
        self._unsynced, self._synced_at = 0, time.monotonic()

    def close(self) -> None:
        """Sync, and give the shard back."""
        try:
            self.sync()
        finally:
            os.close(self._file)
            os.close(self._lock)


def shard_path(folder: Path, name: str) -> Path:
    """Where the shard `name` lies."""
    if not _NAME.fullmatch(name):
        raise ParamsError(f"shard {name!r}: a name of letters, digits and any of `_ . @ = -` is needed, for it becomes a file's name")
    return folder / f"{name}{SUFFIX}"


def whole_lines(path: Path, start: int) -> Iterator[tuple[int, bytes]]:
    """Offset and content of every whole line from the offset `start` on; what a writer has not finished is left out."""
    with path.open("rb") as lines:
        lines.seek(start)
        offset = start
        for line in lines:
            if not line.endswith(b"\n"):
                return
            yield offset, line[:-1]
            offset += len(line)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a failure of the disk into a StoreError that names the path and the fix."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise _named(path, error) from error


def _named(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{path}: the completion store cannot be read or written: {error.strerror or error}. What is in it is kept. "
        "Free some space or fix the permissions, then run the same command again: it goes on from here."
    )


def _take(path: Path) -> int:
    """Lock the shard for this process; the lock file beside it names the owner."""
    lock_path = path.with_suffix(".lock")
    lock = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        owner = os.pread(lock, 32, 0).decode() or "unknown"
        os.close(lock)
        raise ShardOwnedError(
            f"{path}: process {owner} writes this shard, and a shard has one writer. Wait for it to end, stop it, or use another shard."
        ) from None
    except OSError:
        os.close(lock)
        raise
    return lock


def _repair(file: int) -> int:
    """Cut a torn last line off and return the size; only the owner may do this."""
    size = os.fstat(file).st_size
    end = size
    while end:
        start = max(0, end - _BLOCK_BYTES)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end != size:
        os.ftruncate(file, end)
    return end
