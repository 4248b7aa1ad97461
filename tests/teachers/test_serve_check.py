from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.chat import join
from data.errors import StageError
from teachers.chat_client import Question, Reply
from teachers.serve_check import Bounds, Expected, ServeReport, Tools, check_serving

EXACT, NEAR = Bounds(exact=True, logprob_difference=0.05), Bounds(exact=False, logprob_difference=0.05)
PROMPT = (1, 2, 3)


def extract(texts: Sequence[str]) -> list[str | None]:
    return [found[-1] if (found := re.findall(r"\\boxed\{(\d+)\}", text)) else None for text in texts]


TOOLS = Tools(lambda ids: "".join(map(chr, ids)), extract, lambda replies: [[-0.1] * len(reply.token_ids) for reply in replies])
"""Tokens are characters, and every one has a log-probability of -0.1."""


def text_of(number: int, thinking: str = "1 + 2 = 3") -> str:
    return join(thinking, f"The answer is \\boxed{{{number}}}.")


def expected(text: str, name: str = "p0") -> Expected:
    return Expected(name, Question("?"), PROMPT, text, len(text), extract([text])[0])


def reply(text: str, **other: object) -> Reply:
    thinking, _, answer = text.removeprefix("<think>").partition("</think>")
    own = Reply(thinking or None, answer or None, "stop", PROMPT, tuple(map(ord, text)), (-0.1,) * len(text))
    return own._replace(**other)  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.text("ab <>\n", max_size=8), st.integers(0, 99)), min_size=1, max_size=5))
def test_what_is_served_as_it_was_evaluated_passes(rows: list[tuple[str, int]]) -> None:
    texts = [text_of(number, thinking) for thinking, number in rows]
    found = check_serving([expected(text) for text in texts], [reply(text) for text in texts], EXACT, TOOLS)
    assert found == ServeReport(len(rows), len(rows), len(rows), 0.0)


def test_in_float32_one_other_token_fails_and_says_where() -> None:
    with pytest.raises(StageError, match=r"(?s)1 fault.*problem p1: from character 15 on '4</think>"):
        check_serving(
            [expected(text_of(3), "p0"), expected(text_of(3), "p1")],
            [reply(text_of(3)), reply(text_of(3, "1 + 2 = 4"))],
            EXACT,
            TOOLS,
        )


def test_equal_text_in_other_tokens_fails_in_float32() -> None:
    with pytest.raises(StageError, match="1 fault"):
        check_serving([expected(text_of(3))._replace(tokens=7)], [reply(text_of(3))], EXACT, TOOLS)


def test_in_other_formats_one_answer_in_twenty_may_differ_and_no_more() -> None:
    wanted = [expected(text_of(3), f"p{i}") for i in range(20)]
    served = [reply(text_of(3, "another way"))] * 19 + [reply(text_of(4))]
    assert check_serving(wanted, served, NEAR, TOOLS) == ServeReport(20, 0, 19, 0.0)
    with pytest.raises(StageError, match="answer '4' served, '3' evaluated"):
        check_serving(wanted, [reply(text_of(4)), *served[1:]], NEAR, TOOLS)


@pytest.mark.parametrize("bounds", [EXACT, NEAR])
@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"finish_reason": "length"}, "did not finish"),
        ({"prompt_ids": (1, 9, 3)}, r"3 prompt tokens served, 3 evaluated, first difference at 1; look at chat_template"),
        ({"reasoning": None, "content": text_of(3)}, "look at the reasoning parser"),
        ({"reasoning": "1 + 2 = 3 The answer", "content": None}, "look at the reasoning parser"),
        ({"logprobs": (-0.3,) * len(text_of(3))}, r"differ from transformers' by 0\.2 nats per token, 0\.05 is allowed"),
        ({"logprobs": (float("nan"),) * len(text_of(3))}, "by nan nats"),
    ],
)
def test_no_number_format_excuses(bounds: Bounds, other: dict[str, object], said: str) -> None:
    with pytest.raises(StageError, match=said):
        check_serving([expected(text_of(3))], [reply(text_of(3), **other)], bounds, TOOLS)


def test_a_text_without_tags_is_all_thinking_to_the_parser() -> None:
    text = "The answer is \\boxed{3}."
    check_serving([expected(text)], [reply(text, reasoning=text, content=None)], EXACT, TOOLS)


def test_a_thinking_that_is_closed_twice_is_served_without_the_second_tag() -> None:
    text = "<think>1 + 2 = 4.</think>No.</think> The answer is \\boxed{3}."
    served = reply(text, reasoning="1 + 2 = 4.", content="No. The answer is \\boxed{3}.")
    check_serving([expected(text)], [served], EXACT, TOOLS)
    with pytest.raises(StageError, match="look at the reasoning parser"):
        check_serving([expected(text)], [served._replace(content="No.")], EXACT, TOOLS)
