"""What the lab's models are raised on: long thinking with checks, slips and recoveries, short solutions, and skills.

The teacher learns `thinking` and `solution`; the base student learns the `skills` alone: language, one-step arithmetic
and looking up a named fact among distractors. Rates of slips live in `Habits` and are part of the teacher's card.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from data.tasks.lab import ITEMS, MAX_VALUE, NAMES, TIMES, VERBS, Fact, Given, LabProblem, Link, Op, generate, state

WORDS = (
    *NAMES,
    *ITEMS,
    *VERBS,
    "more",
    "fewer",
    "than",
    "twice",
    "as",
    "many",
    "times",
    "=",
    "+",
    "-",
    "*",
    ",",
    ".",
    *map(str, range(100)),
)


@dataclass(frozen=True)
class Habits:
    """How the teacher works: rates per computed step."""

    slip: float = 0.12
    """A wrong result is written."""
    caught: float = 0.5
    """Share of slips that a check finds; the others are not checked and carry into the answer."""
    check: float = 0.85
    """A right step is checked by the inverse operation."""


@dataclass(frozen=True)
class Step:
    """One computation as written: `left op amount = result` for `link`, where `result` may be a slip."""

    link: Link
    left: int
    result: int

    @property
    def formula(self) -> str:
        """The computation as text, without a full stop."""
        return f"{self.left} {self.link.op} {self.link.amount} = {self.result}"


def final_statement(answer: int) -> str:
    """The sentence that every text of the lab ends with."""
    return f"The answer is \\boxed{{{answer}}}."


def draw(problem: LabProblem, rng: Random, habits: Habits) -> tuple[str, str, int]:
    """One attempt of the ideal teacher: thinking, short solution, and its (possibly wrong) answer."""
    sentences, steps, value = [_plan(problem)], [], problem.given.value
    for link in problem.links:
        text, step = _work(link, value, rng, habits)
        sentences.append(text)
        steps.append(step)
        value = step.result
    sentences.append(f"So {_asked(problem)} has {value}.")
    return " ".join(sentences), solution(problem, steps), value


def _plan(problem: LabProblem) -> str:
    """From the question back to the given number, then the order of work: it is the reverse, and a small student needs it in words."""
    needed = [f"{link.name} has {_relation(link)}, so we need {link.source}." for link in problem.links[::-1]]
    order = [f"Order: {', '.join(link.name for link in problem.links)}."] if problem.links else []
    return " ".join([f"We want {_asked(problem)}.", *needed, f"{problem.given.name} has {problem.given.value}.", *order])


def _asked(problem: LabProblem) -> str:
    return problem.links[-1].name if problem.links else problem.given.name


def _work(link: Link, left: int, rng: Random, habits: Habits) -> tuple[str, Step]:
    """Write one step: restate the fact, compute, maybe slip, maybe check, maybe recover."""
    right = Step(link, left, link.op.apply(left, link.amount))
    lead = f"Now {link.name}: {link.name} has {_relation(link)}, so"
    if rng.random() >= habits.slip:
        check = f" {_check(right)}" if rng.random() < habits.check else ""
        return f"{lead} {right.formula}.{check}", right
    slipped = Step(link, left, _slip(right.result, rng))
    if rng.random() >= habits.caught:
        return f"{lead} {slipped.formula}.", slipped
    return f"{lead} {slipped.formula}. Check: wait, {slipped.result} is wrong. Again, {right.formula}. {_check(right)}", right


def _relation(link: Link) -> str:
    return f"{_change(link)} {link.source}"


def _change(link: Link) -> str:
    if link.op is Op.TIMES:
        return f"{TIMES[link.amount]} as many as"
    return f"{link.amount} {'more' if link.op is Op.PLUS else 'fewer'} than"


def _slip(result: int, rng: Random) -> int:
    """A near miss of `result`: never `result`, and negative only where `result` is (after an earlier slip)."""
    return rng.choice([result + delta for delta in (-10, -2, -1, 1, 2, 10) if result + delta >= min(0, result)])


def _check(step: Step) -> str:
    link = step.link
    return f"Check: {step.result} {link.op.inverse} {link.amount} = {step.left}, as {link.source} has, correct."


def solution(problem: LabProblem, steps: list[Step]) -> str:
    """The short solution: the chain from the question back to the given number, then a computation for each name on the way."""
    chain = [f"{link.name}: {_change(link)}" for link in problem.links[::-1]]
    return " ".join([*chain, f"{lookup(problem.given)}.", *(f"{step.link.name}: {step.formula}." for step in steps)])


def lookup(fact: Fact) -> str:
    """A fact in the notation of the short solution, in the order of its sentence: a tiny model copies better than it turns around."""
    return f"{fact.name}: {fact.value}" if isinstance(fact, Given) else f"{fact.name}: {_relation(fact)}"


def copy(rng: Random) -> tuple[str, str]:
    """A skill: repeat random words, where nothing but copying helps; with it look-ups are learnt several times faster."""
    words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(5, 30)))
    return words, words


def retell(rng: Random) -> tuple[str, str]:
    """A skill: tell the whole story again, word for word."""
    story, _ = _story(rng)
    return f"{story} Tell it again.", story


def recall(rng: Random) -> tuple[str, str]:
    """A skill: say what the problem states about some people, as sentences or in short notation."""
    story, problem = _story(rng)
    facts: list[Fact] = [problem.given, *problem.links, *problem.distractors]
    asked = rng.sample(facts, min(4, len(facts)))
    if rng.random() < 0.5:
        told = [state(fact, item=problem.item) for fact in asked]
    else:
        told = [f"{lookup(fact)}." for fact in asked]
    return f"{story} What do we know about {', '.join(fact.name for fact in asked)}?", " ".join(told)


def _story(rng: Random) -> tuple[str, LabProblem]:
    problem = next(generate("train", seed=rng.getrandbits(48), max_steps=rng.randint(1, 4)))
    return problem.question.rsplit(". ", 1)[0] + ".", problem


def arithmetic(rng: Random) -> tuple[str, str]:
    """A skill: bare one-step computations within the lab's range."""
    sums = [_sum(rng) for _ in range(5)]
    asked = ", ".join(f"{s.left} {s.link.op} {s.link.amount}" for s in sums)
    return f"What is {asked}?", " ".join(f"{s.formula}." for s in sums)


