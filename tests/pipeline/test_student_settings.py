from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.support.params import Params, load
from pipeline.support.student_settings import Student

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
