"""Draws of many problems at once, each until its rule stops, so that none waits for another.

Rules read a problem's draws in index order (data/stopping.py) and say how many more are needed for certain; these are asked for at once.
So no draw is begun in vain, and what is drawn does not depend on the order of arrival.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from data.records import Drawn
from data.stop_settings import StopRule
from data.stopping import Vote, decide, described
from data.verifiers.judge import Judge, TextCase
from teachers.engine import Completion, Request
from teachers.generate import Generator
from teachers.sampling import Asked, Failures, Recipe, text_of


@dataclass
class _Problem:
    """A problem whose rule has not stopped."""

    asked: Asked
    begun: int = 0
    arrived: dict[int, Vote] = field(default_factory=dict)
    """Draw → what it says, until those before it are known."""
    votes: list[Vote] = field(default_factory=list)
    """What the first draws say, in index order."""
    tokens: int = 0


class _Judging(NamedTuple):
    problem: _Problem
    draw: int


class Drawing:
    """The requests of all problems (teachers.engine.Requests), which grow by what is heard; problems are opened in the order given.

    `stop` decides on at most `recipe.draws` draws, of which every problem gets at least `first`; None takes all without judging any.
    """

    def __init__(self, asked: Iterable[Asked], recipe: Recipe, judge: Judge, *, stop: StopRule | None, first: int = 0) -> None:
        self._recipe, self._stop, self._first, self._judge = recipe, stop, first, judge
        self._unopened = iter(asked)
        self._next: deque[Request] = deque()
        self._owners: dict[Request, list[_Problem]] = defaultdict(list)
        self._judging: dict[str, _Judging] = {}
        self._keys = count()
        self._ended: deque[Drawn] = deque()

    def take(self) -> Request | None:
        """The next request: of problems that go on before new ones. Waits for verdicts only where nothing else can bring one."""
        while not self._next:
            if (asked := next(self._unopened, None)) is not None:
                self._go_on(_Problem(asked))
            elif self._judging:
                self._listen(wait=not self._owners)
                if self._owners and not self._next:
                    return None
            else:
                return None
        return self._next.popleft()

    def hear(self, completion: Completion) -> None:
        """Take in how a request ended, failures included."""
        for problem in self._owners.pop(completion.request):
            problem.tokens += completion.tokens
            self._judge_draw(problem, completion)
        self._listen(wait=self._judge.is_full)

    def ended(self) -> Iterator[Drawn]:
        """Give out the problems whose rule stopped since the last time."""
        while self._ended:
            yield self._ended.popleft()

    def _judge_draw(self, problem: _Problem, completion: Completion) -> None:
        draw, text = completion.request.draw, text_of(completion, self._recipe.written)
        if self._stop is None or text is None:
            self._count(problem, draw, Vote(None, right=False))
            return
        key = str(next(self._keys))
        self._judging[key] = _Judging(problem, draw)
        self._judge.put(TextCase(key, problem.asked.problem.reference, text, completion.status))

    def _listen(self, *, wait: bool) -> None:
        for verdict in self._judge.ready(wait=wait):
            judged = self._judging.pop(verdict.trace_id)
            self._count(judged.problem, judged.draw, Vote.of(verdict.outcome, verdict.extracted))

    def _count(self, problem: _Problem, draw: int, vote: Vote) -> None:
        problem.arrived[draw] = vote
        while (known := problem.arrived.pop(len(problem.votes), None)) is not None:
            problem.votes.append(known)
        self._go_on(problem)

    def _go_on(self, problem: _Problem) -> None:
        """Ask for the draws that are needed, or end the problem."""
        known = len(problem.votes)
        decision = decide(self._stop, problem.votes, most=self._recipe.draws, first=self._first)
        if not decision.more:
            prompt = problem.asked.prompt
            self._ended.append(
                Drawn(
                    problem_id=problem.asked.problem.id,
                    draws=known,
                    rule=described(self._stop, self._recipe.draws),
                    reason=decision.reason,
                    prompt_tokens=len(prompt),
                    completion_tokens=problem.tokens,
                )
            )
            return
        for draw in range(problem.begun, known + decision.more):
            request = problem.asked.request(self._recipe.sampling, draw)
            if request not in self._owners:
                self._next.append(request)
            self._owners[request].append(problem)
        problem.begun = max(problem.begun, known + decision.more)


def drawn_by(generator: Generator, drawing: Drawing, failures: Failures) -> Iterator[Drawn]:
    """Draw, and yield every problem as its rule stops. Raises StageError as `failures` does."""
    for completion in generator.complete(drawing):
        failures.note(completion)
        drawing.hear(completion)
        yield from drawing.ended()
    yield from drawing.ended()  # the last verdicts came when nothing was left to generate
    failures.close()
