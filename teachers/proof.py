"""Does an engine serve the weights that it should? Its log-probabilities are compared with those of transformers on a CPU.

The trap behind it: swapping weights inside a running engine can leave a part of the old ones in place (a tied head, say) without any
error, and every number measured after it is another model's.
"""

from __future__ import annotations

from random import Random

from data.errors import EngineError
from teachers.engine import ModelRef

PROMPTS, PROMPT_TOKENS = 3, 24
TOLERANCE = 2e-3
"""Largest difference of one token's log-probability in float32, in nats; two sound engines differ by about 1e-5 to 1e-4."""

Logprobs = list[list[float]]


def proof_prompts(vocabulary: int) -> list[tuple[int, ...]]:
    """Fixed prompts of random tokens, so that all weights play a part."""
    rng = Random(0)
    return [tuple(rng.randrange(vocabulary) for _ in range(PROMPT_TOKENS)) for _ in range(PROMPTS)]


def reference_logprobs(model: ModelRef, prompts: list[tuple[int, ...]]) -> Logprobs:
    """Log-probability of every prompt token but the first, given those before it: transformers, float32, on the CPU."""
    import torch

    from teachers.hf import load_model

    loaded = load_model(model, dtype="float32", device="cpu")
    found: Logprobs = []
    with torch.inference_mode():
        for prompt in prompts:
            ids_BT = torch.tensor([prompt])
            logprobs_TV = loaded(input_ids=ids_BT).logits[0, :-1].log_softmax(-1)
            found.append(logprobs_TV.gather(-1, ids_BT[0, 1:, None]).squeeze(-1).tolist())
    return found


def check_logprobs(served: Logprobs, expected: Logprobs, *, model: ModelRef) -> None:
    """Raise EngineError where the engine's log-probabilities are not those of the model."""
    pairs = [(a, b) for ours, theirs in zip(served, expected, strict=True) for a, b in zip(ours, theirs, strict=True)]
    worst = max(abs(a - b) for a, b in pairs)
    if not worst <= TOLERANCE:
        raise EngineError(
            f"the engine does not serve the weights of {model.folder} (adapter: {model.adapter}): its log-probabilities differ from "
            f"transformers' by up to {worst:.4g}, allowed is {TOLERANCE:g}. No completion was made. Start a fresh engine for this model."
        )
