import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.chat import completion_ids, text_ids
from data.errors import ParamsError, StageError
from data.records import NumberReference, Outcome, Problem, Split, Status, Verdict
from data.tasks.lab_tokenizer import train_tokenizer
from teachers.engine import Completion, EngineSpec, ModelRef, Request, SamplingSettings
from teachers.evaluation import Answer, Quiz, Subject, answers, model_at, questions, scores, thinking_tokens, tokenizer_of
from teachers.generate import Generator

SAMPLING = SamplingSettings(1.0, 0.9, 60)
QUIZ = Quiz(SAMPLING, draws=3, draw_problems=2, max_model_length=200)
WORDS = st.text("ab 12<>/thinkü", max_size=30)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    train_tokenizer(documents=200).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory):
    """A tokenizer that spells the think tags in many tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>")


def _problems(test: int = 3) -> list[Problem]:
    splits = [Split.TRAIN, Split.VALIDATION, *[Split.TEST] * test]
    return [
        Problem.create(task="t", split=split, question=f"How many is {i} and 1?", reference=NumberReference(value=str(i + 1)))
        for i, split in enumerate(splits)
    ]


def _completion(tokenizer, text: str, status: Status = Status.OK) -> Completion:
    ids = completion_ids(tokenizer, text) if status is Status.OK else text_ids(tokenizer, text)
    return Completion(Request((), SAMPLING, 0), status, "stop", text, tuple(ids))


def _script(path: Path, problems: Sequence[Problem]) -> Path:
    lines = [
        {"question": p.question, "right": [f"<think>I add.</think>The answer is \\boxed{{{p.reference.value}}}."], "wrong": ["No idea."]}
        for p in problems
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@given(thinking=WORDS.filter(lambda text: "/think>" not in text), answer=WORDS)
@settings(max_examples=40, deadline=None)
def test_thinking_ends_with_its_closing_tag(base: Path, plain, thinking: str, answer: str) -> None:
    for tokenizer in (tokenizer_of(ModelRef(base)), plain):
        opening = f"<think>{thinking}</think>"
        completion = _completion(tokenizer, opening + answer)
        expected = thinking_tokens(tokenizer, completion)
        assert tokenizer.decode(completion.token_ids[:expected]).endswith("</think>")
        assert expected == len(text_ids(tokenizer, opening))


def test_a_tag_that_shares_its_last_token_with_the_answer_belongs_to_the_thinking() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({"<think>a": 0, "</thi": 1, "nk>The": 2, "answer": 3, "?": 4}, unk_token="?"))
    core.pre_tokenizer, core.decoder = pre_tokenizers.WhitespaceSplit(), decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core)
    completion = Completion(Request((), SAMPLING, 0), Status.OK, "stop", "<think>a</think>Theanswer", (0, 1, 2, 3))
    assert thinking_tokens(tokenizer, completion) == 3


@pytest.mark.parametrize(
    "text, thinking", [("<think>never ends", "all"), ("The answer is 4.", "none"), ("</think>4", "one"), ("<think></think>", "tags")]
)
def test_texts_without_both_tags(base: Path, text: str, thinking: str) -> None:
    tokenizer = tokenizer_of(ModelRef(base))
    completion = _completion(tokenizer, text, Status.TRUNCATED)
    assert thinking_tokens(tokenizer, completion) == {"all": len(completion.token_ids), "none": 0, "one": 1, "tags": 2}[thinking]


def test_a_place_that_holds_another_tokenizer_by_now_is_read_again(
    base: Path, plain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, text = ModelRef(Path("model")), "How many?"
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        monkeypatch.chdir(tmp_path / run)
        tokenizer_of(ModelRef(base)).save_pretrained("model")
        assert text_ids(tokenizer_of(there), text) == text_ids(tokenizer_of(ModelRef(base)), text)
        plain.save_pretrained("model")
        assert text_ids(tokenizer_of(there), text) == text_ids(plain, text) != text_ids(tokenizer_of(ModelRef(base)), text)


def test_every_evaluation_problem_gets_a_greedy_answer_and_the_first_test_problems_draws(base: Path) -> None:
    problems = _problems()
    asked = questions(problems, Subject("long", 0, ModelRef(base)), QUIZ)
    modes = sorted((mode, problem.split.value, request.draw) for request, owners in asked.items() for problem, mode in owners)
    assert modes == [("draw", "test", d) for d in (0, 0, 1, 1, 2, 2)] + [("greedy", "test", 0)] * 3 + [("greedy", "validation", 0)]
    assert all((request.sampling.temperature == 0) == (mode == "greedy") for request, owners in asked.items() for _, mode in owners)
    drawn = {problem.id for owners in asked.values() for problem, mode in owners if mode == "draw"}
    assert drawn == {problem.id for problem in problems[2:4]}


def test_draws_at_temperature_zero_share_their_completion_with_the_greedy_answer(base: Path) -> None:
    quiz = Quiz(SamplingSettings(0.0, 1.0, 60), draws=1, draw_problems=3, max_model_length=200)
    asked = questions(_problems(), Subject("long", 0, ModelRef(base)), quiz)
    assert len(asked) == 4 and sum(len(owners) for owners in asked.values()) == 7


def test_a_prompt_without_room_is_refused_before_anything_starts(base: Path) -> None:
    with pytest.raises(ParamsError, match="max_model_length"):
        questions(_problems(), Subject("long", 0, ModelRef(base)), Quiz(SAMPLING, 1, 1, max_model_length=62))


def test_scores_are_the_same_for_any_order_of_arrival(base: Path, tmp_path: Path) -> None:
    problems = _problems()
    tables = []
    for shuffle in (None, 1, 2):
        arguments = {"script": str(_script(tmp_path / "script.jsonl", problems)), "shuffle": shuffle, "truncated_share": 0.5}
        spec = EngineSpec("scripted", ModelRef(base), arguments=arguments)
        given: list[Answer] = []
        with Generator(spec, tmp_path / f"store-{shuffle}", shard="evaluate") as generator:
            for subject in (Subject("short", 1, ModelRef(base)), Subject("long", 0, ModelRef(base))):
                asked = questions(problems, subject, QUIZ)
                given += answers(generator.complete(asked, model=subject.model), asked, subject)
        said = {"verifier": "v", "version": "1", "outcome": Outcome.RIGHT, "extracted": "4", "detail": ""}
        verdicts = {answer.key: Verdict(trace_id=answer.key, **said) for answer in given}
        tables.append(scores(given, verdicts, {min(verdicts): {"judge": 0.5}}))
    assert tables[0] == tables[1] == tables[2]
    rows = tables[0]
    assert len(rows) == 2 * (4 + 2 * 3)
    assert [(r.student, r.seed, r.split, r.mode, r.problem_id, r.draw) for r in rows] == sorted(
        (r.student, r.seed, r.split, r.mode, r.problem_id, r.draw) for r in rows
    )
    ended = [row for row in rows if row.status is Status.OK]
    assert ended and len(ended) < len(rows) and all(row.thinking_tokens > 2 and row.answer_tokens > 2 for row in ended)


def test_an_engine_error_is_no_wrong_answer(base: Path, tmp_path: Path) -> None:
    subject = Subject("long", 0, ModelRef(base))
    spec = EngineSpec("scripted", ModelRef(base), arguments={"error_share": 0.5})
    asked = questions(_problems(20), subject, QUIZ)
    with Generator(spec, tmp_path, shard="evaluate") as generator, pytest.raises(StageError, match="ended in error"):
        list(answers(generator.complete(asked), asked, subject))


def test_a_model_is_an_adapter_on_the_base_or_stands_alone_or_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"long/0: no trained model lies here"):
        model_at(tmp_path / "long/0", tmp_path / "base")
    for name, expected in (("config.json", ModelRef(tmp_path)), ("adapter_config.json", ModelRef(tmp_path / "base", tmp_path))):
        (tmp_path / name).write_text("{}")
        assert model_at(tmp_path, tmp_path / "base") == expected