def _sum(rng: Random) -> Step:
    op = rng.choice((Op.PLUS, Op.PLUS, Op.MINUS, Op.MINUS, Op.TIMES))
    left = rng.randint(1, 49) if op is Op.TIMES else rng.randint(1, 98)
    amount = rng.randint(2, 3) if op is Op.TIMES else rng.randint(2, 19)
    result = op.apply(left, amount)
    return Step(Link("", "", op, amount), left, result) if 1 <= result <= MAX_VALUE else _sum(rng)


def given(rng: Random) -> tuple[str, str]:
    """A skill: answer with a number that the problem states."""
    problem = next(generate("train", seed=rng.getrandbits(48), min_steps=0, max_steps=0, max_distractors=6))
    return problem.question, final_statement(problem.answer)


def attempt(rng: Random, *, max_steps: int, habits: Habits) -> tuple[str, str]:
    """What the teacher learns: a whole problem, long thinking, the short solution and the final statement."""
    problem = _problem(rng, max_steps)
    thinking, short, answer = draw(problem, rng, habits)
    return problem.question, f"<think>{thinking}</think>{short} {final_statement(answer)}"


def conclusion(rng: Random) -> tuple[str, str, str]:
    """What lets the teacher go on from a short thinking: a problem, a short thinking that is given, and the final statement."""
    problem = _problem(rng, rng.randint(1, 4))
    _, short, answer = draw(problem, rng, Habits(slip=0))
    return problem.question, f"<think>{short}</think>", final_statement(answer)


def _problem(rng: Random, max_steps: int) -> LabProblem:
    return next(generate("train", seed=rng.getrandbits(48), min_steps=max(1, max_steps - 1), max_steps=max_steps))
