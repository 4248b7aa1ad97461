"""Known traps of tokenizers and chat templates, the same for teachers and students.

A model that never stops since its turns end otherwise than it stops, a prompt that training renders differently from serving, think
tags that are lost or doubled, and two models whose tokens mean different things.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from data.chat import CLOSE, OPEN, completion_ids, join, messages, prompt_ids, text_ids
from data.chat import QUESTION as MARK
from data.checks import Finding, error, warning

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

QUESTION = "What is 3 + 4?"
PROBE = join("3 + 4 = 7. So it is 7.", "The answer is 7.")
SPLIT_ALIKE = (QUESTION, PROBE, "def f(x):\n    return x ** 2  # 12345.678", "Größe: ½ × 3, “naïve” — 日本 🙂")
"""Texts that two tokenizers with the same vocabulary may still cut differently."""


class Said(NamedTuple):
    """A question and what is written to it, as texts and in the tokens that a model is trained on or asked with."""

    question: str
    instruction: str | None
    completion: str
    prompt_ids: list[int]
    completion_ids: list[int]
    ends: bool = True
    """Whether the completion ends with the end token."""


def student_findings(tokenizer: PreTrainedTokenizerBase, place: str, instruction: str | None = None) -> Iterator[Finding]:
    """Of a tokenizer that a student is trained with; it stops at its end token alone."""
    if found := list(_lacking(tokenizer, place, pad=True)) or list(_refused(tokenizer, place, instruction)):
        yield from found
        return
    yield from _turn(tokenizer, place, {int(tokenizer.eos_token_id)})
    yield from _tags(tokenizer, place, {int(tokenizer.eos_token_id)})
    asked = prompt_ids(tokenizer, QUESTION, instruction)
    yield from round_trip(tokenizer, Said(QUESTION, instruction, PROBE, asked, completion_ids(tokenizer, PROBE)), place)


def teacher_findings(
    tokenizer: PreTrainedTokenizerBase, place: str, stops: Collection[int], instruction: str | None = None
) -> Iterator[Finding]:
    """Of a tokenizer that a model writes with; it stops at any of `stops`. The template may open the thinking itself."""
    if found := list(_lacking(tokenizer, place, pad=False)) or list(_refused(tokenizer, place, instruction)):
        yield from found
        return
    yield from _turn(tokenizer, place, stops)
    yield from _tags(tokenizer, place, stops)
    asked = prompt_ids(tokenizer, QUESTION, instruction)
    tail = _text(tokenizer, asked).rstrip()
    if tail.endswith(CLOSE):
        found_closed = f"the chat template ends the prompt with {tail[-20:]!r}, so the model will not think"
        yield warning(place, found_closed, "use the template that lets it think")
    text = PROBE.partition(OPEN)[2] if tail.endswith(OPEN) else PROBE.partition(CLOSE)[2] if tail.endswith(CLOSE) else PROBE
    # Its turn may end with any of `stops`, so the end is not compared.
    yield from round_trip(tokenizer, Said(QUESTION, instruction, text, asked, text_ids(tokenizer, text), ends=False), place)


def _lacking(tokenizer: PreTrainedTokenizerBase, place: str, *, pad: bool) -> Iterator[Finding]:
    needs = [
        (tokenizer.chat_template, "chat template", "add chat_template.jinja to the model folder"),
        (tokenizer.eos_token_id, "end token", "set eos_token in tokenizer_config.json, to what ends an assistant's turn"),
    ]
    if pad:
        needs.append((tokenizer.pad_token_id, "pad token", "set pad_token in tokenizer_config.json, to a token that no text holds"))
    yield from (error(place, f"no {what}", fix) for value, what, fix in needs if value is None or value == "")


def _refused(tokenizer: PreTrainedTokenizerBase, place: str, instruction: str | None) -> Iterator[Finding]:
    """The template takes a question and an answer to it, with the instruction and without. Some know no system message."""
    from jinja2 import TemplateError

    other = "use the chat template of a model that answers questions"
    inside = f"put {MARK} into the instruction's file where the question belongs: then both are the user's message"
    for asked, fix in ((messages(QUESTION), other), (messages(QUESTION, instruction), inside)):
        try:
            _render(tokenizer, asked, generate=True)
            _render(tokenizer, [*asked, _by_assistant(PROBE)])
        except (TemplateError, TypeError) as problem:  # what a template does with a message may be of the wrong type
            roles = " and ".join(message["role"] for message in asked)
            yield error(place, f"the chat template refuses messages of {roles}: {type(problem).__name__}: {problem}", fix)
            return


def _turn(tokenizer: PreTrainedTokenizerBase, place: str, stops: Collection[int]) -> Iterator[Finding]:
    """The template shows what the assistant said, and ends its turn with a token at which the model stops."""
    answer = PROBE.partition(CLOSE)[2]
    rendered = _render(tokenizer, [*messages(QUESTION), _by_assistant(answer)])
    if answer not in rendered:
        found = f"the chat template does not show the assistant's message {answer!r}; it rendered {rendered[-120:]!r}"
        yield error(place, found, "use the chat template of a model that answers")
        return
    begun = _render(tokenizer, messages(QUESTION), generate=True)
    if header := _unwritten_header(tokenizer, begun, rendered, answer):
        found = f"the chat template has no generation prompt: asked, it ends with {begun[-20:]!r}, and {header!r} is left to the model"
        yield error(place, found, "let chat_template.jinja write that where add_generation_prompt is true")
    before = begun.partition(OPEN)[0]  # a thinking that the template opens is not shown again
    if not rendered.startswith(before):
        found = f"the chat template begins the assistant's turn with {begun[-20:]!r} when it is asked, and otherwise where it shows one"
        yield warning(place, found, "conversations of several turns would be read otherwise than they were written: use another template")
    ending = text_ids(tokenizer, rendered.rpartition(answer)[2].lstrip())
    if not ending:
        # Rows are taught the end token whatever the template shows, so this concerns conversations alone.
        found = "the chat template ends the assistant's turn with no token: where it shows one, the next turn follows without a mark"
        yield warning(place, found, "let chat_template.jinja write eos_token behind the assistant's message")
    elif ending[0] not in stops:
        yield error(
            place,
            f"the chat template ends the assistant's turn with {tokenizer.decode(ending[:1])!r}, but eos_token is {tokenizer.eos_token!r}: "
            "such a model never stops when it is served",
            "set eos_token in tokenizer_config.json, and eos_token_id in generation_config.json, to the template's token",
        )


def _unwritten_header(tokenizer: PreTrainedTokenizerBase, begun: str, rendered: str, answer: str) -> str:
    """What stands before an answer where it is shown and not where it is asked for, in a template that makes no difference between asking
    and showing. Some (`[INST] … [/INST]`) need none, since the user's turn ends where the answer begins.
    """
    is_same = begun == _render(tokenizer, messages(QUESTION)) and rendered.startswith(begun)
    return rendered[len(begun) :].partition(answer)[0].strip() if is_same else ""


def _tags(tokenizer: PreTrainedTokenizerBase, place: str, stops: Collection[int]) -> Iterator[Finding]:
    """Think tags are no tokens that end a turn or pad a row, since those are taken out of texts."""
    silent = {*stops, *([] if tokenizer.pad_token_id is None else [int(tokenizer.pad_token_id)])}
    for tag in (OPEN, CLOSE):
        if silent & set(text_ids(tokenizer, tag)):
            found = f"{tag} holds a token that ends a turn or pads a row, so the model stops inside its thinking, or the tag is lost"
            yield error(place, found, "name another eos_token and pad_token in tokenizer_config.json and generation_config.json")


def round_trip(tokenizer: PreTrainedTokenizerBase, said: Said, place: str) -> Iterator[Finding]:
    """What is trained is, token by token, what serving shows and reads; think tags are neither lost nor doubled."""
    asked = messages(said.question, said.instruction)
    served = list(tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=True, return_dict=False))
    yield from _doubled(said, _text(tokenizer, said.prompt_ids), place)
    changed = list(_given_back(tokenizer, said, place))
    yield from changed
    trained, shown = said.prompt_ids, served
    whole, rendered = _render(tokenizer, [*asked, _by_assistant(said.completion)]), _render(tokenizer, asked, generate=True)
    # Some templates rewrite thinking; then their rendering of the whole is not comparable.
    if trained == shown and not changed and whole.startswith(rendered + said.completion):
        trained = [*said.prompt_ids, *said.completion_ids]
        shown = [*served, *text_ids(tokenizer, whole[len(rendered) :])][: len(trained)]
    if difference := _difference(tokenizer, trained=trained, served=shown):
        fix = "the chat template or the tokenizer treats the assistant's turn differently with and without a generation prompt: use another"
        yield error(place, difference, fix)


def _doubled(said: Said, prompt: str, place: str) -> Iterator[Finding]:
    tail = prompt.rstrip()
    if (tail.endswith(OPEN) or tail.endswith(CLOSE)) and OPEN in said.completion:
        yield error(
            place,
            f"the chat template already writes {tail[-20:]!r} at the end of the prompt and the completion opens {OPEN} again: "
            "the model would learn doubled tags",
            "use a chat template that leaves the tag to the model",
        )


def _given_back(tokenizer: PreTrainedTokenizerBase, said: Said, place: str) -> Iterator[Finding]:
    """Reading the written tokens as text loses nothing but spaces, and the text gives the same tokens again."""
    text = _text(tokenizer, said.completion_ids)
    ending = str(tokenizer.eos_token) if said.ends else ""
    if "".join(text.split()) != "".join((said.completion + ending).split()):
        found = f"the tokenizer does not give the completion back: {said.completion[:60]!r} became {text[:60]!r}"
        yield error(place, found, "use a tokenizer that changes no text; or the row was not encoded from this completion")
    elif difference := _difference(tokenizer, trained=said.completion_ids, served=text_ids(tokenizer, text)):
        yield error(place, difference, "use a tokenizer that cuts its own text as it was cut")


def _difference(tokenizer: PreTrainedTokenizerBase, *, trained: Sequence[int], served: Sequence[int]) -> str | None:
    if list(trained) == list(served):
        return None
    pairs = zip(trained, served, strict=False)
    place = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(trained), len(served)))
    ours, theirs = (tokenizer.decode(list(ids[place : place + 8])) for ids in (trained, served))
    return f"training and serving render differently from token {place} on: training has {ours!r}, serving {theirs!r}"


def alike_findings(first: PreTrainedTokenizerBase, second: PreTrainedTokenizerBase, place: str) -> Iterator[Finding]:
    """Where probabilities of two models are compared, token by token, their tokenizers must be the same by content.

    Sizes say nothing: within one family of models they differ by padding, and equal ones may hold other tokens.
    """
    fix = "give both the same tokenizer, or let the student learn from texts instead of probabilities"
    ours, theirs = first.get_vocab(), second.get_vocab()
    differing = sorted(token for token in ours.keys() | theirs.keys() if ours.get(token) != theirs.get(token))
    if differing:
        token = differing[0]
        found = f"{len(differing)} tokens differ between {_name(first)} ({len(ours)} tokens) and {_name(second)} ({len(theirs)})"
        yield error(place, f"{found}: {token!r} is {ours.get(token)} in one and {theirs.get(token)} in the other", fix)
        return
    if cut := next((text for text in SPLIT_ALIKE if text_ids(first, text) != text_ids(second, text)), None):
        yield error(place, f"{_name(first)} and {_name(second)} hold the same tokens and cut {cut!r} differently", fix)


def _name(tokenizer: PreTrainedTokenizerBase) -> str:
    return tokenizer.name_or_path or "a tokenizer"


def _by_assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _render(tokenizer: PreTrainedTokenizerBase, conversation: list[dict[str, str]], *, generate: bool = False) -> str:
    return str(tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=generate))


def _text(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
