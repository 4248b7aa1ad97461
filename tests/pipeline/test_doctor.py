from pathlib import Path

import pytest
import yaml

from pipeline.commands.doctor import recipes_in, verdict, versions
from pipeline.support.machine import Package, Resources, asked_for, lacking, packages
from pipeline.support.params import Params, load
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
def _models_are_there(tmp_path, monkeypatch):
    for folder in ("teachers/lab", "students/lab"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_models_are_there")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"plan__gpus": 8}, "needs 8 GPU"),
        ({"plan__memory_gigabytes": 2000}, "needs 2000 GB of memory"),
        ({"plan__disk_gigabytes": 2000}, "needs 2000 GB of disk"),
        ({"sample__instruction": "nowhere.txt"}, "nowhere.txt is not there"),
        ({"sample__teacher": {"path": "models/none"}}, "models/none holds no model"),
        ({"sample__teacher": {"path": "owner/hub", "revision": "abc"}}, None),
        ({"sample__engine__arguments": {"tensor_parallel_size": 2}}, "spreads over 2 GPUs"),
        ({"distill__training__precision": "fp16"}, "fp16 needs a GPU"),
    ],
)
def test_a_recipe_says_what_it_lacks(changes, reason):
    found = list(lacking(changed(**changes), ROOMY, NO_GPU))
    assert found == [] if reason is None else len(found) == 1 and reason in found[0]


def test_an_invalid_recipe_is_named_with_its_field(tmp_path):
    (tmp_path / "bad.yaml").write_text("seeds: [0]\nprepare: {}\n")
    text = verdict(tmp_path / "bad.yaml", ROOMY, NO_GPU)
    assert text.startswith("no: ") and "prepare.source" in text


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
