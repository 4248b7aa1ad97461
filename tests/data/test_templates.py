import copy

import pytest

from data.checks import Severity
from data.tasks.lab_tokenizer import train_tokenizer
from data.templates import alike_findings, student_findings, teacher_findings

OPENED = "{{- '<|assistant|><think>' -}}"
GENERATE = "{{- '<|assistant|>' -}}"
PLAIN = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
"""Turns that have a header and no end."""


@pytest.fixture(scope="module")
def good():
    return train_tokenizer(documents=200)


@pytest.fixture
def trapped(good):
    """A tokenizer to plant traps in."""
    return copy.deepcopy(good)


def of_teacher(tokenizer):
    return list(teacher_findings(tokenizer, "sample.teacher", [tokenizer.eos_token_id]))


def of_student(tokenizer):
    return list(student_findings(tokenizer, "distill.base"))


def test_a_good_tokenizer_has_no_findings(good):
    assert of_teacher(good) == of_student(good) == []


@pytest.mark.parametrize(
    ("attribute", "message", "readers"),
    [
        ("chat_template", "no chat template", (of_student, of_teacher)),
        ("eos_token", "no end token", (of_student, of_teacher)),
        ("pad_token", "no pad token", (of_student,)),
    ],
)
def test_a_tokenizer_that_lacks_something_is_refused(trapped, attribute, message, readers):
    setattr(trapped, attribute, None)
    for reader in (of_student, of_teacher):
        assert any(message in finding.found for finding in reader(trapped)) == (reader in readers)


def test_a_template_that_ends_turns_with_another_token_is_refused_unless_the_model_stops_there(trapped):
    trapped.chat_template = trapped.chat_template.replace("<|end|>", "<|user|>")
    for found in (of_student(trapped), of_teacher(trapped)):
        assert "ends the assistant's turn with" in found[0].found and "never stops" in found[0].found
        assert found[0].severity is Severity.ERROR
    stops = [trapped.eos_token_id, trapped.convert_tokens_to_ids("<|user|>")]
    assert list(teacher_findings(trapped, "sample.teacher", stops)) == []


def test_a_template_without_a_generation_prompt_is_refused_where_the_assistants_turn_has_a_header(trapped):
    trapped.chat_template = trapped.chat_template.replace(GENERATE, "")
    for found in (of_student(trapped), of_teacher(trapped)):
        assert [(finding.severity, "has no generation prompt" in finding.found) for finding in found] == [(Severity.ERROR, True)]
        assert "'<|assistant|>' is left to the model" in found[0].found and "add_generation_prompt" in found[0].fix


def test_a_template_whose_user_turn_ends_where_the_answer_begins_needs_no_generation_prompt(trapped):
    trapped.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}"
        "{% endfor %}"
    )
    assert of_teacher(trapped) == []


def test_a_template_that_does_not_end_the_assistants_turn_is_a_warning(trapped):
    trapped.chat_template = PLAIN
    (of_it,) = of_teacher(trapped)
    assert of_it.severity is Severity.WARNING and "no token" in of_it.found and "eos_token behind the assistant's message" in of_it.fix
    assert of_it._replace(place="distill.base") in of_student(trapped)


def test_all_that_is_wrong_with_a_turn_is_said_at_once(trapped):
    trapped.chat_template = PLAIN.partition("{% if add")[0]
    assert [finding.severity for finding in of_teacher(trapped)] == [Severity.ERROR, Severity.WARNING]


def test_a_template_that_hides_the_answer_is_refused(trapped):
    trapped.chat_template = trapped.chat_template.replace("message['content']", "'…'")
    assert "does not show the assistant's message" in of_student(trapped)[0].found


NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"


@pytest.mark.parametrize("findings", [student_findings, lambda *given: teacher_findings(*given[:2], [given[0].eos_token_id], given[2])])
def test_a_template_without_system_messages_takes_an_instruction_around_the_question_alone(trapped, findings):
    trapped.chat_template = NO_SYSTEM + trapped.chat_template
    (finding,) = findings(trapped, "sample.teacher", "Think briefly.")
    assert finding.severity is Severity.ERROR and "System role not supported" in finding.found
    assert "put {question} into the instruction's file" in finding.fix
    assert list(findings(trapped, "sample.teacher", "Think briefly. {question}")) == list(findings(trapped, "sample.teacher", None)) == []


@pytest.mark.parametrize("template", ["{% if %}", "{{ raise_exception('never') }}", "{{ messages[0]['content'] + 1 }}"])
def test_a_template_that_cannot_be_rendered_is_refused(trapped, template):
    trapped.chat_template = template
    for found in (of_student(trapped), of_teacher(trapped)):
        assert ["the chat template refuses messages of user: " in finding.found for finding in found] == [True]


def test_a_template_that_shows_the_assistant_otherwise_when_generating_is_a_warning(trapped):
    trapped.chat_template = trapped.chat_template.replace(GENERATE, "{{- '<|assistant|> ' -}}")
    assert [(finding.severity, "when it is asked" in finding.found) for finding in of_student(trapped)] == [(Severity.WARNING, True)]


def test_a_template_that_opens_the_thinking_doubles_the_tag_of_students_and_not_of_teachers(trapped):
    trapped.chat_template = trapped.chat_template.replace(GENERATE, OPENED)
    assert ["doubled tags" in finding.found for finding in of_student(trapped)] == [True]
    assert of_teacher(trapped) == []


def test_a_template_that_closes_the_thinking_of_a_teacher_is_a_warning(trapped):
    trapped.chat_template = trapped.chat_template.replace(GENERATE, "{{- '<|assistant|><think></think>' -}}")
    assert [(finding.severity, "will not think" in finding.found) for finding in of_teacher(trapped)] == [(Severity.WARNING, True)]


@pytest.mark.parametrize("name", ["eos_token", "pad_token"])
def test_a_think_tag_that_ends_turns_or_pads_rows_is_refused(trapped, name):
    setattr(trapped, name, "</think>")
    assert any("</think> holds a token that ends a turn or pads a row" in finding.found for finding in of_student(trapped))


def test_a_tokenizer_that_changes_text_is_refused(trapped):
    from tokenizers import normalizers

    trapped.backend_tokenizer.normalizer = normalizers.Lowercase()
    assert any("does not give the completion back" in finding.found for finding in of_student(trapped))


def test_tokenizers_are_the_same_by_content_and_not_by_size(good, trapped):
    assert list(alike_findings(good, trapped, "p")) == []
    other = train_tokenizer(documents=60, seed=5)
    (finding,) = alike_findings(good, other, "students.kd.from")
    assert finding.severity is Severity.ERROR and "tokens differ" in finding.found and "learn from texts" in finding.fix
    (finding,) = alike_findings(good, train_tokenizer(documents=200, vocabulary=400), "p")
    assert f"({len(good)} tokens)" in finding.found


def test_the_same_tokens_cut_otherwise_are_refused(good, trapped):
    from tokenizers import models

    trapped.backend_tokenizer.model = models.BPE(vocab=trapped.get_vocab(), merges=[])
    (finding,) = alike_findings(good, trapped, "p")
    assert "differently" in finding.found
