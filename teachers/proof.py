"""Does an engine serve the weights that it should? Its log-probabilities are compared with those of transformers on a CPU.

The trap behind it: swapping weights inside a running engine can leave a part of the old ones in place (a tied head, say) without any
error, and every number measured after it is another model's.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from data.errors import EngineError
from teachers.engine import ModelRef

PROMPTS, PROMPT_TOKENS, WRITTEN_TOKENS = 3, 24, 8
TOLERANCE = 2e-3
"""Largest difference of one token's log-probability in float32, in nats; two sound engines differ by about 1e-5 to 1e-4."""


class Written(NamedTuple):
    """What an engine wrote after a prompt, and the log-probability that it gave to each token."""

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]


def proof_prompts(vocabulary: int) -> list[tuple[int, ...]]:
    """Fixed prompts of random tokens, so that all weights play a part."""
    rng = Random(0)
    return [tuple(rng.randrange(vocabulary) for _ in range(PROMPT_TOKENS)) for _ in range(PROMPTS)]


def reference_logprobs(model: ModelRef, written: list[Written]) -> list[tuple[float, ...]]:
    """Log-probabilities of the same tokens after the same prompts: transformers, float32, on the CPU."""
    import torch

    from teachers.hf import load_model

    loaded = load_model(model, dtype="float32", device="cpu")
    found: list[tuple[float, ...]] = []
    with torch.inference_mode():
        for one in written:
            ids_T = torch.tensor([*one.prompt_ids, *one.token_ids])
            first = len(one.prompt_ids)
            logprobs_TV = loaded(input_ids=ids_T[None]).logits[0, first - 1 : -1].log_softmax(-1)
            found.append(tuple(logprobs_TV.gather(-1, ids_T[first:, None]).squeeze(-1).tolist()))
    return found


def check_weights(written: list[Written], model: ModelRef) -> None:
    """Raise EngineError where the engine's log-probabilities are not those of the model."""
    expected = reference_logprobs(model, written)
    pairs = [pair for one, ours in zip(written, expected, strict=True) for pair in zip(one.logprobs, ours, strict=True)]
    differences = [abs(served - reference) for served, reference in pairs]
    if not all(difference <= TOLERANCE for difference in differences):
        raise EngineError(
            f"the engine does not serve the weights of {model.folder} (adapter: {model.adapter}): its log-probabilities differ from "
            f"transformers' by up to {max(differences):.4g}, allowed is {TOLERANCE:g}. No completion was made. "
            "Start a fresh engine for this model."
        )
