import inspect
import json
import shutil
from pathlib import Path

import pytest

from data.checks import Severity, settle
from data.errors import PreflightError
from pipeline import distill, evaluate, reverify, sample, shorten
from pipeline.support import preflight as checked
from pipeline.support.machine import Package, Resources
from pipeline.support.params import EngineSettings, ModelSource
from pipeline.support.preflight import Look, UsedEngine, preflight, used_findings, version_findings
from pipeline.support.recipe import STAGES
from pipeline.support.stage import Statistics

ROOMY = Resources(memory=10**12, disk=10**12, gpus=0, gpu_memory=0)


def with_models(params, folder: Path):
    """The params with a scripted teacher whose tokenizer lies in `folder`, which is the students' base too."""
    source, engine = ModelSource(path=str(folder)), params.evaluate.engine
    sample = params.sample.model_copy(update={"teacher": source, "engine": engine, "sampling": params.evaluate.sampling})
    return params.model_copy(update={"sample": sample, "distill": params.distill.model_copy(update={"base": source})})


@pytest.fixture
def trap(tiny_base, tmp_path) -> Path:
    """A model folder to plant traps in."""
    return Path(shutil.copytree(tiny_base, tmp_path / "trap"))


@pytest.mark.parametrize("stage", STAGES)
def test_stages_start_with_good_models(scripted_lab, tiny_base, stage):
    assert list(used_findings(stage.used(with_models(scripted_lab, tiny_base)), Look(here=lambda: ROOMY))) == []


@pytest.mark.parametrize("stage", [sample, reverify, distill, evaluate])
def test_a_template_that_never_stops_is_refused_by_every_stage_that_asks_it(scripted_lab, trap, stage):
    template = trap / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|end|>", "<|user|>"))
    with pytest.raises(PreflightError, match="ends the assistant's turn with"):
        preflight(stage.used(with_models(scripted_lab, trap)))


def test_a_teacher_may_stop_at_what_its_generation_config_names(scripted_lab, trap):
    from transformers import AutoTokenizer

    template = trap / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|end|>", "<|user|>"))
    stop = AutoTokenizer.from_pretrained(trap).convert_tokens_to_ids("<|user|>")
    (trap / "generation_config.json").write_text(json.dumps({"eos_token_id": [1, stop]}))
    assert list(used_findings(sample.used(with_models(scripted_lab, trap)), Look())) == []


@pytest.mark.parametrize("fetch", [True, False])
def test_a_missing_folder_is_an_error_of_the_stage_and_of_doctor(scripted_lab, tmp_path, fetch):
    params = with_models(scripted_lab, tmp_path / "nowhere")
    (finding,) = used_findings(sample.used(params), Look(fetch=fetch))
    assert finding.severity is Severity.ERROR and str(finding).startswith(f"sample.teacher: there is no folder {tmp_path / 'nowhere'}; put")


def test_compressors_that_ask_nobody_need_no_model(scripted_lab, tmp_path):
    assert list(shorten.used(with_models(scripted_lab, tmp_path / "nowhere"))) == []


GPU = ROOMY._replace(gpus=1, gpu_memory=10**12)


@pytest.mark.parametrize(
    ("settings", "here", "severity", "words"),
    [
        ({}, ROOMY, None, ""),
        ({"max_model_length": 300}, ROOMY, Severity.ERROR, "300 is more than the 256 positions"),
        ({"kind": "hf", "max_model_length": 300}, ROOMY, Severity.WARNING, "300 is more than the 256 positions"),
        ({"max_model_length": 64}, ROOMY, Severity.ERROR, "64 tokens leave no room for a prompt"),
        ({"dtype": "bfloat16"}, ROOMY, Severity.WARNING, "over a hundred times slower"),
        ({"dtype": "bfloat16"}, GPU, Severity.ERROR, "not computed by this GPU"),
        ({"dtype": "bfloat16"}, GPU._replace(bf16=True), None, ""),
        ({"arguments": {"tensor_parallel_size": 4}}, GPU, Severity.ERROR, "spreads over 4 GPUs, and 1 are seen"),
        ({"kind": "ray", "arguments": {"address": "auto", "arguments": {"tensor_parallel_size": 4}}}, GPU, None, ""),
        ({}, ROOMY._replace(memory=1000), Severity.ERROR, "the weights in"),
        ({}, GPU._replace(gpu_memory=1000), Severity.ERROR, "the weights in"),
    ],
)
def test_what_an_engine_cannot_do_here_is_found_before_it_starts(tiny_base, settings, here, severity, words):
    engine = EngineSettings.model_validate({"max_model_length": 256, **settings})
    found = list(UsedEngine("sample.engine", engine, ModelSource(path=str(tiny_base)), 64).findings(Look(here=lambda: here)))
    assert [each.severity for each in found] == ([] if severity is None else [severity])
    assert all(words in each.found and each.place.startswith("sample.engine") for each in found)


def test_an_engine_that_is_not_installed_is_named(tiny_base, monkeypatch):
    monkeypatch.setattr(checked, "installed", lambda name: None)
    found = UsedEngine("e", EngineSettings(max_model_length=256), ModelSource(path=str(tiny_base)), 64).findings(Look(here=lambda: ROOMY))
    with pytest.raises(PreflightError, match=r"e\.kind: vLLM is not installed"):
        settle(found)


def test_other_versions_than_the_locked_are_a_warning(monkeypatch):
    assert list(version_findings()) == []
    monkeypatch.setattr(checked, "_packages", lambda lock: [Package("torch", "2.0", "1.0"), Package("obscure", "2.0", "1.0")])
    (finding,) = version_findings()
    assert finding.severity is Severity.WARNING and "torch 1.0, locked 2.0" in finding.found and "obscure" not in finding.found


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_spends_does_nothing_where_its_preflight_refuses(scripted_lab, monkeypatch, stage):
    ran = []

    def refuse(used):
        assert used == ("what is used of", scripted_lab)
        raise PreflightError("planted")

    known = {"load": lambda: scripted_lab, "read_all": lambda *_: [], "read_table": lambda *_: [None], "preflight": refuse}
    known["used"] = lambda params: ("what is used of", params)
    for name, _ in inspect.getmembers(stage, inspect.isfunction):
        if name != "_body":
            monkeypatch.setattr(stage, name, known.get(name, lambda *_, name=name, **__: ran.append(name)))
    given = {"statistics": Statistics("test"), "params": scripted_lab, "student": next(iter(scripted_lab.students))}
    with pytest.raises(PreflightError, match="planted"):
        stage._body(*[given[name] for name in inspect.signature(stage._body).parameters])
    assert ran == []
