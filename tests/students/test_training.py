import copy
import csv
import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from data.chat import tokenizer_hash
from data.errors import PreflightError
from data.records import Lesson
from data.tables import read_all
from students import curve as curve_file
from students import training
from students.job import Trained
from students.launch import train
from students.models import Devices, precision_of
from students.objectives import better_side_loss, likelihood, redi_loss, sft_loss, simpo_loss, unlikelihood_loss
from students.rows import encode, layout, supervised
from students.settings import Dpo, Redi, Sft, SimPo, Unlikelihood

CPU = Devices(0, False)


def curve(job):
    with (job.model / curve_file.CURVE).open(newline="") as file:
        return [{name: float(value) for name, value in point.items() if value} for point in csv.DictReader(file)]


def weights(job, name="model.safetensors"):
    return load_file(job.model / name)


def same(first, second, tolerance=1e-5):
    return first.keys() == second.keys() and all(torch.allclose(first[k], second[k], atol=tolerance) for k in first)


def rows_of(job, tokenizer):
    return encode(read_all(job.lessons, Lesson), tokenizer, job.training).rows


def built(job, tokenizer):
    return training.trainer_for(job, rows_of(job, tokenizer), tokenizer, precision_of("fp32", CPU))


def test_training_learns_and_writes_a_folder_that_can_be_served(make_job, tokenizer):
    job = make_job(rows=16, epochs=6)
    trained, spent, now = train(job)
    points = curve(job)
    assert points[-1]["loss"] < 0.8 * points[0]["loss"]
    assert points[-1]["step"] == trained.steps == 12
    assert now and spent.seconds > 0
    (example,) = trained.examples
    assert example == Trained.read(job.model).examples[0] and example.runs[-1].text.endswith(tokenizer.eos_token)
    assert spent.tokens == trained.trained_tokens == 6 * sum(len(row.input_ids) for row in rows_of(job, tokenizer))
    assert json.loads((job.model / "generation_config.json").read_text())["eos_token_id"] in (
        tokenizer.eos_token_id,
        [tokenizer.eos_token_id],
    )
    assert tokenizer_hash(AutoTokenizer.from_pretrained(job.model)) == tokenizer_hash(AutoTokenizer.from_pretrained(job.base))
    assert AutoModelForCausalLM.from_pretrained(job.model).config.use_cache
    texts = [file.read_text() for file in job.model.iterdir() if file.suffix in (".json", ".csv", ".jinja")]
    assert not any(str(job.base) in text or str(job.work) in text for text in texts)
    assert {file.suffix for file in job.model.iterdir()} == {".json", ".csv", ".jinja", ".safetensors"}
    assert train(job) == (trained, spent, False)


