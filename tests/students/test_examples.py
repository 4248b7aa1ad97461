import pytest
import torch

from data.chat import prompt_ids
from data.records import Role
from students.examples import examples_of
from students.rows import IGNORED, encode, from_fork
from students.settings import Training


def collate(examples):
    """A batch with padding behind its rows."""
    ids, labels = (torch.tensor([example[name] for example in examples]) for name in ("input_ids", "labels"))
    batch = {"input_ids": (ids, 0), "labels": (labels, IGNORED), "attention_mask": (torch.ones_like(ids), 0)}
    return {name: torch.nn.functional.pad(tensor, (0, 3), value=padding) for name, (tensor, padding) in batch.items()}


def masking_ends(end):
    def masking(examples):
        batch = collate(examples)
        return {**batch, "labels": batch["labels"].masked_fill(batch["labels"] == end, IGNORED)}

    return masking


@pytest.fixture
def rows(tokenizer, make_lesson):
    """Two right rows and two wrong ones, the wrong ones with the questions of the right ones."""
    right = [make_lesson(n) for n in (3, 2)]
    wrong = [lesson.model_copy(update={"role": Role.NEGATIVE, "trace_id": f"w{n}"}) for n, lesson in enumerate(right)]
    wrong = [lesson.model_copy(update={"completion": lesson.completion.replace("answer is", "answer was")}) for lesson in wrong]
    return encode([*right, *wrong], tokenizer, Training()).rows


def test_the_first_row_of_each_kind_is_given_back_with_what_is_learnt_apart(rows, tokenizer, make_lesson):
    right, wrong = examples_of(rows, collate, tokenizer)
    assert (right.trace_id, right.wrong, wrong.trace_id, wrong.wrong) == ("t2", False, "w0", True)
    lesson = make_lesson(2)
    read, learnt = right.runs
    assert (read.learnt, learnt.learnt) == (False, True)
    assert read.text == tokenizer.decode(prompt_ids(tokenizer, lesson.question)) and lesson.question in read.text
    assert learnt.text.replace(" ", "") == (lesson.completion + tokenizer.eos_token).replace(" ", "")
    assert right.tokens == len(rows[1].input_ids) and right.learnt_tokens == right.tokens - len(prompt_ids(tokenizer, lesson.question))
    assert examples_of(rows[:2], collate, tokenizer) == [right]


def test_an_end_token_that_the_collator_masks_is_shown_as_not_learnt(rows, tokenizer):
    right, _ = examples_of(rows, masking_ends(tokenizer.eos_token_id), tokenizer)
    assert [run.learnt for run in right.runs] == [False, True, False] and right.runs[-1].text == tokenizer.eos_token


def test_of_a_wrong_row_that_is_learnt_at_its_fork_the_fork_is_apart(rows, tokenizer):
    _, wrong = examples_of(from_fork(rows, alone=True), collate, tokenizer)
    assert [run.learnt for run in wrong.runs] == [False, True, False] and wrong.learnt_tokens == 1
    assert wrong.runs[0].text.endswith("The answer") and wrong.runs[1].text.strip() == "w" and wrong.runs[2].text.startswith("as ")
