"""One training, described completely: what a worker process is told, as JSON."""

from __future__ import annotations

from pathlib import Path

from data.errors import StageError
from data.records import Section
from students.examples import Example
from students.places import Places
from students.settings import Objective, Sft, Training

JOB, MODEL, TRAINED, SPENT = "job.json", "model", "training.json", "spent.json"


class Job(Section):
    """A training of one student with one seed. Folders are as this machine sees them; none of them enters the result."""

    base: Path
    """Folder of the starting weights and their tokenizer."""
    start: Path | None = None
    """Folder of an adapter on them that the training goes on with."""
    base_name: str
    """How the settings name these weights; adapters record it."""
    lessons: Path
    """Table of lessons; what their roles mean is the objective's affair."""
    work: Path
    """Folder of this training alone: checkpoints, and the finished model in `model`."""
    training: Training
    objective: Objective = Sft()
    seed: int
    instruction: str | None = None
    """Text of the system message."""
    places: Places = Places()
    """Where its settings stand, for messages; it decides nothing."""

    @property
    def model(self) -> Path:
        """Where the finished model lies."""
        return self.work / MODEL

    def write(self) -> Path:
        """Write the description into the work folder and return its place."""
        self.work.mkdir(parents=True, exist_ok=True)
        path = self.work / JOB
        path.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a description that `write` wrote."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StageError(f"{path}: no description of a training: {error}. Workers are started by students.launch alone.") from error


class Trained(Section):
    """What a training did; no times, so that equal trainings say the same."""

    training_id: str
    """Hash of all that it depends on (students/checkpoints.py)."""
    rows: int
    """Rows that were trained."""
    dropped: dict[str, int]
    """Reason → lessons that were to be trained and were not."""
    steps: int
    trained_tokens: int
    """Tokens read, prompts included, padding not, over all epochs."""
    supervised_tokens: int
    precision: str
    examples: list[Example] = []
    """A right row and a wrong one as the model read them."""

    def write(self, folder: Path) -> None:
        """Write it beside the model."""
        (folder / TRAINED).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Trained | None:
        """What was written beside a finished model; None where there is none."""
        path = folder / TRAINED
        return cls.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None


class Spent(Section):
    """What a training cost; kept apart from the model, since equal trainings take different times."""

    tokens: int = 0
    """Tokens trained: less than all where it went on from a checkpoint."""
    seconds: float = 0.0

    def write(self, work: Path) -> None:
        """Write it into the training's work folder."""
        (work / SPENT).write_text(self.model_dump_json() + "\n", encoding="utf-8")

    @classmethod
    def read(cls, work: Path) -> Spent:
        """What was written there; nothing where there is none."""
        path = work / SPENT
        return cls.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else cls()
