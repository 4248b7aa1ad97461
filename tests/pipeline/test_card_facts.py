from __future__ import annotations

from pathlib import Path

import yaml

from data.metrics.choose import RULE, Choice
from data.records import NumberReference, Problem, Split
from pipeline.support.card_facts import card_facts, serving_facts
from pipeline.support.params import Params, load
from students.card import Source, card
from teachers.serve_check import Bounds, ServeReport
from teachers.serving import ServeSettings

METRICS: dict[str, float | str] = {
    f"{student}.{measure}{end}": value + step
    for student, shift in (("post_think", 0.0), ("long", 0.1), ("base", -0.5))
    for measure, value in (("accuracy", 0.7 + shift), ("tokens", 60.0), ("unfinished", 0.0))
    for end, step in (("", 0.0), ("_low", -0.02), ("_high", 0.02))
} | {"post_think.lesson_rows": 1234, "post_think.vs_long_difference": -0.1, "post_think.vs_long_keeps_accuracy": "no"}
SETTINGS = ServeSettings("student", 8000, "float32", 512, {}, {"kv_cache_memory_bytes": 1})


def choice(*, within: bool = True) -> Choice:
    return Choice(student="post_think", seed=3, within_margin=within, margin=0.03, baseline="long", baseline_accuracy=0.8, candidates=[])


def problems() -> list[Problem]:
    splits = [Split.TRAIN] * 3 + [Split.VALIDATION] * 2 + [Split.TEST] * 4
    return [
        Problem.create(task="lab", split=split, question=f"question {i}", reference=NumberReference(value=str(i)))
        for i, split in enumerate(splits)
    ]


def written(params: Params, *, exact: bool = True, within: bool = True) -> str:
    report = ServeReport(
        problems=20, equal_texts=20 if exact else 12, equal_answers=20 if exact else 19, largest_logprob_difference=0.0012345
    )
    serving = serving_facts(SETTINGS, Bounds(exact, 0.05), report, instruction=None, max_tokens=320)
    return card(card_facts(params, choice(within=within), METRICS, problems(), serving))


def test_the_card_of_the_lab_says_command_numbers_rule_and_check_and_nothing_of_this_machine() -> None:
    text = written(load(Path("params.yaml")))
    assert "vllm serve . --served-model-name student --reasoning-parser qwen3 --dtype float32 --max-model-len 512\n" in text
    assert "| `post_think` | 70.0 % [68.0, 72.0] | 60.0 [60.0, 60.0] | 0.0 % [-2.0, 2.0] |" in text
    assert "| `base` | 20.0 %" in text
    assert "Paired difference in accuracy to the student taught the long reasoning: -10.0 [–, –] points." in text
    assert RULE in text
    assert "1234 rows" in text
    assert "all 20 answers were token by token those of the evaluation" in text
    for of_machine in ("0.0012", "kv_cache", "127.0.0.1", str(Path.cwd())):
        assert of_machine not in text


def test_a_check_in_another_format_and_a_choice_outside_the_margin_are_said() -> None:
    text = written(load(Path("params.yaml")), exact=False, within=False)
    assert "19 of 20 extracted answers were those of the evaluation" in text
    assert "Here no candidate was within the margin." in text


def test_pinned_models_and_data_of_a_hub_are_named_for_the_hub() -> None:
    text = written(load(Path("configs/gpu-80gb.yaml")))
    found = yaml.safe_load(text.split("---\n")[1])
    assert (found["base_model"], found["datasets"]) == ("Qwen/Qwen3-1.7B", ["openai/gsm8k"])


def test_files_are_named_by_the_params_and_absolute_paths_lose_their_folders() -> None:
    params = load(Path("configs/gsm8k-cpu.yaml"))
    moved = params.model_copy(
        update={"distill": params.distill.model_copy(update={"base": params.distill.base.model_copy(update={"path": "/big/disk/base"})})}
    )
    serving = serving_facts(SETTINGS, Bounds(True, 0.05), ServeReport(1, 1, 1, 0.0), instruction=None, max_tokens=320)
    facts = card_facts(moved, choice(), METRICS, problems(), serving)
    assert facts.data == Source("gsm8k", None, "MIT")
    assert facts.base == Source("base", None, "Apache-2.0")


def test_the_lab_is_ours_and_files_beside_params_go_by_their_task() -> None:
    serving = serving_facts(SETTINGS, Bounds(True, 0.05), ServeReport(1, 1, 1, 0.0), instruction=None, max_tokens=320)
    lab, gsm8k = load(Path("params.yaml")), load(Path("configs/gsm8k-cpu.yaml"))
    assert card_facts(lab, choice(), METRICS, problems(), serving).data == Source("problems of the lab's generator", None, "MIT")
    source = gsm8k.prepare.source.model_copy(update={"train": "train.jsonl"})
    bare = gsm8k.model_copy(update={"prepare": gsm8k.prepare.model_copy(update={"source": source}), "handoff": lab.handoff})
    assert card_facts(bare, choice(), METRICS, problems(), serving).data == Source("gsm8k", None, "as its source states")
