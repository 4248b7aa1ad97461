import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from data.errors import ParamsError
from pipeline.commands.doctor import recipes_in
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
    monkeypatch.delenv("SHORTCOT_WORKSPACE", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    return tmp_path


def test_recipes_can_follow_one_another(repository):
    use(Path("configs/a.yaml"))
    use(Path("configs/b.yaml"))
    assert load().seeds == [2]


def edit(file: str, seed: int) -> None:
    """Make a file the shipped params with another seed."""
    Path(file).write_text((ROOT / "params.yaml").read_text().replace("seeds: [0]", f"seeds: [{seed}]"))


def test_uncommitted_edits_are_not_overwritten(repository):
    edit("params.yaml", 7)
    with pytest.raises(ParamsError, match="uncommitted edits"):
        use(Path("configs/a.yaml"))
    assert load().seeds == [7]


@pytest.mark.parametrize("kept", ["configs/mine.yaml", "configs/mine/seven.yml", "mine.yaml"])
def test_from_a_recipe_of_ones_own_to_another_nothing_is_lost(repository, kept):
    Path(kept).parent.mkdir(exist_ok=True)
    edit(kept, 7)
    if not kept.startswith("configs"):  # outside of configs/ it must be committed
        for command in (["add", kept], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"]):
            subprocess.run(["git", *command], check=True)
    use(Path(kept))
    use(Path("configs/a.yaml"))
    assert load().seeds == [1]
    edit("params.yaml", 8)
    with pytest.raises(ParamsError, match="uncommitted edits"):
        use(Path(kept))


def test_a_recipe_of_ones_own_is_edited_and_used_again(repository):
    edit("configs/mine.yaml", 3)
    use(Path("configs/mine.yaml"))
    edit("configs/mine.yaml", 4)
    use(Path("configs/mine.yaml"))
    assert load().seeds == [4]
    Path("configs/mine.yaml").unlink()
    with pytest.raises(ParamsError, match="uncommitted edits"):
        use(Path("configs/a.yaml"))
    edit("configs/mine.yaml", 4)
    edit("params.yaml", 5)
    with pytest.raises(ParamsError, match="uncommitted edits"):
        use(Path("configs/mine.yaml"))


def test_the_same_again_is_no_loss_and_params_yaml_may_name_itself(repository):
    edit("mine.yaml", 7)
    use(Path("mine.yaml"))
    use(Path("mine.yaml"))
    use(Path("params.yaml"))
    assert load().seeds == [7]


def test_params_that_git_does_not_know_are_not_overwritten(repository):
    subprocess.run(["git", "rm", "-q", "--cached", "params.yaml"], check=True)
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"], check=True)
    with pytest.raises(ParamsError, match="uncommitted edits"):
        use(Path("configs/a.yaml"))
    Path(".git").rename("elsewhere")
    with pytest.raises(ParamsError, match="uncommitted edits"):
        use(Path("configs/a.yaml"))


def test_an_invalid_recipe_is_not_copied(repository):
    Path("configs/a.yaml").write_text("seeds: []\n")
    with pytest.raises(ParamsError, match="setting"):
        use(Path("configs/a.yaml"))
    assert load().seeds == [0]


@pytest.mark.parametrize("recipe", [ROOT / "params.yaml", *recipes_in(ROOT / "configs")], ids=lambda path: path.name)
def test_resolved_settings_are_the_same_settings(recipe):
    params = load(recipe)
    assert Params.model_validate(yaml.safe_load(resolved(params))) == params


def test_a_printed_file_can_be_used(repository):
    Path("configs/all.yaml").write_text(resolved(load()))
    use(Path("configs/all.yaml"))
    assert load() == load(ROOT / "params.yaml")


def test_other_kinds_than_the_one_in_use_are_named_above_it_once():
    lines = resolved(load(ROOT / "params.yaml")).splitlines()
    at = lines.index("  source:")
    assert lines[at - 1] == "  # kind is one of lab, file, hub, reasoning_gym; the settings of each: pipeline/support/prepare_settings.py"
    comments = [line.strip() for line in lines if " is one of " in line]
    assert len(comments) == len(set(comments))
    above = {line.strip().partition(";")[0] for line in comments}
    assert "# kind is one of esc, adaptive_consistency, enough" in above, "a rule in use"
    assert "# rule is one of right_over_wrong, short_over_long, budget, draws" in above, "pairs that nobody uses"
    assert any(line.startswith("# kind is one of sft, unlikelihood, redi") for line in above)
    files = {line.rpartition(": ")[2] for line in comments if line.endswith(".py")}
    assert len(files) >= 5 and all((ROOT / file).is_file() for file in files)


def test_a_mapping_of_choices_that_is_empty_says_what_could_be_in_it():
    params = load(ROOT / "params.yaml")
    without = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"votes": {}})})
    lines = resolved(without).splitlines()
    assert lines[lines.index("  votes: {}") - 1] == "  # kind is one of majority, asc; the settings of each: data/voting.py"
