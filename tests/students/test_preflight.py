import copy

import pytest
from transformers import DataCollatorForLanguageModeling, LlamaConfig

from data.errors import PreflightError
from students.preflight import check_collator, check_fits, check_labels, check_round_trip, check_tokenizer, preflight
from students.rows import IGNORED, encode
from students.settings import Training

INSTRUCTION = "Think briefly."


@pytest.fixture
def trapped(tokenizer):
    """A tokenizer to plant traps in."""
    return copy.deepcopy(tokenizer)


@pytest.fixture
def rows(tokenizer, make_lesson):
    return encode([make_lesson(n) for n in range(6)], tokenizer, Training(), instruction=INSTRUCTION).rows


def test_good_rows_pass_and_one_bad_row_behind_them_does_not(rows, tokenizer):
    preflight(rows, tokenizer, instruction=INSTRUCTION)
    unsupervised = rows[-1]._replace(labels=[IGNORED] * len(rows[-1].labels))
    with pytest.raises(PreflightError):
        preflight([*rows, unsupervised], tokenizer, instruction=INSTRUCTION)


@pytest.mark.parametrize(
    ("attribute", "message"), [("chat_template", "chat template"), ("pad_token", "pad token"), ("eos_token", "end token")]
)
def test_a_tokenizer_that_lacks_something_is_refused(trapped, attribute, message):
    setattr(trapped, attribute, None)
    with pytest.raises(PreflightError, match=f"no {message}"):
        check_tokenizer(trapped)


def test_a_template_that_ends_turns_with_another_token_is_refused(trapped):
    trapped.chat_template = trapped.chat_template.replace("<|end|>", "<|user|>")
    with pytest.raises(PreflightError, match=r"ends the assistant's turn with '.*user.*eos_token is '<\|end\|>'"):
        check_tokenizer(trapped)


def test_a_row_cut_before_its_end_token_is_refused(rows, tokenizer):
    cut = rows[0]._replace(input_ids=rows[0].input_ids[:-1], labels=rows[0].labels[:-1])
    with pytest.raises(PreflightError, match=r"trace t0: the end token .* 0 time"):
        check_labels(cut, tokenizer)


def test_a_masked_end_token_is_refused(rows, tokenizer):
    masked = rows[1]._replace(labels=[*rows[1].labels[:-1], IGNORED])
    with pytest.raises(PreflightError, match="trace t1: the end token"):
        check_labels(masked, tokenizer)


def test_an_end_token_inside_the_completion_is_refused(tokenizer, make_lesson):
    (row,) = encode([make_lesson(1, completion="<think>1<|end|>2</think>3")], tokenizer, Training()).rows
    with pytest.raises(PreflightError, match=r"trace t1: .* 2 time"):
        check_labels(row, tokenizer)


@pytest.mark.parametrize("everything", [True, False])
def test_all_or_nothing_supervised_is_refused(rows, tokenizer, everything):
    row = rows[2]
    with pytest.raises(PreflightError, match=f"trace t2: {'100' if everything else '0'}% of its tokens"):
        check_labels(row._replace(labels=list(row.input_ids) if everything else [IGNORED] * len(row.labels)), tokenizer)


def test_labels_that_are_shifted_already_are_refused(rows, tokenizer):
    row = rows[3]
    shifted = [*row.labels[1:-1], row.input_ids[5], row.labels[-1]]
    with pytest.raises(PreflightError, match="trace t3: a label differs"):
        check_labels(row._replace(labels=shifted), tokenizer)


def test_a_prompt_other_than_the_served_one_is_refused(rows, tokenizer):
    with pytest.raises(PreflightError, match="trace t0: training and serving render differently from token"):
        check_round_trip(rows[0], tokenizer, None)


def test_a_template_that_shows_the_assistant_otherwise_when_generating_is_refused(rows, trapped):
    trapped.chat_template = trapped.chat_template.replace("{{- '<|assistant|>' -}}", "{{- '<|assistant|> ' -}}")
    with pytest.raises(PreflightError, match="training and serving render differently"):
        check_round_trip(rows[0], trapped, INSTRUCTION)


def test_a_row_of_another_completion_is_refused(rows, tokenizer):
    with pytest.raises(PreflightError, match="trace t4: the tokenizer does not give the completion back"):
        check_round_trip(rows[4]._replace(completion=rows[3].completion), tokenizer, INSTRUCTION)


def test_a_template_that_opens_the_thinking_itself_is_refused_where_completions_open_it_too(trapped, make_lesson):
    trapped.chat_template = trapped.chat_template.replace("{{- '<|assistant|>' -}}", "{{- '<|assistant|><think>' -}}")
    (row,) = encode([make_lesson(2)], trapped, Training()).rows
    with pytest.raises(PreflightError, match="doubled tags"):
        check_round_trip(row, trapped, None)


def test_a_template_that_drops_old_thinking_is_allowed(trapped, make_lesson):
    trapped.chat_template = trapped.chat_template.replace("message['content']", "message['content'].split('</think>')[-1]")
    lesson = make_lesson(2)
    told = [{"role": "user", "content": lesson.question}, {"role": "assistant", "content": lesson.completion}]
    assert "</think>" not in trapped.apply_chat_template(told, tokenize=False)
    (row,) = encode([lesson], trapped, Training()).rows
    preflight([row], trapped)


def test_a_collator_that_masks_by_pad_id_is_refused_where_pad_is_the_end_token(rows, trapped):
    trapped.pad_token = trapped.eos_token
    by_token = DataCollatorForLanguageModeling(trapped, mlm=False)
    with pytest.raises(PreflightError, match="masked by position"):
        check_collator(lambda batch: by_token([{"input_ids": row["input_ids"]} for row in batch]), rows, trapped)


def test_tokens_outside_of_the_model_are_refused(rows):
    top = max(max(row.input_ids) for row in rows)
    check_fits(rows, LlamaConfig(vocab_size=top + 1))
    with pytest.raises(PreflightError, match="vocabulary"):
        check_fits(rows, LlamaConfig(vocab_size=top))
    with pytest.raises(PreflightError, match="positions"):
        check_fits(rows, LlamaConfig(vocab_size=top + 1, max_position_embeddings=16))
