import copy
import shutil

import pytest
from transformers import DataCollatorForLanguageModeling, DataCollatorWithFlattening, LlamaConfig

from data.checks import Severity
from data.errors import PreflightError
from data.records import Lesson
from data.tables import read_all
from students.launch import train
from students.models import Precision
from students.preflight import (
    collator_findings,
    fit_findings,
    label_findings,
    overlong_findings,
    round_trip_findings,
    row_findings,
    training_findings,
)
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


def said(findings):
    """The one finding, which must be an error."""
    (finding,) = findings
    assert finding.severity is Severity.ERROR
    return str(finding)


def test_good_rows_pass_and_bad_ones_behind_them_are_one_finding(rows, tokenizer):
    assert row_findings(rows, tokenizer, instruction=INSTRUCTION) == []
    masked = [row._replace(labels=[IGNORED] * len(row.labels)) for row in rows[-2:]]
    found = row_findings([*rows, *masked], tokenizer, instruction=INSTRUCTION)
    assert str(found[0]).startswith("trace t4 (and 1 more): 0% of its tokens are supervised")


def test_a_row_cut_before_its_end_token_is_refused(rows, tokenizer):
    cut = rows[0]._replace(input_ids=rows[0].input_ids[:-1], labels=rows[0].labels[:-1])
    assert "trace t0: the end token '<|end|>' must be the last supervised label and occur once, found it 0 time" in said(
        label_findings(cut, tokenizer)
    )


def test_a_masked_end_token_is_refused(rows, tokenizer):
    masked = rows[1]._replace(labels=[*rows[1].labels[:-1], IGNORED])
    assert "trace t1: the end token" in said(label_findings(masked, tokenizer))


def test_an_end_token_inside_the_completion_is_refused(tokenizer, make_lesson):
    (row,) = encode([make_lesson(1, completion="<think>1<|end|>2</think>3")], tokenizer, Training()).rows
    assert "found it 2 time(s)" in said(label_findings(row, tokenizer))


@pytest.mark.parametrize("everything", [True, False])
def test_all_or_nothing_supervised_is_refused(rows, tokenizer, everything):
    labels = list(rows[2].input_ids) if everything else [IGNORED] * len(rows[2].labels)
    assert f"trace t2: {'100' if everything else '0'}% of its tokens" in said(label_findings(rows[2]._replace(labels=labels), tokenizer))


def test_labels_that_are_shifted_already_are_refused(rows, tokenizer):
    row = rows[3]
    shifted = [*row.labels[1:-1], row.input_ids[5], row.labels[-1]]
    assert "trace t3: a label differs" in said(label_findings(row._replace(labels=shifted), tokenizer))


def test_a_prompt_other_than_the_served_one_is_refused(rows, tokenizer):
    found = said(round_trip_findings(rows[0], tokenizer, None))
    assert "trace t0: training and serving render differently from token" in found


def test_a_row_of_another_completion_is_refused(rows, tokenizer):
    found = said(round_trip_findings(rows[4]._replace(completion=rows[3].completion), tokenizer, INSTRUCTION))
    assert "trace t4: the tokenizer does not give the completion back" in found


def test_a_template_that_opens_the_thinking_itself_is_refused_where_completions_open_it_too(trapped, make_lesson):
    trapped.chat_template = trapped.chat_template.replace("{{- '<|assistant|>' -}}", "{{- '<|assistant|><think>' -}}")
    (row,) = encode([make_lesson(2)], trapped, Training()).rows
    assert "doubled tags" in said(round_trip_findings(row, trapped, None))


def test_a_template_that_drops_old_thinking_is_allowed(trapped, make_lesson):
    trapped.chat_template = trapped.chat_template.replace("message['content']", "message['content'].split('</think>')[-1]")
    lesson = make_lesson(2)
    told = [{"role": "user", "content": lesson.question}, {"role": "assistant", "content": lesson.completion}]
    assert "</think>" not in trapped.apply_chat_template(told, tokenize=False)
    assert row_findings(encode([lesson], trapped, Training()).rows, trapped) == []


def test_a_collator_that_masks_by_pad_id_is_refused_where_pad_is_the_end_token(rows, trapped):
    trapped.pad_token = trapped.eos_token
    by_token = DataCollatorForLanguageModeling(trapped, mlm=False)
    found = list(collator_findings(lambda batch: by_token([{"input_ids": row["input_ids"]} for row in batch]), rows, trapped))
    assert found and all("masked by position" in finding.fix for finding in found)


def test_rows_that_are_packed_are_refused_by_the_collator_and_by_the_settings(rows, tokenizer):
    assert "1 row(s) of two" in said(collator_findings(DataCollatorWithFlattening(return_tensors="pt"), rows, tokenizer))
    with pytest.raises(ValueError, match="packing"):
        Training.model_validate({"packing": True})


def test_tokens_and_lengths_outside_of_the_model_are_refused(rows):
    top = max(max(row.input_ids) for row in rows)
    assert fit_findings(rows, LlamaConfig(vocab_size=top + 1)) == []
    assert "vocabulary" in said(fit_findings(rows, LlamaConfig(vocab_size=top)))
    assert "(and 5 more)" in said(fit_findings(rows, LlamaConfig(vocab_size=top + 1, max_position_embeddings=16)))


LONG = "<think>" + "5 + 5 = 10. " * 60 + "</think>10"


@pytest.mark.parametrize(
    "case",
    [
        (199, 1, 0.05, []),
        (90, 3, 0.05, [Severity.WARNING]),
        (9, 1, 0.1, [Severity.WARNING]),
        (9, 1, 0.05, [Severity.ERROR]),
        (0, 2, 1.0, [Severity.ERROR]),
    ],
)
def test_the_share_of_rows_that_are_too_long_is_said_and_bounded(tokenizer, make_lesson, case):
    whole, long, bound, severities = case
    training = Training(max_length=128, max_overlong=bound)
    lessons = [make_lesson(n) for n in range(whole)] + [make_lesson(n + whole, completion=LONG) for n in range(long)]
    encoded = encode(lessons, tokenizer, training)
    found = list(overlong_findings(encoded, training))
    assert [finding.severity for finding in found] == severities
    assert len(encoded.rows) == whole
    words = (f"{long} of {whole + long} rows", "max_length: 128", f"trace t{whole}")
    assert all(word in finding.found for finding in found for word in words)


def test_a_training_is_refused_with_all_that_is_wrong_before_weights_are_loaded(make_job, base, tmp_path):
    trap = tmp_path / "trap"
    shutil.copytree(base, trap)
    (trap / "model.safetensors").unlink()
    template = trap / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|end|>", "<|user|>"))
    job = make_job(rows=8, max_length=16).model_copy(update={"base": trap})
    with pytest.raises(PreflightError, match=r"(?s)ends the assistant's turn with .*8 of 8 rows \(100\.0%\)"):
        train(job)


def test_probabilities_of_a_start_with_other_tokens_are_not_compared(make_job, tokenizer, trapped, tmp_path):
    trapped.add_tokens(["<new>"])
    trapped.save_pretrained(tmp_path / "start")
    job = make_job(rows=4).model_copy(update={"start": tmp_path / "start"})
    encoded = encode(read_all(job.lessons, Lesson), tokenizer, job.training)
    found = training_findings(job, encoded, tokenizer, Precision("fp32", "test"))
    assert "students.*.from: 1 tokens differ" in said(found)
