r"""How fast and how well answers are verified, against a plain loop over Math-Verify with its own time-outs: `make bench-verify`.

The first table is for plain numbers alone. The second judges made-up answers (numbers and expressions, right and wrong ones by
construction, a hundredth of them pathological such as `9^{9^{9^9}}`) through the pool of the verifier `math` and through the loop. The loop
runs in a child process, so that an answer that its time-outs cannot stop is counted as a hang and killed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from multiprocessing.connection import Connection
from typing import NamedTuple

from data.errors import ShortcotError
from data.records import ExpressionReference, NumberReference, Outcome, Status
from data.verifiers import expression, number
from data.verifiers.judge import TextCase, judge_texts
from pipeline.support.text_table import render

HANG_TIMES = 6
"""Time-outs after which the loop's child is killed: it parses two texts and compares them, each with its own time-out."""
START_SECONDS = 120
COLUMNS = ("seconds", "verdicts/s", "x loop", "time-outs", "hangs", "wrong as right", "right as wrong", "unread")
PATHOLOGICAL = (
    "9^{9^{9^{9}}}",
    "(x+1)^{99999}-(x-1)^{99998}",
    "\\sum_{k=1}^{10^{9}} \\frac{1}{k^3+k+1}",
    "+".join(f"{n}x^{{{n}}}y^{{{n % 7}}}" for n in range(2, 90)),
    "(10^{9})!",
)


class Item(NamedTuple):
    """An answer to judge; `right` is known by construction, None for a pathological one."""

    gold: str
    answer: str
    right: bool | None

    @property
    def text(self) -> str:
        """As a model writes it."""
        return f"We check the steps once more.\n\nThe answer is $\\boxed{{{self.answer}}}$."


@dataclass
class Run:
    """What one way said of all items."""

    seconds: float = 0.0
    said: dict[int, Outcome | None] = field(default_factory=dict)
    """By place of the item; None: it had to be killed from outside."""

    def row(self, name: str, items: Sequence[Item], against: Run) -> list[str]:
        """Its line of the second table."""
        counts = Counter((items[place].right, outcome) for place, outcome in self.said.items())
        false_right, false_wrong = counts[False, Outcome.RIGHT], counts[True, Outcome.WRONG]
        unread = sum(n for (right, outcome), n in counts.items() if right is not None and outcome not in (Outcome.RIGHT, Outcome.WRONG))
        late = sum(outcome is Outcome.TIMEOUT for outcome in self.said.values())
        hangs = sum(outcome is None for outcome in self.said.values())
        rate = f"{len(items) / self.seconds:.1f}"
        ratio = f"{against.seconds / self.seconds:.2f}"
        return [name, f"{self.seconds:.1f}", rate, ratio, *map(str, (late, hangs, false_right, false_wrong, unread))]


def made(count: int, *, pathological: float, seed: int) -> list[Item]:
    """Answers of the commonest kinds, half of them wrong."""
    source = random.Random(seed)
    hostile = round(count * pathological)
    items = [source.choice(KINDS)(source, source.random() < 0.5) for _ in range(count - hostile)]
    items += [Item("x+1", PATHOLOGICAL[n % len(PATHOLOGICAL)], None) for n in range(hostile)]
    source.shuffle(items)
    return items


def plain_number(source: random.Random, right: bool) -> Item:
    """Integers, decimals, fractions, thousands, percentages."""
    value = Fraction(source.randint(-5000, 5000), source.choice((1, 1, 1, 2, 4, 5, 8, 20, 25)))
    said = value if right else value + source.choice((-1, 1)) * Fraction(source.randint(1, 60), source.choice((1, 2, 10)))
    if said.denominator == 1:
        return Item(str(value), source.choice((str(said), f"{said.numerator:,}".replace(",", "{,}"), f"{said.numerator}.0")), right)
    decimal = f"{float(said):.6f}".rstrip("0")
    return Item(str(value), source.choice((f"\\frac{{{said.numerator}}}{{{said.denominator}}}", decimal)), right)


def root(source: random.Random, right: bool) -> Item:
    """A surd and its simplification."""
    outer, inner = source.randint(2, 9), source.choice((2, 3, 5, 6, 7))
    return Item(f"{outer}\\sqrt{{{inner}}}", f"\\sqrt{{{outer**2 * inner + (0 if right else inner)}}}", right)


def polynomial(source: random.Random, right: bool) -> Item:
    """A product and its expansion."""
    first, second = source.randint(1, 9), source.randint(1, 9)
    return Item(f"(x+{first})(x-{second})", f"x^2+({first - second})x-{first * second + (not right)}", right)


def equation(source: random.Random, right: bool) -> Item:
    """A line in two forms."""
    slope, shift = source.randint(2, 9), source.randint(1, 9)
    return Item(f"y={slope}x+{shift}", f"{2 * slope}x-2y+{2 * shift + (not right)}=0", right)


def values(source: random.Random, right: bool) -> Item:
    """A set in another order."""
    own = source.sample(range(-20, 20), 3)
    return Item("\\{" + ",".join(map(str, own)) + "\\}", "\\{" + ",".join(map(str, [*own[1:], own[0] + (not right) * 50])) + "\\}", right)


def interval(source: random.Random, right: bool) -> Item:
    """An interval with open and closed ends."""
    start = source.randint(-9, 9)
    return Item(f"[{start},{start + 4})", f"\\left[{start}, {start + 4}\\right{')' if right else ']'}", right)


KINDS: tuple[Callable[[random.Random, bool], Item], ...] = (*[plain_number] * 5, root, polynomial, equation, values, interval)


