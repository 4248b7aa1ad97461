"""One process of a training that several share: `python -m students.worker JOB`, started by students.launch."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from students.job import Job
from students.training import train

FAILURE = "failure"


def main(path: Path) -> int:
    """Train as the job says; what goes wrong is written beside it for the launcher, one file per process."""
    job = Job.read(path)
    try:
        train(job)
    except Exception as error:  # noqa: BLE001 the boundary of a worker process: the launcher raises it again
        traceback.print_exc()
        failure = job.work / f"{FAILURE}-{os.environ.get('RANK', '0')}.txt"
        failure.write_text(f"{type(error).__name__}\n{error}\n", encoding="utf-8")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
