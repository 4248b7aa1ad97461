"""What the students' tests share: a random two-layer Llama with the lab's tokenizer, lessons, and jobs that train in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from data.records import Lesson, Role
from data.tables import write_table
from data.tasks.lab_tokenizer import train_tokenizer
from students.job import Job
from students.settings import Objective, OfPairs, Training

DEFAULTS = {"batch_rows": 8, "micro_batch_rows": 8, "epochs": 2, "learning_rate": 1e-2, "precision": "fp32", "save_every_steps": 2}
UNWATCHED = {"looks": 0, "ends_from": 0}
"""A random model writes to the limit at every look, which takes longer than such a training."""


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return train_tokenizer(documents=200)


def lesson_of(number: int, *, role: Role = Role.POSITIVE, completion: str | None = None) -> Lesson:
    steps = " ".join(f"{number} + {i} = {number + i}." for i in range(1, 2 + number % 5))
    text = completion if completion is not None else f"<think>{steps}</think>The answer is \\boxed{{{number}}}."
    question = f"Tom has {number} apples. How many apples does Tom have?"
    identity = {"student": "tiny", "problem_id": f"p{number}", "trace_id": f"t{number}"}
    return Lesson(**identity, role=role, reason="test", question=question, completion=text)


@pytest.fixture(scope="session")
def make_lesson() -> Callable[..., Lesson]:
    return lesson_of


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 512}
    tokens = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=False, **sizes, **tokens)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def make_job(tmp_path: Path, base: Path) -> Callable[..., Job]:
    """A job on the tiny model in its own work folder; keywords are settings of the training."""

    def make(name: str = "work", *, rows: int = 24, seed: int = 0, **settings: Any) -> Job:
        lessons = tmp_path / f"lessons-{rows}.jsonl"
        write_table(lessons, (lesson_of(number) for number in range(rows)))
        training = Training.model_validate({**DEFAULTS, "guard": UNWATCHED, **settings})
        return Job(base=base, base_name="tiny/base", lessons=lessons, work=tmp_path / name, training=training, seed=seed)

    return make


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def killed_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], AbstractContextManager[None]]:
    """Inside `with killed_after(steps)` a training dies after so many steps."""
    from students import trainer

    def dies_after(steps: int) -> Callable[..., None]:
        def dies(_: Any, args: Any, state: Any, control: Any, **__: Any) -> None:
            if state.global_step == steps:
                raise KilledError

        return dies

    @contextmanager
    def killed(steps: int) -> Iterator[None]:
        with monkeypatch.context() as patched, pytest.raises(KilledError):
            patched.setattr(trainer.Bar, "on_step_end", dies_after(steps))
            yield

    return killed


@pytest.fixture
def contrast_job(make_job: Callable[..., Job]) -> Callable[..., Job]:
    """A job whose every second lesson is wrong, as the worse side of a pair where the objective wants pairs."""

    def make(name: str = "work", *, objective: Objective, rows: int = 16, **settings: Any) -> Job:
        job = make_job(name, rows=rows, **settings).model_copy(update={"objective": objective})
        paired = isinstance(objective, OfPairs)
        roles = (Role.CHOSEN, Role.REJECTED) if paired else (Role.POSITIVE, Role.NEGATIVE)
        lessons = [
            lesson_of(n, role=roles[n % 2]).model_copy(update={"pair": n // 2 if paired else None, "problem_id": "p"}) for n in range(rows)
        ]
        lessons_file = job.lessons.with_name(f"contrast-{name}-{rows}.jsonl")
        write_table(lessons_file, lessons)
        return job.model_copy(update={"lessons": lessons_file})

    return make
