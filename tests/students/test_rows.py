from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as settings_of
from hypothesis import strategies as st

from data.chat import completion_ids, prompt_ids
from data.errors import ParamsError, StageError
from data.records import Role
from students.preflight import label_findings
from students.rows import IGNORED, OVERLONG, Row, encode, from_fork, layout, steps_of, supervised, training_order
from students.settings import Training


def settings(**values):
    return Training.model_validate({"batch_rows": 4, "micro_batch_rows": 4, **values})


def test_the_prompt_is_masked_and_the_completion_with_its_end_is_learnt(tokenizer, make_lesson):
    lesson = make_lesson(3)
    (row,), dropped, longest = encode([lesson], tokenizer, settings(), instruction="Think briefly.")
    prompt = prompt_ids(tokenizer, lesson.question, "Think briefly.")
    assert row.input_ids == prompt + completion_ids(tokenizer, lesson.completion)
    assert row.labels[: len(prompt)] == [IGNORED] * len(prompt)
    assert supervised(row) == completion_ids(tokenizer, lesson.completion)
    assert row.labels[-1] == tokenizer.eos_token_id
    assert not dropped and longest == ("t3", len(row.input_ids))


def test_dropped_lessons_become_no_rows_and_wrong_ones_are_known(tokenizer, make_lesson):
    lessons = [make_lesson(n, role=role) for n, role in enumerate(Role)]
    rows = encode(lessons, tokenizer, settings()).rows
    assert [(row.trace_id, row.wrong) for row in rows] == [("t0", False), ("t1", True), ("t2", False), ("t3", True)]


def test_a_text_that_was_cut_teaches_no_end(tokenizer, make_lesson):
    (row,), *_ = encode([make_lesson(3, role=Role.NEGATIVE).model_copy(update={"ends": False})], tokenizer, settings())
    assert tokenizer.eos_token_id not in supervised(row)
    assert list(label_findings(row, tokenizer)) == []
    ended = row._replace(labels=[*row.labels, tokenizer.eos_token_id], input_ids=[*row.input_ids, tokenizer.eos_token_id])
    assert ["must not teach the end token" in finding.found for finding in label_findings(ended, tokenizer)] == [True]


def paired(make_lesson, pairs):
    roles = (Role.CHOSEN, Role.REJECTED)
    return [
        make_lesson(2 * n + side, role=roles[side]).model_copy(update={"problem_id": "p", "pair": n})
        for n in range(pairs)
        for side in range(2)
    ]


def test_both_sides_of_a_pair_share_a_batch(tokenizer, make_lesson):
    rows = encode(paired(make_lesson, 9), tokenizer, settings()).rows
    order = layout(rows, settings(epochs=2), seed=0)
    assert len(order) == 2 * 18 // 4 * 4
    assert all(rows[order[k]].pair == rows[order[k + 1]].pair and rows[order[k + 1]].wrong for k in range(0, len(order), 2))
    with pytest.raises(ParamsError, match="batch_rows: 3 divides pairs"):
        layout(rows, settings(batch_rows=3, micro_batch_rows=3), seed=0)


def test_a_pair_with_one_side_too_long_is_dropped_whole(tokenizer, make_lesson):
    lessons = paired(make_lesson, 9)
    lessons[4] = lessons[4].model_copy(update={"completion": "<think>" + "5 + 5 = 10. " * 60 + "</think>10"})
    encoded = encode(lessons, tokenizer, settings(max_length=128, max_overlong=0.2))
    assert encoded.dropped == Counter({OVERLONG: 2})
    assert ("p", 2) not in {row.pair for row in encoded.rows} and len(encoded.rows) == 16


def test_long_rows_are_dropped_and_counted_and_the_others_are_whole(tokenizer, make_lesson):
    lessons = [make_lesson(n) for n in range(9)] + [make_lesson(9, completion="<think>" + "5 + 5 = 10. " * 60 + "</think>10")]
    encoded = encode(lessons, tokenizer, settings(max_length=128, max_overlong=0.1))
    assert encoded.dropped == Counter({OVERLONG: 1})
    assert [row.trace_id for row in encoded.rows] == [f"t{n}" for n in range(9)]
    assert all(row.labels[-1] == tokenizer.eos_token_id for row in encoded.rows)


def test_nothing_but_dropped_lessons_is_an_error(tokenizer, make_lesson):
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


def plain_row(tokens, *, wrong, question="q", prompt=2):
    return Row("t", question, "", tokens, [IGNORED] * prompt + tokens[prompt:], wrong)


def test_a_wrong_row_is_learnt_from_where_it_leaves_every_right_row():
    right = [plain_row([1, 2, 3, 4, 5, 9], wrong=False), plain_row([1, 2, 3, 6, 9], wrong=False)]
    wrong, stranger = plain_row([1, 2, 3, 6, 7, 8, 9], wrong=True), plain_row([1, 2, 3, 6, 9], wrong=True, question="another")
    assert [row.labels for row in from_fork([*right, wrong, stranger], alone=False)] == [
        *(row.labels for row in right),
        [IGNORED] * 4 + [7, 8, 9],
        stranger.labels,
    ]
    assert [supervised(row) for row in from_fork([*right, wrong, stranger], alone=True)[2:]] == [[7], [3]]


def test_a_wrong_row_that_a_right_one_goes_on_from_is_not_learnt():
    rows = [plain_row([1, 2, 3, 4], wrong=False), plain_row([1, 2, 3], wrong=True)]
    assert supervised(from_fork(rows, alone=False)[1]) == []


tokens = st.lists(st.integers(0, 2), min_size=3, max_size=8)


@given(st.lists(tokens, max_size=4), tokens)
def test_from_its_fork_on_a_wrong_row_has_what_no_right_row_has(right, wrong):
    rows = from_fork([*(plain_row(row, wrong=False) for row in right), plain_row(wrong, wrong=True)], alone=False)
    labels = rows[-1].labels
    fork = labels.count(IGNORED)
    assert labels == [IGNORED] * fork + wrong[fork:]
    assert all(row[: fork + 1] != wrong[: fork + 1] or fork == len(wrong) for row in right)
    assert fork == 2 or any(row[:fork] == wrong[:fork] for row in right)
