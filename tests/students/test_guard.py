import csv
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import CollapseError, StageError
from data.records import Lesson, Role
from data.tables import read_all, write_table
from students.checkpoints import last_complete, training_id
from students.collapse import Look, collapse, ending_steps, must_end, repeated
from students.curve import CURVE
from students.guard import Watcher, probe_of
from students.launch import train
from students.models import Precision
from students.rows import IGNORED, encode
from students.settings import Guard, Redi, Training
from students.training import trainer_for

GOOD = Look(step=0, logp_right=-0.5, logp_wrong=-0.6, tokens=20, finished=0.9, repeated=0.1, knows_end=1.0)
FP32 = Precision("fp32", "test")


@pytest.fixture
def redi_job(contrast_job):
    """Pairs of right and wrong lessons; keywords are settings of the training."""

    def make(name="work", *, alpha=0.8, **settings):
        return contrast_job(name, objective=Redi(kind="redi", alpha=alpha), **{"guard": {}, **settings})

    return make


def points(job):
    with (job.model / CURVE).open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"logp_right": -1.6}, "log p of right rows fell from -0.50 to -1.60 nats per token, and guard.max_drop is 1"),
        ({"finished": 0.3}, "the share of texts that end fell from 0.90 to 0.30, and guard.max_unfinished is 0.5"),
        ({"repeated": 0.7}, "the share of text that is not repeated fell from 0.90 to 0.30, and guard.max_repeated is 0.5"),
        ({"logp_right": -1.4, "finished": 0.5, "repeated": 0.5, "logp_wrong": -90.0}, None),
    ],
)
def test_a_collapse_is_a_fall_beyond_a_bound(changed, why):
    assert collapse([GOOD, GOOD._replace(step=9, **changed)], Guard()) == why


def test_what_is_not_finite_is_a_collapse():
    assert collapse([GOOD, GOOD._replace(logp_right=math.nan)], Guard()) == "log p of right rows is nan"


def test_likelihood_is_compared_with_the_best_look():
    low, learnt = GOOD._replace(logp_right=-3.0), GOOD._replace(logp_right=-0.3)
    assert "fell from -0.30 to -3.00" in str(collapse([low, learnt, low], Guard()))


def test_endings_are_compared_with_the_best_look():
    never, always = GOOD._replace(finished=0.0), GOOD._replace(finished=1.0)
    assert collapse([never, never], Guard()) is None, "a model that never ended cannot lose it"
    assert "that end fell from 1.00 to 0.00" in str(collapse([never, always, never], Guard()))


@given(st.lists(st.integers(0, 3), max_size=30))
def test_repetition_is_a_share_and_grows_with_copies(tokens):
    assert 0 <= repeated(tokens) < 1
    if len(tokens) >= 4:
        assert repeated(tokens * 3) >= repeated(tokens)


def test_repetition_of_simple_texts():
    assert repeated([1, 2, 3]) == 0 == repeated(list(range(50)))
    assert repeated([7] * 13) == pytest.approx(0.9)


def test_looks_are_points_of_the_curve(redi_job):
    job = redi_job(epochs=4)
    job = job.model_copy(update={"training": job.training.model_copy(update={"guard": Guard(looks=4, prompts=2)})})
    train(job)
    looks = [point for point in points(job) if "probe_margin" in point]
    assert [point["step"] for point in looks] == [0, 2, 4, 6, 8], "the start, and as many as asked for, the last at the end"
    for point in looks:
        assert point["probe_margin"] == pytest.approx(point["probe_logp_right"] - point["probe_logp_wrong"])
        assert 0 <= point["probe_finished"] <= 1 and point["probe_tokens"] >= 1 and math.isfinite(point["probe_logp_right"])


def test_a_collapse_stops_the_training_and_keeps_its_checkpoint(redi_job):
    job = redi_job(alpha=1.0, epochs=40, learning_rate=0.05, save_every_steps=1, schedule="constant")
    with pytest.raises(StageError, match=r"objective redi collapses at step \d+ of 80: .* Lower its learning_rate"):
        train(job)
    assert not job.model.exists() and last_complete(job.work) is not None


