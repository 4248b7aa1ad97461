import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from data.errors import ParamsError, PreflightError, StageError
from students import launch
from students.checkpoints import last_complete
from students.job import Job
from students.launch import CONFIGS, _alone, _failure, command, environment, train, train_all
from students.settings import Asc, Dpo, Redi, Unlikelihood

PAIR = {"micro_batch_rows": 4, "launch": {"processes": 2, "strategy": "ddp"}}


def losses(job):
    with (job.model / "training.csv").open(newline="") as file:
        return [float(point["loss"]) for point in csv.DictReader(file) if point["loss"]]


def test_a_job_is_the_same_after_it_was_written(make_job):
    job = make_job(**PAIR)
    assert Job.read(job.write()) == job
    with pytest.raises(StageError, match="no description"):
        Job.read(job.work / "nothing.json")


@pytest.mark.parametrize("strategy", ["ddp", "zero2", "zero3"])
def test_every_strategy_has_its_files(make_job, strategy):
    job = make_job(micro_batch_rows=2, launch={"processes": 2, "strategy": strategy})
    line = command(job, Path("job.json"))
    config = Path(line[line.index("--config_file") + 1])
    assert config == CONFIGS / f"{strategy}.yaml"
    settings = yaml.safe_load(config.read_text())
    if strategy != "ddp":
        assert Path(settings["deepspeed_config"]["deepspeed_config_file"]).is_file()
    assert line[line.index("--num_processes") + 1] == "2"
    assert line[-3:] == ["-m", "students.worker", "job.json"]
    assert ("DS_ACCELERATOR" in environment(job)) == (strategy != "ddp")


def test_a_worker_s_own_error_is_raised_again(make_job):
    job = make_job()
    job.work.mkdir()
    assert "exit code -9" in str(_failure(job, -9))
    (job.work / "failure-1.txt").write_text("PreflightError\ntrace t1: no end\n")
    assert isinstance(_failure(job, 1), PreflightError)
    (job.work / "failure-0.txt").write_text("RuntimeError\nout of memory\n")
    assert str(_failure(job, 1)) == "a training process failed with RuntimeError: out of memory"


def test_two_processes_never_train_the_same_student_at_once(make_job):
    job = make_job()
    job.work.mkdir()
    with _alone(job.work), pytest.raises(StageError, match="another process"):
        train(job)


def test_trainings_that_fail_side_by_side_are_named(make_job, monkeypatch):
    jobs = [make_job(str(rows), rows=rows) for rows in (8, 9, 10)]
    monkeypatch.setattr(launch, "_in_its_own_process", lambda job, threads: int(job is jobs[1]))
    with pytest.raises(StageError, match=r"1 of 3 trainings failed \(lessons-9, seed 0\)"):
        train_all(jobs, at_once=2)
    train_all([jobs[0], jobs[2]], at_once=9)


@pytest.mark.slow
def test_of_trainings_side_by_side_the_good_ones_are_kept(make_job, capfd):
    good, bad = make_job("good", rows=8, epochs=1), make_job("bad", rows=9, epochs=1, max_length=16)
    with pytest.raises(StageError, match=r"1 of 2 trainings failed \(lessons-9, seed 0\)"):
        train_all([bad, good], at_once=2)
    assert "max_length: 16" in capfd.readouterr().err
    trained, spent, now = train(good)
    assert not now and spent.tokens == trained.trained_tokens and spent.seconds > 0
    with pytest.raises(ParamsError, match="0 trainings at a time"):
        train_all([], at_once=0)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("strategy", ["ddp", "zero2"])
def test_two_processes_reach_the_loss_of_one(make_job, strategy):
    looks = {"ends_from": 6, "prompts": 2, "max_tokens": 100}
    one = make_job("one", epochs=4, guard=looks)
    two = make_job("two", epochs=4, guard=looks, micro_batch_rows=2, launch={"processes": 2, "strategy": strategy})
    train(one)
    train(two)
    assert losses(two) == pytest.approx(losses(one), rel=1e-3)
    assert "probe_finished" in (two.model / "training.csv").read_text(), "one of the processes looks"
    first, second = load_file(one.model / "model.safetensors"), load_file(two.model / "model.safetensors")
    assert all(torch.allclose(first[name], second[name], atol=1e-3) for name in first)


OBJECTIVES = {
    objective.kind: objective for objective in (Unlikelihood(kind="unlikelihood"), Redi(kind="redi"), Dpo(kind="dpo"), Asc(kind="asc"))
}


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_processes_reach_the_loss_of_one_with_wrong_rows(contrast_job, name):
    settings = {"objective": OBJECTIVES[name], "epochs": 4}
    one, two = contrast_job("one", **settings), contrast_job("two", **settings, **PAIR)
    train(one)
    train(two)
    assert losses(two) == pytest.approx(losses(one), rel=1e-3)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_an_error_in_the_workers_reaches_the_caller(make_job):
    job = make_job(**PAIR, max_length=16)
    with pytest.raises(PreflightError, match="max_length: 16"):
        train(job)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_training_killed_by_the_system_goes_on_to_the_same_weights(make_job):
    settings = {"epochs": 40, "save_every_steps": 5}
    whole, killed = make_job("whole", **settings), make_job("killed", **settings)
    train(whole)
    worker = subprocess.Popen([sys.executable, "-m", "students.worker", str(killed.write())], start_new_session=True)
    while last_complete(killed.work) is None:
        assert worker.poll() is None
        time.sleep(0.01)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    assert not killed.model.exists()
    assert 0 < train(killed).spent.tokens < train(whole).trained.trained_tokens
    assert (killed.model / "training.csv").read_text() == (whole.model / "training.csv").read_text()
    first, second = load_file(whole.model / "model.safetensors"), load_file(killed.model / "model.safetensors")
    assert all(torch.allclose(first[name], second[name], atol=1e-6) for name in first)
