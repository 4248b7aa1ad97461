import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from data.errors import ParamsError
from pipeline.commands.params import resolved, use
from pipeline.support.params import Params, load

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    shutil.copy(ROOT / "params.yaml", tmp_path)
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "configs/a.yaml").write_text(text.replace("seeds: [0]", "seeds: [1]"))
    (tmp_path / "configs/b.yaml").write_text(text.replace("seeds: [0]", "seeds: [2]"))
    monkeypatch.chdir(tmp_path)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    return tmp_path


def test_recipes_can_follow_one_another(repository):
    use(Path("configs/a.yaml"))
    use(Path("configs/b.yaml"))
    assert load().seeds == [2]


def test_uncommitted_edits_are_not_overwritten(repository):
    edited = Path("params.yaml").read_text().replace("seeds: [0]", "seeds: [7]")
    Path("params.yaml").write_text(edited)
    with pytest.raises(ParamsError, match="uncommitted edits"):
        use(Path("configs/a.yaml"))
    assert Path("params.yaml").read_text() == edited


def test_an_invalid_recipe_is_not_copied(repository):
    Path("configs/a.yaml").write_text("seeds: []\n")
    with pytest.raises(ParamsError, match="setting"):
        use(Path("configs/a.yaml"))
    assert load().seeds == [0]


def test_resolved_settings_are_the_same_settings():
    params = load(ROOT / "params.yaml")
    assert Params.model_validate(yaml.safe_load(resolved(params))) == params
