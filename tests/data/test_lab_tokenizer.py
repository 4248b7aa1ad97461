"""The lab's tokenizer: digits apart, think tags whole, texts unchanged by a round trip."""

from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.chat import completion_ids, prompt_ids, text_ids
from data.tasks.lab import NAMES, generate
from data.tasks.lab_tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(documents=400)


def test_every_digit_is_a_token(tokenizer):
    assert len(text_ids(tokenizer, "1234")) == 4
    assert len(text_ids(tokenizer, "has 47 eggs")) == len(text_ids(tokenizer, "has eggs")) + 2


def test_a_name_is_one_token_at_the_start_and_inside(tokenizer):
    for name in NAMES:
        assert text_ids(tokenizer, name) == text_ids(tokenizer, f"has {name}")[1:]


def test_think_tags_and_the_end_are_single_tokens(tokenizer):
    ids = completion_ids(tokenizer, "<think>a</think>b")
    assert ids[0] == tokenizer.convert_tokens_to_ids("<think>")
    assert tokenizer.convert_tokens_to_ids("</think>") in ids
    assert ids[-1] == tokenizer.eos_token_id != tokenizer.pad_token_id


def test_the_prompt_ends_where_the_assistant_begins(tokenizer):
    ids = prompt_ids(tokenizer, "How many?", "Be brief.")
    assert tokenizer.decode(ids) == "<|system|> Be brief.<|end|><|user|> How many?<|end|><|assistant|>"


def test_training_is_deterministic(tokenizer):
    assert train_tokenizer(documents=400).get_vocab() == tokenizer.get_vocab()


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=80))
def test_tokens_decode_to_text_that_encodes_to_the_same_tokens(tokenizer, text):
    ids = text_ids(tokenizer, text)
    assert text_ids(tokenizer, tokenizer.decode(ids)) == ids


def test_questions_survive_a_round_trip(tokenizer):
    for problem in islice(generate("train", seed=0), 50):
        assert tokenizer.decode(text_ids(tokenizer, problem.question)).strip() == problem.question
