import csv
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from data.chat import completion_ids, prompt_ids
from data.checks import Severity
from data.errors import StageError
from data.records import Lesson
from data.tables import read_all
from students import ranker, training
from students.capabilities import capability_findings
from students.launch import train
from students.models import Devices, precision_of
from students.objectives import asc_loss
from students.ranker import Head, Ranker, Read
from students.rows import encode
from students.settings import Asc, Training

FROZEN, TRAINED = Asc(kind="asc", width=16), Asc(kind="asc", body="trained", width=16)
LORA = {"adapter": "lora", "lora_rank": 4, "lora_alpha": 8}


def curve(job):
    with (job.model / "training.csv").open(newline="") as file:
        return [{name: float(value) for name, value in point.items() if value} for point in csv.DictReader(file)]


def reads(job, tokenizer):
    lessons = read_all(job.lessons, Lesson)
    found = [Read(prompt_ids(tokenizer, one.question), completion_ids(tokenizer, one.completion)) for one in lessons]
    return found, [one.role.value == "rejected" for one in lessons]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-20, 20), st.booleans()), min_size=1, max_size=6), st.floats(1, 8), st.integers(1, 5))
def test_the_loss_is_the_slow_loop_however_rows_are_divided(rows, power, cut):
    logits_B, wrong_B = torch.tensor([logit for logit, _ in rows]), torch.tensor([wrong for _, wrong in rows])
    pairs = max(1, sum(not wrong for _, wrong in rows))
    scores = [1 / (1 + math.exp(-logit)) for logit, _ in rows]
    slow = sum(s**power if wrong else (1 - s) ** power for s, (_, wrong) in zip(scores, rows, strict=True)) / pairs
    assert asc_loss(logits_B, wrong_B, power=power).item() == pytest.approx(slow, abs=1e-5)
    parts = [asc_loss(logits_B[i : i + cut], wrong_B[i : i + cut], power=power, pairs=pairs) for i in range(0, len(rows), cut)]
    assert sum(parts).item() == pytest.approx(slow, abs=1e-5)


def test_the_loss_has_the_gradient_of_finite_differences():
    logits_B = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float32, requires_grad=True)
    wrong_B, step = torch.tensor([False, True, True]), 1e-2
    asc_loss(logits_B, wrong_B, power=3.0).backward()
    for i in range(3):
        moved = [asc_loss(logits_B.detach() + sign * step * torch.eye(3)[i], wrong_B, power=3.0).item() for sign in (1, -1)]
        assert logits_B.grad[i].item() == pytest.approx((moved[0] - moved[1]) / (2 * step), abs=1e-3)


def test_the_head_reads_the_answer_s_tokens_alone():
    torch.manual_seed(0)
    head, states_BTH = Head(6, 4), torch.randn(2, 5, 6)
    answer_BT = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 1, 1]]).bool()
    changed = states_BTH.masked_fill(~answer_BT[..., None], 9.0)
    assert torch.equal(head(states_BTH, answer_BT), head(changed, answer_BT))
    alone = head(states_BTH[:1, 2:4], torch.ones(1, 2).bool())
    assert torch.allclose(head(states_BTH, answer_BT)[:1], alone, atol=1e-6)
    assert torch.isfinite(head(states_BTH, torch.zeros(2, 5).bool())).all()


@pytest.mark.parametrize(
    ("objective", "settings"),
    [(FROZEN, {}), *(pytest.param(*each, marks=pytest.mark.slow) for each in ((TRAINED, {}), (FROZEN, LORA), (TRAINED, LORA)))],
)
def test_it_learns_to_tell_right_from_wrong_and_reads_alone_as_in_a_batch(contrast_job, tokenizer, objective, settings):
    job = contrast_job("ranker", objective=objective, epochs=30, schedule="constant", learning_rate=3e-3, save_every_steps=100, **settings)
    train(job)
    last = curve(job)[-1]
    assert last["score_right"] > last["score_wrong"] + 0.2
    files = {file.name for file in job.model.iterdir()}
    assert {ranker.HEAD, ranker.SETTINGS} <= files
    stored = {name for name in ("model.safetensors", "adapter_model.safetensors") if name in files}
    expected = {"adapter_model.safetensors" if settings else "model.safetensors"}
    assert stored == (expected if objective.body == "trained" else set()), "of a frozen body nothing is stored again"

    body = (job.base, None) if objective.body == "frozen" else (job.base, job.model) if settings else (job.model, None)
    loaded = Ranker(job.model, *body)
    own, wrong = reads(job, tokenizer)
    logits = loaded.logits(own, batch_tokens=200)
    assert logits == pytest.approx([loaded.logits([one])[0] for one in own], abs=1e-4)
    right_mean = sum(x for x, bad in zip(logits, wrong, strict=True) if not bad) / wrong.count(False)
    wrong_mean = sum(x for x, bad in zip(logits, wrong, strict=True) if bad) / wrong.count(True)
    assert right_mean > wrong_mean + 1


