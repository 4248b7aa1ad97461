"""Settings of the columns that hold a problem and its gold answer."""

from __future__ import annotations

from collections import Counter
from typing import Literal, Self

from pydantic import Field, model_validator

from data.records import Section
from data.verifiers import label

OWN = {"choice": ("options", "gold"), "label": ("labels",), "code": ("tests", "preamble", "entry_point", "call")}
"""Verifier → the settings that it alone has; the first is needed."""


NEEDED = {
    "choice": "the column with the list of options, or a list of columns",
    "label": "the labels, each with a list of further spellings",
    "code": "the column with Python that raises where a program is wrong",
}


class Columns(Section):
    """Which columns hold a problem, and how its answer is judged."""

    question: str = "question"
    answer: str = "answer"
    """Column of the gold answer. Of a number or an expression behind a rationale (GSM8K), the text after `####` counts; of code, it holds
    a program that passes, or what stands behind `preamble` in one."""
    verifier: Literal["number", "math", "choice", "label", "exact", "code"] = "number"
    id: str | None = None
    """Column of the problem's id, which each row of all parts has of its own; null: ids are made from the content."""
    language: str | None = None
    """Column of the question's language (`en`, `de`, …); null: English."""
    options: str | tuple[str, ...] | None = Field(None, min_length=1)
    """choice: one column per option, or a column with all of them: a list, name → text, or lists named `label` and `text`. The question
    lists them, shuffled per problem and lettered anew."""
    gold: Literal["letter", "text", "index_from_0", "index_from_1"] = "letter"
    """choice: how the answer column names the right option. `letter` is A, B, C, … in the order of the columns or the list, or the option's
    own name where the data gives names."""
    labels: dict[str, tuple[str, ...]] | None = Field(None, min_length=2)
    """label: label → its further spellings; the answer column holds any of them (a bool is spelled true or false)."""
    tests: str | None = None
    """code: column of Python that raises where a program is wrong: a text, or a list of them."""
    preamble: str | None = None
    """code: column of what stands before a program that does not define the entry point itself; needs `entry_point`."""
    entry_point: str | None = None
    """code: column of the name of the function that a program must define."""
    call: str | None = None
    """code: stands behind the tests, `{entry_point}` filled in: `check({entry_point})` for HumanEval."""

    @model_validator(mode="after")
    def _settings_are_of_the_verifier(self) -> Self:
        fields = Columns.model_fields
        for verifier, names in OWN.items():
            if self.verifier == verifier and getattr(self, names[0]) is None:
                raise ValueError(f"verifier: {verifier} needs `{names[0]}`: {NEEDED[verifier]}")
            given = [name for name in names if getattr(self, name) != fields[name].default]
            if given and self.verifier != verifier:
                raise ValueError(f"{given[0]}: only for `verifier: {verifier}`, found {self.verifier}; leave it out")
        if self.entry_point is None and (self.preamble is not None or "{entry_point}" in (self.call or "")):
            raise ValueError("preamble and call: which function a program must define is not known; name its column in `entry_point`")
        return self

    @model_validator(mode="after")
    def _spellings_tell_labels_apart(self) -> Self:
        spelled = Counter(label.plain(text) for name, others in (self.labels or {}).items() for text in {name, *others})
        if twice := sorted(text for text, number in spelled.items() if number > 1 or not text):
            raise ValueError(f"labels: {twice} is empty or spells two labels; each spelling must belong to one")
        return self


def plain(text: str) -> str:
    """`text` without case and with single spaces: how labels and options are compared."""
    return " ".join(text.split()).casefold()
