import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from data.errors import ParamsError, StageError
from data.records import NumberReference, Outcome, Problem, Score, Split
from data.tasks.lab_tokenizer import train_tokenizer
from pipeline.evaluate import _by_engine, evaluate
from pipeline.support import paths
from pipeline.support.params import Params
from pipeline.support.stage import Statistics
from teachers.adapters import LOADERS
from teachers.engine import EngineSpec, ModelRef
from teachers.evaluation import Subject

PROBLEMS = [
    Problem.create(task="t", split=split, question=f"How many is {i} and 1?", reference=NumberReference(value=str(i + 1)))
    for i, split in enumerate([Split.TRAIN, Split.VALIDATION, Split.VALIDATION, *[Split.TEST] * 4])
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(documents=200)


@pytest.fixture
def place(tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHORTCOT_WORKSPACE", str(tmp_path / "workspace"))
    tokenizer.save_pretrained(tmp_path / "base")
    (tmp_path / "base/config.json").write_text("{}")
    (tmp_path / "base.txt").write_text("Think of nothing.\n")
    lines = [
        {"question": p.question, "right": [f"<think>I add.</think>The answer is \\boxed{{{p.reference.value}}}."], "wrong": ["<think>Hm"]}
        for p in PROBLEMS
    ]
    (tmp_path / "script.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def _params(students: list[str], **evaluate_settings: object) -> Params:
    model = {"path": "base"}
    engine = {"kind": "scripted", "max_model_length": 200, "arguments": {"script": "script.jsonl", "right_share": 0.6}}
    settings = {"engine": engine, "sampling": {"max_tokens": 60}, "draws": 2, "draw_problems": 3, **evaluate_settings}
    return Params.model_validate(
        {
            "seeds": [0, 1],
            "prepare": {"source": {"kind": "lab"}, "task": "lab", "train": 1, "validation": 2, "test": 4},
            "sample": {"teacher": model},
            "shorten": {},
            "students": {name: {"from": "base", "lessons": {"teacher": 1}} for name in students},
            "distill": {"base": model},
            "evaluate": settings,
        }
    )


def _train(student: str, weights: str = "") -> None:
    for seed in (0, 1):
        shutil.copytree("base", paths.model_of(student, seed), dirs_exist_ok=True)
        (paths.model_of(student, seed) / "config.json").write_text(json.dumps({"weights": f"{student} {seed} {weights}"}))


def _evaluate(params: Params) -> tuple[list[Score], int]:
    statistics = Statistics("evaluate")
    return evaluate(params, PROBLEMS, statistics=statistics), statistics.made_tokens


def test_only_what_changed_is_answered_again(place: Path) -> None:
    for student in ("long", "short", "deleted"):
        _train(student)
    params = _params(["long", "short"])
    first, made = _evaluate(params)
    per_subject = 6 + 3 * 2
    assert made == sum(row.thinking_tokens + row.answer_tokens for row in first) and len(first) == 5 * per_subject
    assert {(row.student, row.seed) for row in first} == {("base", 0), ("long", 0), ("long", 1), ("short", 0), ("short", 1)}
    assert {row.outcome for row in first} == {Outcome.RIGHT, Outcome.TRUNCATED}
    assert all((row.answer_tokens == 0) == (row.outcome is Outcome.TRUNCATED) for row in first)

    assert _evaluate(params) == (first, 0)
    _train("short", "trained again")
    second, made = _evaluate(params)
    assert second == first and made == sum(row.thinking_tokens + row.answer_tokens for row in first if row.student == "short")


def test_the_base_can_be_asked_with_words_of_its_own(place: Path) -> None:
    _train("long")
    plain, _ = _evaluate(_params(["long"]))
    own, made = _evaluate(_params(["long"], base_instruction="base.txt"))
    assert made == sum(row.thinking_tokens + row.answer_tokens for row in own if row.student == "base")
    assert [row for row in own if row.student != "base"] == [row for row in plain if row.student != "base"]


def test_weights_that_depend_on_their_input_are_asked_with_transformers(place: Path) -> None:
    def subject(kind: str | None) -> Subject:
        folder = None
        if kind is not None:
            folder = place / kind
            folder.mkdir()
            (folder / "adapter_config.json").write_text(json.dumps({"peft_type": kind}))
        return Subject(str(kind), 0, ModelRef(place / "base", folder), None)

    spec = EngineSpec("vllm", ModelRef(place / "base"), arguments={"enforce_eager": True})
    (plain, served), (special, asked) = _by_engine([subject("LORA"), subject("NAT"), subject(None)], spec)
    assert (plain, [s.student for s in served]) == (spec, ["LORA", "None"])
    assert (special.kind, special.arguments, [s.student for s in asked]) == ("hf", {}, ["NAT"])
    assert LOADERS["NAT"] is not None


def test_missing_models_and_instructions_are_named(place: Path) -> None:
    with pytest.raises(StageError, match=r"data/store/models/long/0: no trained model lies here"):
        _evaluate(_params(["long"]))
    _train("long")
    with pytest.raises(ParamsError, match=r"gone\.txt"):
        _evaluate(_params(["long"], base_instruction="gone.txt"))


def test_variants_ask_a_student_in_another_way_or_at_another_strength(place: Path) -> None:
    _train("mix")
    for folder, value in ((Path("base"), 1.0), *((paths.model_of("mix", seed), 3.0 + seed) for seed in (0, 1))):
        save_file({"w": torch.full((2,), value)}, folder / "model.safetensors", metadata={"format": "pt"})
    settings = _params(["long"]).model_dump(by_alias=True)
    settings["shorten"] = {"post_think": {"kind": "post_think"}}
    settings["students"] = {"mix": {"from": "base", "lessons": {"teacher": 1, "post_think": 1}, "tags": {"post_think": "Short."}}}
    settings["evaluate"]["variants"] = {"brief": {"of": "mix", "ask": "Short."}, "half": {"of": "mix", "strength": 0.5}}
    scores, _ = _evaluate(Params.model_validate({**settings, "report": {"long": "mix"}}))
    subjects = {(row.student, row.seed) for row in scores}
    assert subjects == {("base", 0), *((name, seed) for name in ("mix", "brief", "half") for seed in (0, 1))}
    between = {load_file(file)["w"][0].item() for file in paths.workspace().glob("strengths/*/model.safetensors")}
    assert between == {2.0, 2.5}
    texts = {name: [row.text for row in scores if row.student == name] for name in ("mix", "brief")}
    assert texts["mix"] != texts["brief"]


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ({"of": "nobody"}, "no student that writes; allowed"),
        ({"of": "long", "ask": "Short."}, "no tag of long"),
        ({"of": "long", "strength": 9}, "less than or equal"),
    ],
)
def test_variants_of_nothing_are_refused(variant: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _params(["long"], variants={"other": variant})