@pytest.mark.parametrize(("smoothing", "micros"), [(0.0, (8, 2, 1)), pytest.param(0.2, (8, 2), marks=pytest.mark.slow)])
def test_loss_of_a_step_is_the_token_mean_of_the_global_batch_however_it_is_divided(make_job, tokenizer, smoothing, micros):
    plain = [make_job(f"micro-{micro}", epochs=1, micro_batch_rows=micro, save_every_steps=1) for micro in micros]
    jobs = [job.model_copy(update={"objective": Sft(smoothing=smoothing)}) for job in plain]
    for job in jobs:
        train(job)
    whole, *divided = map(curve, jobs)
    rows = rows_of(jobs[0], tokenizer)
    first = [rows[i] for i in layout(rows, jobs[0].training, seed=0)[:8]]
    assert len({len(row.input_ids) for row in first}) > 1
    batch = built(make_job("probe"), tokenizer).data_collator([{"input_ids": row.input_ids, "labels": row.labels} for row in first])
    with torch.no_grad():
        logits_BTV = AutoModelForCausalLM.from_pretrained(jobs[0].base)(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    assert whole[0]["loss"] == pytest.approx(sft_loss(logits_BTV, batch["labels"], smoothing=smoothing).item(), rel=1e-5)
    for job, points in zip(jobs[1:], divided, strict=True):
        assert [p["loss"] for p in points] == pytest.approx([p["loss"] for p in whole], rel=1e-4)
        assert [p["grad_norm"] for p in points] == pytest.approx([p["grad_norm"] for p in whole], rel=1e-3)
        assert same(weights(job), weights(jobs[0]), 1e-4)


REDI = Redi(kind="redi")
LOSSES = {
    "redi": (REDI, lambda found, wrong_B: redi_loss(found, wrong_B, alpha=REDI.alpha)),
    "unlikelihood": (Unlikelihood(kind="unlikelihood", weight=0.5), lambda found, wrong_B: unlikelihood_loss(found, wrong_B, weight=0.5)),
    "dpo": (Dpo(kind="dpo", sft=0.5), lambda found, _: math.log(2) + 0.5 * better_side_loss(found)),
    "simpo": (SimPo(kind="simpo"), lambda found, _: simpo_loss(found, beta=2.0, gamma=1.0)),
}


@pytest.mark.parametrize("name", ["redi", "unlikelihood", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dpo", "simpo"))])
def test_a_loss_with_wrong_rows_is_the_same_however_the_batch_is_divided(contrast_job, tokenizer, name):
    objective, loss = LOSSES[name]
    settings = {"epochs": 1, "save_every_steps": 1}
    jobs = [contrast_job(f"micro-{micro}", objective=objective, micro_batch_rows=micro, **settings) for micro in (8, 2)]
    for job in jobs:
        train(job)
    whole, divided = map(curve, jobs)
    assert [p["loss"] for p in divided] == pytest.approx([p["loss"] for p in whole], rel=1e-4)
    assert same(weights(jobs[0]), weights(jobs[1]), 1e-4)

    rows = rows_of(jobs[0], tokenizer)
    first = [rows[i] for i in layout(rows, jobs[0].training, seed=0)[:8]]
    batch = built(jobs[0], tokenizer).data_collator(
        [{"input_ids": r.input_ids, "labels": r.labels, "wrong": r.wrong, "reference": 0.0} for r in first]
    )
    assert batch["wrong"].tolist() == [row.wrong for row in first]
    model = AutoModelForCausalLM.from_pretrained(jobs[0].base)
    with torch.no_grad():
        found = likelihood(model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits, batch["labels"])
    assert whole[0]["loss"] == pytest.approx(loss(found, batch["wrong"]).item(), rel=1e-4)


def test_unlikelihood_of_the_fork_alone_learns_one_token_of_every_wrong_row(contrast_job, tokenizer):
    whole, fork = (contrast_job(tokens, objective=Unlikelihood(kind="unlikelihood", tokens=tokens), epochs=1) for tokens in ("all", "fork"))
    found = [train(job)[0] for job in (whole, fork)]
    order = layout(rows := rows_of(whole, tokenizer), whole.training, seed=0)
    spared = sum(len(supervised(rows[i])) - 1 for i in order if rows[i].wrong)
    assert spared > 0
    assert [trained.supervised_tokens for trained in found] == [found[0].supervised_tokens, found[0].supervised_tokens - spared]
    assert not same(weights(whole), weights(fork))


@pytest.mark.slow
def test_a_killed_dpo_training_goes_on_with_the_reference_of_its_start(contrast_job, killed_after):
    settings = {"objective": Dpo(kind="dpo"), "epochs": 4}
    whole, killed = contrast_job("whole", **settings), contrast_job("killed", **settings)
    train(whole)
    with killed_after(5):
        train(killed)
    train(killed)
    assert [point["loss"] for point in curve(killed)] == pytest.approx([point["loss"] for point in curve(whole)], rel=1e-5)
    assert same(weights(killed), weights(whole), 1e-6)


def test_redi_widens_the_margin_between_right_and_wrong_rows(contrast_job):
    job = contrast_job(objective=REDI, epochs=12, schedule="constant", learning_rate=3e-3, save_every_steps=100)
    train(job)
    points = curve(job)
    assert points[-1]["logp_right"] - points[-1]["logp_wrong"] > points[0]["logp_right"] - points[0]["logp_wrong"] + 0.1


def test_equal_trainings_write_equal_files_and_another_seed_does_not(make_job):
    jobs = [make_job("one"), make_job("two"), make_job("three", seed=1)]
    for job in jobs:
        train(job)
    files = [{file.name: file.read_bytes() for file in job.model.iterdir() if file.name != "training.json"} for job in jobs]
    assert files[0] == files[1]
    assert files[0]["model.safetensors"] != files[2]["model.safetensors"]
    said = [Trained.read(job.model) for job in jobs]
    assert [trained.training_id for trained in said] == ["one", "two", "three"], "the name of the work folder"
    assert said[0].model_copy(update={"training_id": "two"}) == said[1]


def test_a_killed_training_goes_on_to_the_same_adapter_and_curve(make_job, killed_after):
    settings = {"adapter": "lora", "lora_rank": 4, "lora_dropout": 0.2, "epochs": 2}
    whole, killed = make_job("whole", **settings), make_job("killed", **settings)
    train(whole)
    with killed_after(5):
        train(killed)
    half_saved = killed.work / "checkpoint-5"
    shutil.copytree(killed.work / "checkpoint-4", half_saved)
    (half_saved / "complete").unlink()
    finished = train(killed)
    assert finished.spent.tokens == round(finished.trained.trained_tokens * 2 / 6)
    assert (killed.model / curve_file.CURVE).read_text() == (whole.model / curve_file.CURVE).read_text()
    assert same(weights(killed, "adapter_model.safetensors"), weights(whole, "adapter_model.safetensors"), 1e-7)
    config = json.loads((whole.model / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny/base"
    assert config["target_modules"] == sorted(config["target_modules"])


def test_the_end_token_is_learnt_even_where_it_is_the_pad_token(make_job, tokenizer):
    one = copy.deepcopy(tokenizer)
    one.pad_token = one.eos_token
    job = make_job()
    rows = rows_of(job, one)
    collate = built(job, one).data_collator
    labels_BT = collate([{"input_ids": row.input_ids, "labels": row.labels} for row in rows])["labels"]
    assert (labels_BT == one.eos_token_id).sum() == len(rows)


def test_a_generation_config_that_could_not_be_saved_is_refused_before_training(make_job, tmp_path, tokenizer):
    job = make_job()
    contradictory = tmp_path / "contradictory"
    shutil.copytree(job.base, contradictory)
    (contradictory / "generation_config.json").write_text(json.dumps({"do_sample": False, "temperature": 0.5}))
    with pytest.raises(PreflightError, match="generation_config"):
        train(job.model_copy(update={"base": contradictory}))


def test_nothing_is_loaded_for_settings_that_do_not_go_together(make_job):
    with pytest.raises(PreflightError, match="nf4"):
        train(make_job(quantization="nf4"))


@pytest.mark.slow
def test_adapters_learn_on_nf4_weights_without_a_gpu(make_job):
    job = make_job(adapter="lora", quantization="nf4", lora_rank=4, epochs=4)
    train(job)
    points = curve(job)
    assert points[-1]["loss"] < points[0]["loss"]
    adapter = weights(job, "adapter_model.safetensors")
    assert {tensor.dtype for tensor in adapter.values()} == {torch.float32}
    assert all(tensor.any() for tensor in adapter.values())
