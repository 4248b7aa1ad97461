"""What the students' tests share: a random two-layer Llama with the lab's tokenizer, and a few lessons."""

from functools import cache
from pathlib import Path

from data.records import Lesson, Role
from data.tables import write_table
from data.tasks.lab_tokenizer import train_tokenizer
from students.job import Job
from students.settings import Training


@cache
def tokenizer():
    return train_tokenizer(documents=200)


def save_model(folder: Path, *, seed: int = 0) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 512}
    tokens = {"bos_token_id": None, "eos_token_id": tokenizer().eos_token_id, "pad_token_id": tokenizer().pad_token_id}
    config = LlamaConfig(vocab_size=len(tokenizer()), tie_word_embeddings=False, **sizes, **tokens)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def lesson(number: int, *, role: Role = Role.POSITIVE, completion: str | None = None) -> Lesson:
    steps = " ".join(f"{number} + {i} = {number + i}." for i in range(1, 2 + number % 5))
    text = completion if completion is not None else f"<think>{steps}</think>The answer is \\boxed{{{number}}}."
    question = f"Tom has {number} apples. How many apples does Tom have?"
    return Lesson(
        student="tiny", problem_id=f"p{number}", trace_id=f"t{number}", role=role, reason="test", question=question, completion=text
    )


def job(root: Path, *, rows: int = 24, seed: int = 0, **settings) -> Job:
    """A job on the tiny model of `root` (made where it is missing), with defaults that train in a second."""
    base, lessons = root / "base", root / "lessons.jsonl"
    if not base.exists():
        save_model(base)
    write_table(lessons, (lesson(number) for number in range(rows)))
    defaults = {"batch_rows": 8, "micro_batch_rows": 8, "epochs": 2, "learning_rate": 1e-2, "precision": "fp32", "save_every_steps": 2}
    training = Training.model_validate({**defaults, **settings})
    return Job(base=base, base_name="tiny/base", lessons=lessons, work=root / "work", training=training, seed=seed)
