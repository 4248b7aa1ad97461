from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.support.findings import candidates
from pipeline.support.params import Params, load, training_of
from pipeline.support.student_settings import Student, ancestors

BASE = {"from": "base", "lessons": {"teacher": 1}}
REDI = {"from": "long", "pairs": {"rule": "right_over_wrong"}, "objective": {"kind": "redi"}}
WRONG_SHORT = {"kind": "post_think", "outcome": "wrong"}


def params(students: dict[str, Any], **shorten: Any) -> Params:
    values = load().model_dump(by_alias=True, mode="json")
    values["shorten"] |= shorten
    return Params.model_validate(values | {"students": {"long": BASE, **students}})


@pytest.mark.parametrize(
    ("student", "message"),
    [
        ({"from": "base"}, "objective sft learns from `lessons` or `lessons` and `negatives` or `negatives`; found none of them"),
        ({"lessons": {"teacher": 1}}, "from"),
        ({**BASE, "negatives": {}}, "objective sft learns them like right traces"),
        (
            {**BASE, "objective": {"kind": "unlikelihood"}},
            "objective unlikelihood learns from `lessons` and `negatives`; found .'lessons'.",
        ),
        ({**BASE, "pairs": {"rule": "right_over_wrong"}}, "objective sft learns from"),
        ({**BASE, "objective": {"kind": "redi"}}, "objective redi learns from `pairs`; found"),
        ({**REDI, "objective": {"kind": "redi", "alpha": 1.5}}, "less than or equal to 1"),
        ({**REDI, "pairs": {"rule": "alphabetical"}}, "rule"),
        ({**BASE, "negatives": {"tag": "Wrong."}, "ask": "Right."}, "ask: 'Right.' is in no lesson"),
    ],
)
def test_lessons_that_do_not_fit_are_refused(student: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Student.model_validate(student)


def test_wrong_traces_are_imitated_only_when_that_is_said() -> None:
    tagged = Student.model_validate({**BASE, "negatives": {"tag": "Wrong."}})
    assert tagged.asked_by == {None, "Wrong."}
    mixed = Student.model_validate({**BASE, "negatives": {}, "objective": {"kind": "sft", "imitate": True}})
    assert (mixed.plan.right, mixed.plan.wrong) == ({"teacher"}, {"teacher"})


def test_a_chain_of_students_is_allowed_and_ends_at_the_base() -> None:
    assert params({"next": {**BASE, "from": "long"}, "last": {**BASE, "from": "next"}}).students["last"].start == "next"
    with pytest.raises(ValidationError, match=r"students.next.from: 'nobody' is no student"):
        params({"next": {**BASE, "from": "nobody"}})
    with pytest.raises(ValidationError, match=r"comes round to itself"):
        params({"one": {**BASE, "from": "two"}, "two": {**BASE, "from": "one"}})


@pytest.mark.parametrize(("own", "found"), [({"adapter": "lora"}, "adapter: lora and none"), ({"adapter": "none"}, None)])
def test_a_student_goes_on_only_with_weights_of_its_own_kind(own: dict[str, Any], found: str | None) -> None:
    students = {"next": {**REDI, "train": own}}
    if found is None:
        assert params(students).students["next"].start == "long"
    else:
        with pytest.raises(ValidationError, match=f"'long' is trained with other weights .{found}"):
            params(students)


def test_an_adapter_is_gone_on_with_at_its_own_size() -> None:
    small, large = {"adapter": "lora", "lora_rank": 4}, {"adapter": "lora", "lora_rank": 8}
    with pytest.raises(ValidationError, match="lora_rank: 8 and 4"):
        params({"small": {**BASE, "train": small}, "next": {**REDI, "from": "small", "train": large}})


def test_only_wrong_traces_are_negatives_and_only_right_ones_are_lessons() -> None:
    assert params({"redi": {**REDI, "pairs": {**REDI["pairs"], "wrong": "cut"}}}, cut=WRONG_SHORT).students["redi"].pairs is not None
    with pytest.raises(ValidationError, match=r"students.other: .'cut'. write\(s\) no right traces"):
        params({"other": {"from": "base", "lessons": {"cut": 1}}}, cut=WRONG_SHORT)
    with pytest.raises(ValidationError, match=r"students.other: .'post_think'. write\(s\) no wrong traces"):
        params({"other": {**BASE, "negatives": {"of": "post_think", "tag": "Wrong."}}})


CHAIN = {
    "wrong": {"from": "base", "negatives": {}, "objective": {"kind": "sft", "imitate": True}, "train": {"adapter": "lora"}},
    "nat": {"from": "wrong", "lessons": {"teacher": 1}, "objective": {"kind": "nat"}, "train": {"adapter": "lora"}},
    "nce": {"from": "nat", "lessons": {"teacher": 1}, "objective": {"kind": "nce"}, "train": {"adapter": "lora"}},
}


def test_nat_goes_on_from_wrong_traces_and_nce_from_nat() -> None:
    assert ancestors(params(CHAIN).students, "nce") == ["nat", "wrong"]
    for name, start in (("nat", "base"), ("nat", "long"), ("nce", "wrong"), ("nce", "base")):
        with pytest.raises(ValidationError, match=f"students.{name}.from"):
            params({**CHAIN, name: {**CHAIN[name], "from": start}})
    with pytest.raises(ValidationError, match=r"students.more.from: 'nat' has objective nat; nce goes on from nat, and nothing else does"):
        params({**CHAIN, "more": {**BASE, "from": "nat"}})


def test_nat_goes_on_from_right_traces_where_that_is_asked_for_and_from_full_weights_never() -> None:
    lora = {"adapter": "lora"}
    right = {**BASE, "train": lora}
    with pytest.raises(ValidationError, match=r"students.nat.from: 'right' has not learnt wrong traces alone.*`upon: any`"):
        params({"right": right, "nat": {**CHAIN["nat"], "from": "right"}})
    control = {**CHAIN["nat"], "from": "right", "objective": {"kind": "nat", "upon": "any"}}
    assert ancestors(params({"right": right, "nat": control}).students, "nat") == ["right"]
    with pytest.raises(ValidationError, match="'right' is no LoRA, as nat needs"):
        params({"right": BASE, "nat": control})


def test_what_a_parent_decides_cannot_be_set_otherwise() -> None:
    lora = {"adapter": "lora"}
    with pytest.raises(ValidationError, match=r"lora_dropout: 0.5 and 0.0"):
        params({"one": {**BASE, "train": lora}, "next": {**BASE, "from": "one", "train": {**lora, "lora_dropout": 0.5}}})
    nat = {**CHAIN["nat"], "train": {**lora, "lora_targets": ["q_proj"]}}
    with pytest.raises(ValidationError, match="lora_targets"):
        params({"wrong": CHAIN["wrong"], "nat": nat})


def test_a_nat_student_has_no_strength_and_is_not_handed_off() -> None:
    values = params(CHAIN).model_dump(by_alias=True, mode="json")
    with pytest.raises(ValidationError, match="'nat' is a nat student, which has no weights on a line"):
        Params.model_validate({**values, "evaluate": values["evaluate"] | {"variants": {"half": {"of": "nat", "strength": 0.5}}}})
    with pytest.raises(ValidationError, match="'nat' has objective nat, so it cannot be served"):
        Params.model_validate({**values, "handoff": values["handoff"] | {"candidates": ["nat"]}})
    chain = Params.model_validate({**values, "handoff": values["handoff"] | {"candidates": None}})
    assert candidates(chain) == ["nce"], "nor is what imitates wrong traces"


def test_a_student_s_part_of_a_section_keeps_the_shared_rest() -> None:
    values = params({"next": {**REDI, "train": {"guard": {"max_drop": 3}}}}).model_dump(by_alias=True, mode="json")
    values["distill"]["training"]["guard"] = {"looks": 4}
    guard = training_of(Params.model_validate(values), "next").guard
    assert (guard.looks, guard.max_drop) == (4, 3)
