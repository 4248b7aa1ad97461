"""One worker process of the pool: `python -m data.verifiers.worker MODULE MEMORY_BYTES LIMITS`. Not for people.

Reads one task per line on stdin (JSON: reference, text, seconds) and writes one line per judgement: outcome, extracted, detail,
whether this process can go on, and how many seconds it computed. Whatever a library prints goes to stderr, never between the
judgements. Memory is limited by the kernel (RLIMIT_AS), and an alarm ends a worker whose pool is gone.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import resource
import signal
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import IO

from pydantic import TypeAdapter

from data.records import Outcome, Reference
from data.verifiers.contract import Judgement, Limits

READY = "ready"
"""Key of what is said first: a remark for the user, or null."""
PEAK_SHARE = 0.75
GRACE_SECONDS = 5
REFERENCE: TypeAdapter[Reference] = TypeAdapter(Reference)


def work(module: ModuleType, tasks: IO[str], judgements: IO[str], memory_bytes: int) -> None:
    """Judge until stdin ends, or until memory ran out."""
    for line in tasks:
        task = json.loads(line)
        signal.alarm(math.ceil(task["seconds"]) + GRACE_SECONDS)
        before = time.process_time()
        judgement, healthy = _judge(module, task, memory_bytes)
        signal.alarm(0)
        say(judgements, [*judgement, healthy, time.process_time() - before])
        if not healthy:
            return


def say(judgements: IO[str], what: object) -> None:
    """Write one line to the pool, at once."""
    judgements.write(json.dumps(what) + "\n")
    judgements.flush()


def _judge(module: ModuleType, task: dict[str, str], memory_bytes: int) -> tuple[Judgement, bool]:
    """A judgement, and whether this process can go on. Whatever a library raises is this item's error: a process boundary."""
    exhausted = Judgement(Outcome.ERROR, None, f"out of memory: the limit is {memory_bytes / 2**20:.0f} MiB"), False
    try:
        judgement: Judgement = module.judge(REFERENCE.validate_json(task["reference"]), task["text"])
    except MemoryError:
        return exhausted
    except Exception as error:  # noqa: BLE001 - the boundary of a worker process
        return Judgement(Outcome.ERROR, None, f"{type(error).__name__}: {error}"[:300]), True
    # Libraries swallow MemoryError and go on with a wrong result: near the limit only "right" is believed.
    if judgement.outcome is not Outcome.RIGHT and _peak_bytes() > PEAK_SHARE * memory_bytes:
        return exhausted
    return judgement, True


def _peak_bytes() -> int:
    """Most address space that this process ever had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmPeak:"):
            return int(line.split()[1]) * 1024
    return 0


def main(name: str, memory_bytes: int, limits: Limits) -> None:
    """Limit memory, load the verifier, say so, and work."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    judgements = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    module = importlib.import_module(name)
    remark = module.prepare(limits) if hasattr(module, "prepare") else None
    say(judgements, {READY: remark})
    work(module, sys.stdin, judgements, memory_bytes)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Limits(*json.loads(sys.argv[3])))