@pytest.mark.slow
def test_a_resumed_training_has_looked_before(redi_job, killed_after):
    lenient = {"max_unfinished": 1.0, "max_drop": 50.0, "max_repeated": 1.0, "looks": 3, "prompts": 2, "max_tokens": 20}
    whole, killed = (redi_job(name, epochs=6, guard=lenient) for name in ("whole", "killed"))
    train(whole)

    with killed_after(7):
        train(killed)
    train(killed)
    assert [point["step"] for point in points(killed)] == [point["step"] for point in points(whole)]
    for one, other in zip(points(killed), points(whole), strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_a_loosened_guard_goes_on_from_the_checkpoint(redi_job):
    strict = redi_job(epochs=6, guard={"max_drop": 1e-6, "max_unfinished": 1.0, "max_repeated": 1.0, "looks": 4}, save_every_steps=1)
    loose = strict.model_copy(update={"training": strict.training.model_copy(update={"guard": Guard(looks=0)})})
    assert training_id(strict) == training_id(loose)


@given(st.integers(1, 5000), st.integers(1, 500))
def test_a_training_is_looked_at_once_or_twice_and_stopped_half_way_at_the_earliest(steps, ends_from):
    guard = Guard(ends_from=ends_from)
    looks = ending_steps(steps, guard)
    assert 1 <= len(looks) <= 2 and all(1 <= step <= max(1, steps / 2) for step in looks)
    assert looks == {ends_from, steps // 2} or steps < 2 * ends_from
    stopping = [step for step in sorted(looks) if must_end(step, steps, guard)]
    assert stopping == ([steps // 2] if steps // 2 > ends_from else []), "a short training is only warned"


def test_nobody_looks_whether_texts_end_where_that_is_switched_off():
    assert ending_steps(1000, Guard(ends_from=0)) == set() and not must_end(1000, 1000, Guard(ends_from=0))


ENDING = {"epochs": 20, "rows": 8, "lora_dropout": 0.2, "save_every_steps": 8, "guard": {"ends_from": 6}}
FULL_AND_LORA = pytest.mark.parametrize("adapter", ["none", pytest.param("lora", marks=pytest.mark.slow)])


@pytest.fixture
def ending_job(make_job, make_lesson):
    """Twenty steps on eight questions with one answer, which a random model knows by heart half-way."""

    def make(name="work", **settings):
        job = make_job(name, **{**ENDING, **settings})
        own = [make_lesson(3, completion="5").model_copy(update={"trace_id": f"t{n}", "question": f"Is it {n}?"}) for n in range(8)]
        write_table(job.lessons, own)
        return job

    return make


def with_masked_ends(trainer, end):
    """The known trap: a collator that takes the end token for padding."""
    collate = trainer.data_collator

    def masking(examples):
        batch = collate(examples)
        return {**batch, "labels": batch["labels"].masked_fill(batch["labels"] == end, IGNORED)}

    trainer.data_collator = masking
    return trainer


def built(job, tokenizer):
    return trainer_for(job, encode(read_all(job.lessons, Lesson), tokenizer, job.training).rows, tokenizer, FP32)


@FULL_AND_LORA
def test_a_training_that_never_learns_to_end_is_warned_and_then_stopped(ending_job, tokenizer, caplog, adapter):
    trainer = with_masked_ends(built(ending_job(adapter=adapter), tokenizer), tokenizer.eos_token_id)
    with pytest.raises(
        CollapseError,
        match=r"sft: 0% of the 8 texts .* step 10 of 20, and 0% of their rows .* is masked.*cut.*checkpoint-8",
    ):
        trainer.train()
    (record,) = (record for record in caplog.records if record.name == "students.guard")
    assert "objective sft: 0% of the 8 texts that are looked at end at step 6 of 20" in record.getMessage()


@FULL_AND_LORA
def test_a_training_that_learns_to_end_goes_on_as_if_nobody_had_looked(ending_job, adapter):
    looked, alone = ending_job("looked", adapter=adapter), ending_job("alone", adapter=adapter, guard={"ends_from": 0})
    for job in (looked, alone):
        train(job)
    looks = [point for point in points(looked) if "loss" not in point]
    assert (
        [point["step"] for point in looks] == [6, 10]
        and looks[-1]["probe_finished"] == looks[-1]["probe_knows_end"] == 1
        and "probe_logp_right" not in looks[-1]
    )
    assert [point for point in points(looked) if "loss" in point] == points(alone)
    weights = "adapter_model.safetensors" if adapter == "lora" else "model.safetensors"
    assert (looked.model / weights).read_bytes() == (alone.model / weights).read_bytes()


def asked(lessons, tokenizer, **guard):
    training = Training(guard=Guard(**guard))
    return [row.trace_id for row in probe_of(encode(lessons, tokenizer, training).rows, training, lambda batch: batch, tokenizer).asked]


def test_the_shortest_rows_that_teach_an_end_are_asked(tokenizer, make_lesson):
    lessons = [make_lesson(n) for n in (4, 1, 3, 5, 2)]  # number n has 1 + n % 5 steps
    assert asked(lessons, tokenizer, prompts=3) == ["t5", "t1", "t2"]
    assert asked(lessons, tokenizer, prompts=3, ends_from=0) == []
    wrong = [make_lesson(6, role=Role.NEGATIVE), make_lesson(5, role=Role.NEGATIVE).model_copy(update={"ends": False})]
    assert asked(wrong, tokenizer) == ["t6"], "a student of wrong traces alone writes such, and a text that was cut has no end"
    assert asked([*lessons, *wrong], tokenizer, looks=0) == ["t5", "t1", "t2", "t3", "t4"]


def test_a_training_of_rows_that_are_mostly_long_for_a_look_is_not_looked_at(tokenizer, make_lesson):
    long = make_lesson(7, completion="<think>" + "5 + 5 = 10. " * 20 + "</think>10")
    others = [long.model_copy(update={"trace_id": f"long{n}"}) for n in range(2)]
    assert asked([make_lesson(1), long], tokenizer, max_tokens=100) == ["t1", "t7"]
    assert asked([make_lesson(1), long, *others], tokenizer, max_tokens=100) == []


def test_questions_are_asked_once(tokenizer, make_lesson):
    again = make_lesson(4).model_copy(update={"trace_id": "again", "completion": "<think>5</think>5"})
    assert asked([make_lesson(4), again, make_lesson(1)], tokenizer) == ["again", "t1"]


@pytest.fixture
def watcher(redi_job, tokenizer):
    """One that saw no text end."""
    rows = encode(read_all(redi_job().lessons, Lesson), tokenizer, Training()).rows

    def make(**guard):
        training = Training(guard=Guard(**guard))
        found = Watcher(probe_of(rows, training, lambda batch: batch, tokenizer), training.guard, what="objective redi")
        found.looks = [GOOD._replace(finished=0.0, knows_end=0.0)] * 2
        return found

    return make


def test_a_training_with_wrong_rows_is_stopped_where_no_text_ends(watcher):
    def stopped(**guard):
        return [step for step in (50, 100, 500, 700) if watcher(**guard)._gone_wrong(step, 1000)]

    assert stopped() == [500, 700] and stopped(ends_from=499) == [500, 700] and stopped(ends_from=500) == []
    assert stopped(ends_from=0) == stopped(max_tokens=20) == [], "switched off, or no look is long enough to tell"


def test_a_training_that_gets_lost_but_knows_where_its_rows_end_is_only_warned(watcher, caplog):
    """What a student of long wrong traces does: it checks and corrects itself in circles, and would end where its rows do."""
    found = watcher()
    found.looks = [GOOD._replace(finished=0.0, knows_end=0.9)]
    assert [found._gone_wrong(step, 1000) for step in (100, 500)] == [None, None]
    assert ["gets lost" in record.getMessage() for record in caplog.records] == [True, True]
    found.looks, strict = [GOOD._replace(finished=0.0, knows_end=0.25)], watcher(min_finished=0.3)
    strict.looks = found.looks
    assert found._gone_wrong(500, 1000) is None and "25% of their rows" in strict._gone_wrong(500, 1000)


def test_a_short_training_that_ends_nothing_is_only_warned(watcher, caplog):
    found = watcher()
    assert [step for step in range(1, 151) if found._gone_wrong(step, 150)] == []
    assert [record.getMessage()[:15] for record in caplog.records if "at step 75 of 150" in record.getMessage()] == ["objective redi:"]
    assert len(caplog.records) == 1


def test_more_texts_may_be_asked_to_end(watcher):
    found = watcher(min_finished=0.3)
    found.looks = [GOOD._replace(finished=0.25, knows_end=0.0)]
    assert "25% of the 8 texts" in found._gone_wrong(500, 1000) and "guard.min_finished: 0.3" in found._gone_wrong(500, 1000)
    found.looks = [GOOD._replace(finished=0.375, knows_end=0.0)]
    assert found._gone_wrong(500, 1000) is None
