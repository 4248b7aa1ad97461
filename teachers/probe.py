"""One request before all others: does an engine keep to its budget, and does it stop where its model should?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing

from data.chat import prompt_ids
from data.errors import EngineError
from teachers.decoding import FINISHED, Decoder
from teachers.engine import Engine, EngineSpec, Listed, Question, Request, SamplingSettings, closable

PROBE = Question("How many is 2 and 3?")
PROBE_TOKENS = 8


def probe_of(decoder: Decoder) -> Request:
    """A few tokens, greedily."""
    return Request(tuple(prompt_ids(decoder.tokenizer, *PROBE)), SamplingSettings(0.0, 1.0, PROBE_TOKENS), 0, PROBE)


def check_answer(written: Sequence[int], reason: str | None, stops: Collection[int], *, place: str) -> None:
    """Raises EngineError where an answer to the probe is too long, or ended as no engine here may, or at another token than the model's."""
    if len(written) > PROBE_TOKENS or reason not in FINISHED:
        raise EngineError(
            f"{place}: a probe of at most {PROBE_TOKENS} tokens brought {len(written)} and ended with {reason!r}; allowed: "
            f"{list(FINISHED)}. Look at engine.arguments: something there overrides the limits of a request"
        )
    if reason == "stop" and written and written[-1] not in stops:
        raise EngineError(
            f"{place}: it stopped after token {written[-1]}, at which its model folder does not stop ({sorted(stops)}); serve the model "
            "with the generation_config.json of that folder"
        )


def check_engine(engine: Engine, spec: EngineSpec) -> None:
    """Probe a started engine; raises EngineError where it does not do as it should. Engines with room for less than a probe are let be."""
    decoder = Decoder(spec.model.folder)
    asked = probe_of(decoder)
    if len(asked.prompt_ids) + PROBE_TOKENS > spec.max_model_length:
        return
    with closing(closable(engine.generate(Listed([asked])))) as answers:
        for answer in answers:
            if answer.detail:
                raise EngineError(f"engine {spec.kind}: a probe failed: {answer.detail}")
            check_answer(answer.token_ids, answer.finish_reason, decoder.stop_ids, place=f"engine {spec.kind} with {spec.model.folder}")
