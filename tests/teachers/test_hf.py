from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from data.errors import EngineError, ParamsError
from data.records import Status
from teachers.engine import EngineSpec, Listed, ModelRef, Request, SamplingSettings
from teachers.hf import HfEngine, load_model
from teachers.proof import Written, check_weights, proof_prompts, reference_logprobs

GREEDY, CHANCE = SamplingSettings(0.0, 1.0, 12), SamplingSettings(1.0, 0.95, 40)


def spec(folder: Path, adapter: Path | None = None, **changes: Any) -> EngineSpec:
    return EngineSpec("hf", ModelRef(folder, adapter), dtype="float32", batch=8, **changes)


def prompts(count: int) -> list[tuple[int, ...]]:
    rng = Random(1)
    return [tuple(rng.randrange(7, 250) for _ in range(rng.randint(1, 30))) for _ in range(count)]


def greedy_alone(model: ModelRef, prompt: tuple[int, ...], stop: int) -> tuple[int, ...]:
    """Greedy decoding without batch, padding or cache."""
    import torch

    loaded, written = load_model(model, dtype="float32", device="cpu"), list(prompt)
    with torch.inference_mode():
        for _ in range(GREEDY.max_tokens):
            written.append(int(loaded(input_ids=torch.tensor([written]), use_cache=False).logits[0, -1].argmax()))
            if written[-1] == stop:
                break
    return tuple(written[len(prompt) :])


@pytest.mark.parametrize("with_adapter", [False, True])
def test_batches_of_unequal_prompts_give_what_each_prompt_gives_alone(model_folder: Path, adapter_folder: Path, with_adapter: bool) -> None:
    model = ModelRef(model_folder, adapter_folder if with_adapter else None)
    with HfEngine(spec(model_folder)) as engine:
        engine.use(model)
        found = {c.request.prompt_ids: c.token_ids for c in engine.generate(Listed(Request(p, GREEDY, 0) for p in prompts(10)))}
        stop = engine._decoder.tokenizer.eos_token_id
    assert found == {prompt: greedy_alone(model, prompt, stop) for prompt in prompts(10)}


def test_drawn_completions_end_at_the_end_token_or_at_the_limit_and_say_which(model_folder: Path) -> None:
    with HfEngine(spec(model_folder)) as engine:
        completions = list(engine.generate(Listed(Request(p, CHANCE, draw) for p in prompts(16) for draw in range(4))))
        tokenizer = engine._decoder.tokenizer
    assert len(completions) == 64
    for completion in completions:
        ended = completion.token_ids[-1] == tokenizer.eos_token_id
        assert (completion.finish_reason, completion.status) == (("stop", Status.OK) if ended else ("length", Status.TRUNCATED))
        assert ended or len(completion.token_ids) == CHANCE.max_tokens
        assert tokenizer.eos_token_id not in completion.token_ids[:-1]
        assert tokenizer.eos_token not in completion.text and tokenizer.pad_token not in completion.text
    assert len({completion.finish_reason for completion in completions}) == 2
    assert len({completion.token_ids for completion in completions}) > 48


def test_think_tags_stay_in_the_text(model_folder: Path) -> None:
    with HfEngine(spec(model_folder)) as engine:
        decoder = engine._decoder
        ids = decoder.tokenizer("<think> 3 + 4</think> 7<|end|><|pad|>", add_special_tokens=False)["input_ids"]
    assert decoder.text(ids) == "<think> 3 + 4</think> 7"
    assert decoder.until_stop(ids) == tuple(ids[:-1])


def test_bad_folders_and_arguments_are_named(model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="colour"):
        HfEngine(spec(model_folder, arguments={"colour": 1}))
    with pytest.raises(EngineError, match=str(tmp_path)):
        HfEngine(spec(model_folder, tmp_path))


def test_the_proof_tells_other_weights_and_a_missing_adapter(model_folder: Path, other_model_folder: Path, adapter_folder: Path) -> None:
    model = ModelRef(model_folder)
    blank = [Written(prompt, (9, 8, 7), ()) for prompt in proof_prompts(200)]
    served = [one._replace(logprobs=ours) for one, ours in zip(blank, reference_logprobs(model, blank), strict=True)]
    check_weights(served, model)
    for other in (ModelRef(other_model_folder), ModelRef(model_folder, adapter_folder)):
        with pytest.raises(EngineError, match="does not serve the weights"):
            check_weights(served, other)
    with pytest.raises(EngineError):
        check_weights([one._replace(logprobs=(float("nan"),) * 3) for one in served], model)


def test_the_proofs_reference_is_the_probability_of_the_next_token(model_folder: Path) -> None:
    every = [Written((9, 8), (token,), ()) for token in range(7)]
    longer = [Written((9,), (8, token), ()) for token in range(7)]
    own, shifted = (reference_logprobs(ModelRef(model_folder), rows) for rows in (every, longer))
    assert [row[-1] for row in shifted] == pytest.approx([row[0] for row in own], abs=1e-5)
