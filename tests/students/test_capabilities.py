import importlib.util
import shutil

import pytest

from data.checks import Severity, settle
from data.errors import PreflightError
from students import capabilities
from students.capabilities import capability_findings
from students.models import Devices
from students.places import Places
from students.settings import Asc, Dpo, Nat, Redi, Training, Unlikelihood

CPU, OLD_GPU, GPUS = Devices(0, False), Devices(1, False), Devices(8, True)
TWO = {"processes": 2, "strategy": "zero2"}
ZERO3 = {"micro_batch_rows": 1, "launch": {"processes": 2, "strategy": "zero3"}, "guard": {"ends_from": 0}}


@pytest.mark.parametrize(
    ("settings", "found", "message"),
    [
        ({"quantization": "nf4"}, GPUS, "distill.training.quantization: nf4 trains no weights of its own; set adapter: lora"),
        ({"quantization": "nf4", "adapter": "lora", **ZERO3}, GPUS, "zero3"),
        ({"precision": "fp16"}, CPU, "needs a GPU"),
        ({"precision": "bf16"}, OLD_GPU, "not computed by this GPU"),
        ({"launch": {"processes": 16, "strategy": "ddp"}}, GPUS, "more than the 8 GPU"),
        ({"batch_rows": 30, "micro_batch_rows": 4}, CPU, "no multiple of"),
        ({"batch_rows": 4, "micro_batch_rows": 4, "launch": {"processes": 2, "strategy": "ddp"}}, GPUS, "no multiple of"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_fix(settings, found, message):
    (finding,) = capability_findings(Training.model_validate({"micro_batch_rows": 1, **settings}), found)
    assert finding.severity is Severity.ERROR and message in str(finding)
    with pytest.raises(PreflightError, match=message.replace("(", r"\(")):
        settle([finding])


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, CPU),
        ({"adapter": "lora", "quantization": "nf4"}, CPU),
        ({"adapter": "lora", "quantization": "nf4", "launch": {"processes": 2, "strategy": "zero2"}}, GPUS),
        ({**ZERO3, "precision": "bf16"}, GPUS),
        ({"launch": {"processes": 2, "strategy": "ddp"}}, CPU),
    ],
)
def test_what_goes_together_is_allowed(settings, found):
    assert list(capability_findings(Training.model_validate({"micro_batch_rows": 1, **settings}), found)) == []


@pytest.mark.parametrize(
    ("settings", "objective", "message"),
    [
        ({}, Nat(kind="nat"), "nat and nce train an adapter on plain weights"),
        ({"quantization": "nf4", "adapter": "lora"}, Asc(kind="asc"), "asc scores with plain weights"),
        ({"micro_batch_rows": 1, "batch_rows": 2}, Dpo(kind="dpo"), "1 divides pairs, which objectives dpo and simpo compare"),
        ({"micro_batch_rows": 1, "batch_rows": 3}, Redi(kind="redi"), "batch_rows: 3 divides pairs"),
        (ZERO3, Unlikelihood(kind="unlikelihood"), "cannot be watched"),
    ],
)
def test_what_an_objective_cannot_do_is_refused(settings, objective, message):
    found = list(capability_findings(Training.model_validate(settings), GPUS, objective))
    assert [finding.severity for finding in found] == [Severity.ERROR] and message in str(found[0])


def test_that_nobody_looks_whether_texts_end_under_zero3_is_said():
    training = Training.model_validate({**ZERO3, "guard": {}})
    (finding,) = capability_findings(training, GPUS)
    assert finding.severity is Severity.INFO and str(finding).startswith("distill.training.guard.ends_from: whether texts end")


def test_all_that_is_wrong_is_said_at_once():
    training = Training(adapter="none", quantization="nf4", precision="fp16", batch_rows=30, micro_batch_rows=4)
    with pytest.raises(PreflightError, match=r"(?s)3 things.*quantization: nf4.*precision: fp16.*batch_rows: 30"):
        settle(capability_findings(training, CPU))


@pytest.mark.parametrize(
    ("own", "place"),
    [
        ({}, "distill.training.launch.processes"),
        ({"epochs": 1, "launch": {"strategy": "ddp"}}, "distill.training.launch.processes"),
        ({"launch": {"processes": 16}}, "students.nat.train.launch.processes"),
    ],
)
def test_the_place_is_where_the_value_comes_from(own, place):
    training = Training.model_validate({"micro_batch_rows": 1, "launch": {"processes": 16, "strategy": "ddp"}})
    assert [each.place for each in capability_findings(training, GPUS, places=Places.of("nat", own))] == [place]


def test_a_setting_with_parts_is_a_students_own_where_one_of_its_parts_is():
    places = Places.of("nat", {"guard": {"looks": 2}, "batch_rows": 4})
    assert (places.key("guard"), places.key("guard.looks")) == ("students.nat.train.guard", "students.nat.train.guard.looks")
    assert (places.key("batch"), places.whole, Places().whole) == ("distill.training.batch", "students.nat.train", "distill.training")


def test_what_is_slow_or_untried_on_a_cpu_is_a_warning():
    training = Training.model_validate({"precision": "bf16", **ZERO3})
    found = list(capability_findings(training, CPU))
    assert {(each.severity, each.place.rpartition(".")[2]) for each in found} == {
        (Severity.WARNING, "precision"),
        (Severity.WARNING, "strategy"),
    }


def test_a_library_or_a_compiler_that_is_needed_and_not_there_is_named(monkeypatch):
    training = Training.model_validate({"micro_batch_rows": 1, "adapter": "lora", "quantization": "nf4", "launch": TWO})
    assert list(capability_findings(training, CPU)) == []
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(capabilities, "find_spec", lambda name: None if name == "bitsandbytes" else importlib.util.find_spec(name))
    said = [str(finding) for finding in capability_findings(training, CPU)]
    assert len(said) == 2 and "needs bitsandbytes" in said[0] and "no g++" in said[1]
