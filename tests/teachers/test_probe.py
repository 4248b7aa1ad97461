from collections.abc import Iterator
from dataclasses import replace

import pytest

from data.errors import EngineError
from data.records import Status
from teachers.engine import Completion, EngineSpec, ModelRef, Requests
from teachers.engines import start
from teachers.probe import PROBE_TOKENS, check_engine


class Disobedient:
    """An engine that writes the same to everything."""

    def __init__(self, token_ids: tuple[int, ...], reason: str, detail: str = "") -> None:
        self.token_ids, self.reason, self.detail = token_ids, reason, detail
        self.asked = 0

    def generate(self, requests: Requests) -> Iterator[Completion]:
        while (request := requests.take()) is not None:
            self.asked += 1
            yield Completion(request, Status.OK, self.reason, "x", self.token_ids, self.detail)


@pytest.fixture
def spec(model_folder) -> EngineSpec:
    return EngineSpec("hf", ModelRef(model_folder))


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (Disobedient((7,) * (PROBE_TOKENS + 1), "length"), "at most 8 tokens brought 9"),
        (Disobedient((7,), "abort"), "ended with 'abort'"),
        (Disobedient((7,), "stop"), "stopped after token 7"),
        (Disobedient((), "refused", "no such adapter"), "a probe failed: no such adapter"),
    ],
)
def test_an_engine_that_does_not_do_as_it_should_is_refused(spec, engine, message):
    with pytest.raises(EngineError, match=message):
        check_engine(engine, spec)


def test_a_started_engine_has_answered_a_probe(spec, monkeypatch):
    from teachers.hf import HfEngine

    with start(spec):
        pass
    monkeypatch.setattr(HfEngine, "generate", Disobedient((7,) * 9, "length").generate)
    with pytest.raises(EngineError, match=r"engine hf with .*at most 8 tokens brought 9"):
        start(spec)


def test_an_engine_without_room_for_a_probe_is_not_asked(spec):
    engine = Disobedient((7,) * 9, "length")
    check_engine(engine, replace(spec, max_model_length=16))
    assert engine.asked == 0
