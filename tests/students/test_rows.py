from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from data.chat import completion_ids, prompt_ids
from data.errors import StageError
from data.records import Role
from students.rows import IGNORED, OVERLONG, encode, steps_of, supervised, training_order
from students.settings import Training


def settings(**values):
    return Training.model_validate({"batch_rows": 4, "micro_batch_rows": 4, **values})


def test_the_prompt_is_masked_and_the_completion_with_its_end_is_learnt(tokenizer, make_lesson):
    lesson = make_lesson(3)
    (row,), dropped = encode([lesson], tokenizer, settings(), instruction="Think briefly.")
    prompt = prompt_ids(tokenizer, lesson.question, "Think briefly.")
    assert row.input_ids == prompt + completion_ids(tokenizer, lesson.completion)
    assert row.labels[: len(prompt)] == [IGNORED] * len(prompt)
    assert supervised(row) == completion_ids(tokenizer, lesson.completion)
    assert row.labels[-1] == tokenizer.eos_token_id
    assert not dropped


def test_only_positive_lessons_become_rows(tokenizer, make_lesson):
    encoded = encode([make_lesson(1), make_lesson(2, role=Role.DROPPED)], tokenizer, settings())
    assert [row.trace_id for row in encoded.rows] == ["t1"]


def test_long_rows_are_dropped_and_counted_and_the_others_are_whole(tokenizer, make_lesson):
    lessons = [make_lesson(n) for n in range(9)] + [make_lesson(9, completion="<think>" + "5 + 5 = 10. " * 60 + "</think>10")]
    encoded = encode(lessons, tokenizer, settings(max_length=128, max_overlong=0.1))
    assert encoded.dropped == Counter({OVERLONG: 1})
    assert [row.trace_id for row in encoded.rows] == [f"t{n}" for n in range(9)]
    assert all(row.labels[-1] == tokenizer.eos_token_id for row in encoded.rows)


def test_too_many_long_rows_stop_the_stage_and_name_the_longest(tokenizer, make_lesson):
    lessons = [make_lesson(n) for n in range(9)] + [make_lesson(9, completion="5 + 5 = 10. " * 60)]
    with pytest.raises(StageError, match=r"1 of 10 rows \(10\.0%\).*max_length: 128.*t9"):
        encode(lessons, tokenizer, settings(max_length=128, max_overlong=0.05))


def test_even_a_bound_of_all_rows_leaves_something_to_train(tokenizer, make_lesson):
    with pytest.raises(StageError, match="1 of 1 rows"):
        encode([make_lesson(1)], tokenizer, settings(max_length=16, max_overlong=1.0))


def test_no_positive_lesson_is_an_error(tokenizer, make_lesson):
    with pytest.raises(StageError, match="nothing to train"):
        encode([make_lesson(1, role=Role.DROPPED)], tokenizer, settings())


LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=300)


@settings_of(max_examples=40, deadline=None)
@given(LENGTHS, st.sampled_from([1, 4, 32]), st.floats(0.1, 4), st.integers(0, 5))
def test_order_has_whole_batches_and_sees_rows_equally_often(lengths, batch, epochs, seed):
    training = settings(batch_rows=batch, micro_batch_rows=1, epochs=epochs)
    order = training_order(lengths, training, seed=seed)
    assert len(order) == steps_of(len(lengths), training) * batch
    seen = Counter(order)
    times = [seen[row] for row in range(len(lengths))]
    assert max(times) - min(times) <= 1
    assert order == training_order(lengths, training, seed=seed)


def test_rows_of_a_batch_have_similar_lengths_and_lengths_do_not_drift():
    lengths = [50 + (7919 * i) % 250 for i in range(2000)]
    order = training_order(lengths, settings(batch_rows=32, micro_batch_rows=32, epochs=2), seed=0)
    batches = [[lengths[i] for i in order[k : k + 32]] for k in range(0, len(order), 32)]
    padded, real = sum(max(b) * len(b) for b in batches), sum(map(sum, batches))
    assert padded / real < 1.1
    means = [sum(b) / len(b) for b in batches]
    halves = sum(means[: len(means) // 2]), sum(means[len(means) // 2 :])
    assert abs(halves[0] / halves[1] - 1) < 0.1
    assert means[:16] != sorted(means[:16])


def test_another_seed_is_another_order():
    lengths = [10] * 64
    assert training_order(lengths, settings(), seed=0) != training_order(lengths, settings(), seed=1)