def through_pool(items: Sequence[Item], *, workers: int, timeout_seconds: float) -> Run:
    """The verifier `math` in its processes, their start included."""
    cases = (TextCase(str(place), ExpressionReference(value=item.gold), item.text, Status.OK) for place, item in enumerate(items))
    run, started = Run(), time.monotonic()
    for verdict in judge_texts(cases, workers=workers, timeout_seconds=timeout_seconds):
        run.said[int(verdict.trace_id)] = verdict.outcome
    run.seconds = time.monotonic() - started
    return run


def through_loop(items: Sequence[Item], *, timeout_seconds: int) -> Run:
    """Math-Verify's parse and verify, one item after the other in one child, its start included; a hang costs a new child."""
    run, started, child = Run(), time.monotonic(), _Child(timeout_seconds)
    for place, item in enumerate(items):
        run.said[place] = child.judge(item)
        if run.said[place] is None:
            child.end()
            child = _Child(timeout_seconds)
    run.seconds = time.monotonic() - started
    child.end()
    return run


class _Child:
    """A process with the loop."""

    def __init__(self, timeout_seconds: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._limit = HANG_TIMES * timeout_seconds
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_loop, args=(other, timeout_seconds), daemon=True)
        self._process.start()
        other.close()
        if not self._pipe.poll(START_SECONDS):
            raise ShortcotError(f"the loop over Math-Verify did not start within {START_SECONDS} s")
        self._pipe.recv()

    def judge(self, item: Item) -> Outcome | None:
        """What the loop says; None where it hangs or died."""
        self._pipe.send((item.gold, item.text))
        try:
            return Outcome(self._pipe.recv()) if self._pipe.poll(self._limit) else None
        except EOFError:
            return None

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.join()


def _loop(pipe: Connection, timeout_seconds: int) -> None:
    """The plain loop: no answer or an empty one is unparsed; Math-Verify does not tell a time-out of verify from a wrong answer."""
    from math_verify import parse

    parse("$1$")
    pipe.send("ready")
    while True:
        gold, text = pipe.recv()
        pipe.send(math_verify_says(gold, text, timeout_seconds).value)


def math_verify_says(gold: str, text: str, timeout_seconds: int) -> Outcome:
    """As its README uses it."""
    from math_verify import parse, verify

    wanted, found = parse(f"${gold}$", parsing_timeout=timeout_seconds), parse(text, parsing_timeout=timeout_seconds)
    if not found:
        return Outcome.UNPARSED
    return Outcome.RIGHT if verify(wanted, found, timeout_seconds=timeout_seconds) else Outcome.WRONG


def numbers_alone(count: int, *, seed: int, timeout_seconds: int) -> str:
    """The first table: plain numbers by the verifier `number`, by `math` without a process, and by Math-Verify."""
    source = random.Random(seed)
    items = [plain_number(source, source.random() < 0.5) for _ in range(count)]
    math_verify_says("1", items[0].text, timeout_seconds)  # imports
    ways: dict[str, Callable[[Item], Outcome]] = {
        "Math-Verify": lambda item: math_verify_says(item.gold, item.text, timeout_seconds),
        "number": lambda item: number.judge(NumberReference(value=item.gold), item.text).outcome,
        "math": lambda item: expression.judge(ExpressionReference(value=item.gold), item.text).outcome,
    }
    said, seconds = {}, {}
    for name, judge in ways.items():
        started = time.monotonic()
        said[name] = [judge(item) for item in items]
        seconds[name] = time.monotonic() - started
    base, rows = "Math-Verify", []
    for name in ways:
        agreed = sum(own is other for own, other in zip(said[name], said[base], strict=True))
        errors = sum((own is Outcome.RIGHT) != item.right for own, item in zip(said[name], items, strict=True))
        times = f"{seconds[base] / seconds[name]:.1f}"
        rows.append([name, f"{1e6 * seconds[name] / count:.0f}", times, f"{agreed} of {count}", str(errors)])
    return render(("plain numbers by", "µs / item", "x faster", "agree with Math-Verify", "errors"), rows)


def pool_against_loop(count: int, *, pathological: float, seed: int, limits: tuple[int, int]) -> str:
    """The second table; `limits` are the processes, beside which one alone is timed, and the seconds for each item."""
    workers, timeout_seconds = limits
    items = made(count, pathological=pathological, seed=seed)
    loop = through_loop(items, timeout_seconds=timeout_seconds)
    pools = {count: through_pool(items, workers=count, timeout_seconds=timeout_seconds) for count in sorted({1, workers})}
    rows = [loop.row("loop over Math-Verify", items, loop), *(pool.row(f"math, processes: {n}", items, loop) for n, pool in pools.items())]
    hostile = sum(item.right is None for item in items)
    return render((f"{count} answers, {hostile} hostile", *COLUMNS), rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--pathological", type=float, default=0.01, help="share of hostile answers")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--timeout-seconds", type=int, default=2, help="for an item, on both sides")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("numbers", "pool"), help="one of the tables")
    chosen = parser.parse_args()
    try:
        if chosen.only != "pool":
            print(numbers_alone(chosen.items // 4, seed=chosen.seed, timeout_seconds=chosen.timeout_seconds), flush=True)
        if chosen.only != "numbers":
            limits = chosen.workers, chosen.timeout_seconds
            print(pool_against_loop(chosen.items, pathological=chosen.pathological, seed=chosen.seed, limits=limits), flush=True)
    except ShortcotError as error:
        sys.exit(f"{type(error).__name__}: {error}")
