from pathlib import Path

import pytest
import yaml

from pipeline.commands.plan import plan
from pipeline.support.estimates import estimates
from pipeline.support.history import Run
from pipeline.support.params import Params

ROOT = Path(__file__).parents[2]


def settings(**plan_values) -> Params:
    values = yaml.safe_load((ROOT / "configs/lab-small.yaml").read_text())
    values["prepare"] |= {"train": 60, "validation": 20, "test": 60}
    values["sample"] |= {"draws": 4, "sampling": {"max_tokens": 320}}
    values["evaluate"] |= {"draws": 2, "draw_problems": 20, "votes": {}}
    values["distill"]["training"] = {"epochs": 1}
    values["students"] = {name: {"from": "base", "lessons": {"teacher": 1}} for name in ("long", "other", "third")}
    return Params.model_validate({**values, "handoff": {"problems": 20}, "plan": plan_values})


def by_stage(params: Params, runs=()):
    return {estimate.stage: estimate for estimate in estimates(params, runs)}


def run(**changes):
    base = {"stage": "sample", "instance": "sample", "seconds": 10.0, "made_tokens": 5000, "rows_in": 1, "rows_out": 1, "dropped": {}}
    return Run(**{**base, "teacher": "teachers/lab", "base": "students/lab"} | changes)


def test_tokens_follow_the_settings():
    found = by_stage(settings(mean_completion_tokens=100, mean_prompt_tokens=50))
    assert found["sample"].tokens == 60 * 4 * 100
    assert found["distill"].tokens == 3 * 60 * 150
    assert found["evaluate"].tokens == 4 * (20 + 60 + 20 * 2) * 100
    assert found["handoff"].tokens == 20 * 100


def test_wrong_rows_and_both_sides_of_pairs_are_trained_too():
    values = settings(mean_completion_tokens=100, mean_prompt_tokens=50).model_dump(by_alias=True)
    values["students"] = {
        "long": {"from": "base", "lessons": {"teacher": 1}},
        "both": {"from": "base", "lessons": {"teacher": 1}, "negatives": {"per_problem": 2, "tag": "Wrong."}},
        "redi": {"from": "long", "pairs": {"rule": "right_over_wrong"}, "objective": {"kind": "redi"}},
        "dast": {"from": "long", "pairs": {"rule": "budget", "max_tokens": 320}, "objective": {"kind": "simpo"}},
    }
    assert by_stage(Params.model_validate(values))["distill"].tokens == (1 + 3 + 2 + 4) * 60 * 150


def test_without_a_mean_the_most_that_sampling_allows_is_taken():
    assert by_stage(settings())["sample"].tokens == 60 * 4 * 320


def test_a_rate_comes_from_this_machine_then_from_the_recipe_and_is_else_unknown():
    assert by_stage(settings())["sample"].seconds is None
    of_recipe = by_stage(settings(sample_tokens_per_second=40))["sample"]
    assert (of_recipe.rate.tokens_per_second, of_recipe.rate.origin) == (40, "recipe, not yet measured")
    here = by_stage(settings(sample_tokens_per_second=40), [run(), run(made_tokens=9000)])["sample"]
    assert (here.rate.tokens_per_second, here.rate.origin) == (900, "measured here")


@pytest.mark.parametrize("other", [{"teacher": "models/large"}, {"made_tokens": 10}, {"stage": "reverify"}])
def test_runs_of_other_models_of_other_stages_and_of_few_tokens_give_no_rate(other):
    assert by_stage(settings(), [run(**other)])["sample"].rate.tokens_per_second is None


def test_the_table_says_unknown_and_gives_no_false_total():
    params = settings(sample_tokens_per_second=100, cost="one hour of a laptop")
    text = plan(params, estimates(params, []))
    assert "unknown" in text
    assert "over" in text.split("\nall")[1].split("\n")[0]
    assert text.endswith("The recipe says: one hour of a laptop (not yet measured).")


def test_disk_is_known_where_the_weights_are_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert by_stage(settings())["distill"].disk_bytes is None
    (tmp_path / "students/lab").mkdir(parents=True)
    (tmp_path / "students/lab/model.safetensors").write_bytes(b"0" * 1000)
    assert by_stage(settings())["distill"].disk_bytes == 3 * 1000 * 5
