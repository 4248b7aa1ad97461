import csv
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import StageError
from students.checkpoints import last_complete, training_id
from students.collapse import Look, collapse, repeated
from students.curve import CURVE
from students.launch import train
from students.settings import Guard, Redi

GOOD = Look(step=0, logp_right=-0.5, logp_wrong=-0.6, tokens=20, finished=0.9, repeated=0.1)


@pytest.fixture
def redi_job(contrast_job):
    """Pairs of right and wrong lessons; keywords are settings of the training."""

    def make(name="work", *, alpha=0.8, **settings):
        return contrast_job(name, objective=Redi(kind="redi", alpha=alpha), **settings)

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


def test_trainings_without_wrong_rows_are_not_watched(make_job):
    job = make_job(epochs=1)
    train(job)
    assert not any("probe_margin" in point for point in points(job))


def test_a_loosened_guard_goes_on_from_the_checkpoint(redi_job):
    strict = redi_job(epochs=6, guard={"max_drop": 1e-6, "max_unfinished": 1.0, "max_repeated": 1.0, "looks": 4}, save_every_steps=1)
    loose = strict.model_copy(update={"training": strict.training.model_copy(update={"guard": Guard(looks=0)})})
    assert training_id(strict) == training_id(loose)
