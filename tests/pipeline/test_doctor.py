import shutil
from pathlib import Path

import pytest
import yaml

from data.checks import Severity, error, info, warning
from data.records import Outcome
from data.verifiers.sandbox import run as sandbox
from data.verifiers.sandbox.run import Report, probe
from pipeline.commands.doctor import doctor, findings_of, laid_out, machine, recipes_in, verdict, versions
from pipeline.support.local_models import how_to_get
from pipeline.support.machine import Package, Resources, asked_for, packages
from pipeline.support.params import Params, load
from pipeline.support.recipe import recipe_findings
from students.models import Devices

ROOT = Path(__file__).parents[2]
NO_GPU = Devices(0, bf16=False)
ROOMY = Resources(memory=10**12, disk=10**12, gpus=0, gpu_memory=0)


def changed(**changes) -> Params:
    """params.yaml with `section__name=value` set."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for path, value in changes.items():
        *outer, name = path.split("__")
        place = values
        for key in outer:
            place = place.setdefault(key, {})
        place[name] = value
    return Params.model_validate(values)


@pytest.fixture
def _models_are_there(tiny_base, tmp_path, monkeypatch):
    for folder in ("teachers/lab", "students/lab"):
        (tmp_path / folder).parent.mkdir(parents=True)
        (tmp_path / folder).symlink_to(tiny_base)
    monkeypatch.chdir(tmp_path)


FITS = {"sample__engine__max_model_length": 256, "evaluate__engine__max_model_length": 256, "sample__sampling__max_tokens": 64}
FITS |= {"evaluate__sampling__max_tokens": 64, "reverify__sampling__max_tokens": 64}


@pytest.mark.usefixtures("_models_are_there")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"plan__gpus": 8}, "plan.gpus: needs 8 GPU"),
        ({"plan__memory_gigabytes": 2000}, "needs 2000 GB of memory"),
        ({"plan__disk_gigabytes": 2000}, "needs 2000 GB of disk"),
        ({"sample__engine__arguments": {"tensor_parallel_size": 2}}, "sample.engine.arguments: it spreads over 2 GPUs"),
        ({"distill__training__precision": "fp16"}, "distill.training.precision: fp16 needs a GPU"),
        ({"sample__engine__max_model_length": 300}, "300 is more than the 256 positions"),
        ({"sample__sampling__max_tokens": 256}, "sample.engine.max_model_length: 256 tokens leave no room"),
    ],
)
def test_a_recipe_says_what_it_lacks(changes, reason):
    found = recipe_findings(changed(**{**FITS, **changes}), ROOMY, NO_GPU)
    assert [each.severity for each in found] == [] if reason is None else [Severity.ERROR]
    assert all(reason in str(each) for each in found)
    assert verdict(found).startswith("yes" if reason is None else "no: ")


@pytest.mark.usefixtures("_models_are_there")
def test_an_instruction_that_is_not_there_is_an_error():
    found = recipe_findings(changed(**FITS, sample__instruction="nowhere.txt"), ROOMY, NO_GPU)
    assert all(each.severity is Severity.ERROR and "nowhere.txt" in each.found for each in found) and found


@pytest.mark.usefixtures("_models_are_there")
def test_of_a_hubs_model_that_is_not_here_yet_the_checks_that_were_not_made_are_named():
    found = recipe_findings(changed(**FITS, sample__teacher={"path": "owner/hub", "revision": "0123abc"}), ROOMY, NO_GPU)
    assert [(each.severity, each.place) for each in found] == [(Severity.INFO, "sample.teacher")]
    assert verdict(found).startswith("yes, but: sample.teacher: owner/hub is not on this machine")


@pytest.mark.usefixtures("_models_are_there")
@pytest.mark.parametrize("model", [{"path": "models/none"}, {"path": "owner/hub"}, {"path": "owner/hub", "revision": "main"}])
def test_a_model_folder_that_is_not_there_is_an_error(model):
    found = recipe_findings(changed(**FITS, sample__teacher=model), ROOMY, NO_GPU)
    assert [(each.severity, each.place) for each in found] == [(Severity.ERROR, "sample.teacher")]
    assert verdict(found) == f"no: sample.teacher: there is no folder {model['path']}"


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        ("teachers/lab", "make lab-models"),
        ("students/lab", "make lab-models"),
        ("models/qwen2.5-coder-1.5b-instruct", "make gsm8k-models"),
        ("models/of-mine", "put a model folder"),
        ("owner/hub", "`revision` pinned"),
    ],
)
def test_a_model_that_is_not_there_comes_with_the_way_to_get_it(path, fix):
    assert fix in how_to_get(path)


@pytest.mark.parametrize("recipe", [ROOT / "params.yaml", *recipes_in(ROOT / "configs")], ids=lambda path: path.name)
def test_every_local_model_of_a_recipe_can_be_got_by_make(recipe):
    params = load(recipe)
    local = [model.path for model in (params.sample.teacher, params.distill.base) if model.revision is None]
    assert all("`make " in how_to_get(path) for path in local)


@pytest.mark.usefixtures("_models_are_there")
def test_a_hub_model_in_the_cache_is_looked_at(tiny_base, tmp_path, monkeypatch):
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    shutil.copytree(tiny_base, tmp_path / "cache/models--owner--hub/snapshots" / commit)
    model = {"path": "owner/hub", "revision": commit}
    params = changed(**{**FITS, "sample__engine__max_model_length": 300}, sample__teacher=model, distill__base=model)
    found = recipe_findings(params, ROOMY._replace(memory=10**5), NO_GPU)
    assert {each.place for each in found if each.severity is Severity.ERROR} >= {"sample.engine.max_model_length", "distill.training"}
    assert not any("not on this machine" in each.found for each in found)


@pytest.mark.usefixtures("_models_are_there")
def test_a_training_that_does_not_fit_is_an_error_with_its_parts():
    small = ROOMY._replace(memory=10**5)
    found = [each for each in recipe_findings(changed(**FITS, plan__memory_gigabytes=0), small, NO_GPU) if each.place == "distill.training"]
    assert [each.severity for each in found] == [Severity.ERROR] and "weights" in found[0].found and "optimizer" in found[0].found


def test_an_invalid_recipe_is_named_with_its_field(tmp_path):
    (tmp_path / "bad.yaml").write_text("seeds: [0]\nprepare: {}\n")
    text = verdict(findings_of(tmp_path / "bad.yaml", ROOMY, NO_GPU))
    assert text.startswith("no: ") and "prepare.source" in text


def test_doctor_shows_all_findings_of_a_named_recipe_and_says_that_it_cannot_run(tmp_path):
    (tmp_path / "bad.yaml").write_text("seeds: [0]\nprepare: {}\n")
    found = doctor([tmp_path / "bad.yaml"], fully=True)
    assert not found.runnable and f"{tmp_path / 'bad.yaml'} cannot run here (errors: 1)\n\nthe file\n  ERROR     " in found.report
    assert found.report.endswith("→ `make params` shows what is allowed")


def test_findings_are_laid_out_by_stage_with_errors_first():
    found = [
        warning("sample.engine.dtype", "slow", "use auto"),
        info("distill.base", "not here yet", "wait"),
        error("students.long.train.precision", "fp16 needs a GPU", "use auto"),
        error("plan.gpus", "needs 1", "take another"),
        warning("evaluate.engine", "odd " * 40, "look"),
        error("evaluate.engine.kind", "none", "install it"),
    ]
    text = laid_out("a.yaml", found)
    assert text.splitlines()[0] == "a.yaml cannot run here (errors: 3, warnings: 2, not seen: 1)"
    headings = [line for line in text.splitlines()[1:] if line and not line.startswith(" ")]
    assert headings == ["this machine", "distill", "evaluate", "sample"]
    assert text.index("ERROR     evaluate.engine.kind: none") < text.index("warning   evaluate.engine: odd")
    assert text.index("students.long.train.precision") < text.index("not seen  distill.base: not here yet")
    assert max(map(len, text.splitlines())) <= 110
    assert all(f"→ {each.fix}" in text for each in found)


def test_a_recipe_without_findings_can_run_and_a_table_shows_one_reason_of_each():
    assert laid_out("a.yaml", []) == "a.yaml can run here (nothing found)"
    assert laid_out("a.yaml", [warning("sample", "odd", "look")]).startswith("a.yaml can run here (warnings: 1)")
    assert verdict([info("a", "unseen", "-"), error("b", "x", "-"), error("c", "y", "-")]) == "no: b: x (and 1 more)"
    assert verdict([info("a", "unseen", "-")]) == "yes, but: a: unseen" and verdict([warning("a", "odd", "-")]) == "yes"


def test_the_lock_is_read_with_torch_and_compared_without_the_builds_name(tmp_path):
    (tmp_path / "cpu.txt").write_text("pytest==0.0.1 \\\n    --hash=sha256:00\nno-such-package==1.0 \\\n    --hash=sha256:00\n")
    (tmp_path / "torch-cpu.txt").write_text("torch==2.13.0\n")
    found = {package.name: package for package in packages("cpu", tmp_path)}
    assert set(found) == {"pytest", "no-such-package", "torch"}
    assert not found["pytest"].as_locked
    assert found["no-such-package"].found is None
    assert Package("torch", "2.13.0", "2.13.0+cpu").as_locked
    report = versions(list(found.values()), {"torch"}, "cpu")
    assert report.count("NOT AS LOCKED") == 3 and "make venv" in report


@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_the_lock_holds_all_that_the_code_imports(accelerator):
    locked = {package.name.lower() for package in packages(accelerator, ROOT / "requirements")}
    assert len(locked) > 200
    assert asked_for(accelerator, ROOT / "requirements") <= locked


@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_every_line_of_a_lock_is_a_hashed_version(accelerator):
    blocks = (ROOT / f"requirements/{accelerator}.txt").read_text().replace("\\\n", " ").splitlines()
    assert all("==" in block and "--hash=sha256:" in block and "://" not in block for block in blocks)


def test_recipes_are_the_params_files_among_the_configs():
    names = {path.name for path in recipes_in(ROOT / "configs")}
    assert "lab-small.yaml" in names and "models.yaml" not in names


def test_the_shipped_params_load():
    assert load(ROOT / "params.yaml").report.long == "long"


def test_the_machine_says_whether_programs_can_be_judged(monkeypatch):
    facts = dict(machine(ROOMY, NO_GPU))
    assert facts["sandbox for programs"] == (probe() or "yes")
    monkeypatch.setattr("pipeline.commands.doctor.probe", lambda: "no user namespaces")
    assert dict(machine(ROOMY, NO_GPU))["sandbox for programs"] == "no user namespaces"


def test_the_machine_says_where_the_sandbox_could_not_be_tried(monkeypatch):
    monkeypatch.setattr(sandbox, "run", lambda *_, **__: Report(Outcome.TIMEOUT, "no end within 15 s on the clock"))
    assert "is not known: 2 trials failed, the last: timeout: no end" in dict(machine(ROOMY, NO_GPU))["sandbox for programs"]
