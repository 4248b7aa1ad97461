"""The chat format under a tokenizer that does not know the think tags."""

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from data.chat import Format, begin_answer, join, messages, tagged, tagged_instruction, text_ids
from data.errors import TextFormatError

THINKING, ANSWER = "2 + 3 = 5.", "The answer is 5."


@pytest.fixture(scope="module")
def tokenizer():
    """A byte-level BPE that, like Qwen2.5's, lets a word begin with a sign, and has learnt `>The` as one token."""
    core = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(r"[^\p{L}\p{N}]?\p{L}+|\p{N}|[^\s\p{L}\p{N}]+|\s+"), "isolated")
    core.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    core.train_from_iterator(["<b>The</b>The"] * 50, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core)


def test_going_on_after_a_thinking_continues_the_tokens_of_training(tokenizer):
    assert len(tokenizer(">The")["input_ids"]) == 1
    whole = text_ids(tokenizer, join(THINKING, ANSWER))
    assert whole == text_ids(tokenizer, begin_answer(THINKING, Format.THINK)) + text_ids(tokenizer, ANSWER)
    assert tokenizer.decode(whole) == join(THINKING, ANSWER)


def test_an_instruction_with_a_place_for_the_question_is_the_users_message():
    assert messages("1 + 1?", "Be brief.") == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}]
    assert messages("1 + {x}?", "Solve {question} now.") == [{"role": "user", "content": "Solve 1 + {x}? now."}]


@pytest.mark.parametrize("instruction", [None, "Solve {question} now."])
def test_a_tagged_student_is_served_as_it_was_trained(instruction):
    asked = tagged_instruction(instruction, "Short.")
    assert messages("1 + 1?", asked) == messages(tagged("1 + 1?", "Short."), instruction)
    assert tagged_instruction(instruction, None) == instruction
    assert tagged("1 + 1?", None) == "1 + 1?"


def test_a_tag_has_no_place_in_a_system_message():
    with pytest.raises(TextFormatError, match="found a system message: 'Be brief"):
        tagged_instruction("Be brief.", "Short.")