def test_a_frozen_body_and_the_scores_of_its_training_are_what_is_loaded(contrast_job, tokenizer):
    job = contrast_job("ranker", objective=FROZEN, epochs=1, learning_rate=1e-9, schedule="constant")
    train(job)
    own, wrong = reads(job, tokenizer)
    scores = torch.sigmoid(torch.tensor(Ranker(job.model, job.base, None).logits(own)))
    first = curve(job)[0]  # the mean of a batch of half the rows: between the least and the most
    of_right = scores[~torch.tensor(wrong)]
    assert of_right.min() - 1e-4 <= first["score_right"] <= of_right.max() + 1e-4


def test_of_a_frozen_body_only_the_head_learns_and_dropout_is_off(contrast_job, tokenizer):
    job = contrast_job("ranker", objective=FROZEN, **LORA, lora_dropout=0.5)
    rows = encode(read_all(job.lessons, Lesson), tokenizer, job.training).rows
    built = training.trainer_for(job, rows, tokenizer, precision_of("fp32", Devices(0, False)))
    before = {name: tensor.clone() for name, tensor in built.model.state_dict().items()}
    built.train()
    changed = {name for name, tensor in built.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed and all(name.startswith(ranker.PLACE) for name in changed)
    assert not any(part.training for part in built.model.children()), "hidden states as they are"


def test_a_head_that_was_cast_still_gives_logits_in_fp32():
    head = Head(6, 4).to(torch.bfloat16)
    assert head(torch.randn(2, 5, 6), torch.ones(2, 5).bool()).dtype == torch.float32


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 120))
def test_batches_hold_every_row_once_and_no_more_tokens_than_allowed(lengths, most):
    found = ranker.batches(lengths, most)
    assert sorted(index for part in found for index in part) == list(range(len(lengths)))
    assert all(len(part) == 1 or len(part) * max(lengths[i] for i in part) <= most for part in found)


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "settings"), [(FROZEN, {}), (TRAINED, {}), (TRAINED, LORA)])
def test_a_killed_training_goes_on_to_the_same_ranker(contrast_job, killed_after, objective, settings):
    whole, killed = (contrast_job(name, objective=objective, epochs=4, **settings) for name in ("whole", "killed"))
    train(whole)

    with killed_after(5):
        train(killed)
    finished = train(killed)
    assert finished.spent.tokens < finished.trained.trained_tokens
    for file in whole.model.glob("*.safetensors"):
        first, second = load_file(file), load_file(killed.model / file.name)
        assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)


def test_a_ranker_goes_on_from_a_student_s_adapter(make_job, contrast_job, tokenizer):
    student = make_job("student", **LORA)
    train(student)
    job = contrast_job("ranker", objective=FROZEN, **LORA).model_copy(update={"start": student.model})
    train(job)
    assert not (job.model / "adapter_config.json").exists()
    own, _ = reads(job, tokenizer)
    above = Ranker(job.model, job.base, student.model).logits(own)
    assert above != pytest.approx(Ranker(job.model, job.base, None).logits(own), abs=1e-3), "the adapter is part of the body"


def test_without_wrong_rows_and_without_a_ranker_it_says_so(make_job, tmp_path):
    job = make_job("ranker").model_copy(update={"objective": FROZEN})
    with pytest.raises(StageError, match="objective asc: no wrong row is left"):
        train(job)
    with pytest.raises(StageError, match=r"ranker\.json: no trained ranker"):
        Ranker(tmp_path, job.base, None)


@pytest.mark.parametrize(
    ("training", "said"),
    [
        ({"adapter": "lora", "quantization": "nf4"}, "objective asc scores with plain weights"),
        ({"launch": {"processes": 2, "strategy": "zero3"}}, "nat, nce and asc do not go with launch.strategy: zero3"),
    ],
)
def test_what_does_not_go_together_is_refused(training, said):
    (finding,) = (each for each in capability_findings(Training.model_validate(training), Devices(8, True), FROZEN) if said in str(each))
    assert finding.severity is Severity.ERROR
