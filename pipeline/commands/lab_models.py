"""Rebuild the lab's models from random weights: `python -m pipeline.commands.lab_models [teacher|student]…`.

Seeded, about an hour on two CPU cores in all; a run that was killed goes on where it was.
"""

from __future__ import annotations

import argparse
import time

from pipeline.support.local_models import LAB
from pipeline.support.paths import checkpoints


def lab_models(names: list[str]) -> None:
    """Build the named models into their folders."""
    from students.lab import RECIPES, build

    for name in names:
        started = time.monotonic()

        def report(step: int, loss: float, name: str = name, started: float = started) -> None:
            print(f"{name}: step {step}, loss {loss:.4f}, {time.monotonic() - started:.0f} s", flush=True)

        print(f"{name}: {RECIPES[name].tokens:,} tokens into {LAB[name]}")
        build(name, LAB[name], checkpoint=checkpoints() / f"lab-{name}.pt", report=report)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=sorted(LAB), default=sorted(LAB))
    lab_models(parser.parse_args().names)
