"""Rebuild the lab's models from random weights: `python -m pipeline.commands.lab_models [teacher|student]…`.

Seeded, about an hour on two CPU cores in all; a run that was killed goes on where it was.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from pipeline.support.paths import checkpoints

FOLDERS = {"teacher": Path("teachers/lab"), "student": Path("students/lab")}


def lab_models(names: list[str]) -> None:
    """Build the named models into their folders."""
    from students.lab import RECIPES, build

    for name in names:
        started = time.monotonic()

        def report(step: int, loss: float, name: str = name, started: float = started) -> None:
            print(f"{name}: step {step}, loss {loss:.4f}, {time.monotonic() - started:.0f} s", flush=True)

        print(f"{name}: {RECIPES[name].tokens:,} tokens into {FOLDERS[name]}")
        build(name, FOLDERS[name], checkpoint=checkpoints() / f"lab-{name}.pt", report=report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=sorted(FOLDERS), default=sorted(FOLDERS))
    lab_models(parser.parse_args().names)
