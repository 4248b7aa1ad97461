"""Pairs of traces of one problem, the better one first: what preference objectives learn from.

Lengths are those of the texts that are trained, in the writer's tokens. Sources: Kimi k1.5's long2short (arXiv 2501.12599), DAST (arXiv
2503.04472).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from data.negatives import USUAL, Flaw, Negative, ordered, tokens_of, unique
from data.records import TEACHER, Section, Trace

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Rule(Section):
    """What all rules have."""

    problems: Literal["shared", "all"] = "shared"
    """Of the problems that all students share, or of all training problems."""


class RightOverWrong(Rule):
    """The shortest right trace against the longest wrong one, the next shortest against the next longest, and so on.

    Unlike in Kimi's rule, the wrong one may be shorter than the right one: most wrong traces of a problem are.
    """

    rule: Literal["right_over_wrong"]
    right: Name = TEACHER
    """Writer of the right traces."""
    wrong: Name = TEACHER
    """Writer of the wrong ones."""
    flaws: tuple[Flaw, ...] = USUAL
    per_problem: int = Field(1, ge=1)


class ShortOverLong(Rule):
    """A right short trace against a right long one."""

    rule: Literal["short_over_long"]
    short: Name
    """Writer of the short traces."""
    long: Name = TEACHER
    """Writer of the long ones."""
    ratio: float = Field(1.5, ge=1)
    """The long one has at least so many times the tokens of the short one."""
    per_problem: int = Field(1, ge=1)


class ByBudget(Rule):
    """The teacher's draws of equal outcome, ranked by how they keep to a budget that depends on the problem's difficulty (DAST)."""

    rule: Literal["budget"]
    max_tokens: int = Field(ge=1)
    """The budget of a problem that no draw solves (L_max)."""
    margin: float = Field(0.15, gt=0)
    """Scores of a pair differ by at least this."""
    outcomes: tuple[Literal["right", "wrong"], ...] = ("right", "wrong")
    """Pairs of right draws (DCP), of wrong ones (DICP), or both."""
    flaws: tuple[Flaw, ...] = USUAL
    """Of the wrong draws."""


class ByDraw(Rule):
    """Right traces against wrong ones in the order of their draws, so that neither side is chosen by its length: for rankers.

    Traces without an answer are no wrong side, since they never vote.
    """

    rule: Literal["draws"]
    right: Name = TEACHER
    """Writer of the right traces."""
    wrong: Name = TEACHER
    """Writer of the wrong ones."""
    per_problem: int = Field(1, ge=1)


PairRule = Annotated[RightOverWrong | ShortOverLong | ByBudget | ByDraw, Field(discriminator="rule")]


class Side(NamedTuple):
    """One trace of a pair, with the text that stands for it and what it is."""

    trace: Trace
    text: str
    reason: str


class Pair(NamedTuple):
    """Two traces of one problem."""

    chosen: Side
    rejected: Side


class Choices(NamedTuple):
    """What there is of one problem, by writer and in draw order."""

    right: Mapping[str, Sequence[Side]]
    wrong: Mapping[str, Sequence[Negative]]
    pass_rate: float
    """Share of right draws among all of the teacher's."""
    right_tokens: float | None
    """Mean length of the right ones; None without any."""


def right_writers(rule: PairRule) -> set[str]:
    """The writers whose right traces a rule takes."""
    if isinstance(rule, RightOverWrong | ByDraw):
        return {rule.right}
    return {rule.short, rule.long} if isinstance(rule, ShortOverLong) else {TEACHER}


def wrong_writers(rule: PairRule) -> set[str]:
    """The writers whose wrong traces a rule takes."""
    if isinstance(rule, RightOverWrong | ByDraw):
        return {rule.wrong}
    return set() if isinstance(rule, ShortOverLong) else {TEACHER}


def pairs_per_problem(rule: PairRule) -> int:
    """At most how many pairs a problem gives."""
    return len(rule.outcomes) if isinstance(rule, ByBudget) else rule.per_problem


def pairs(rule: PairRule, choices: Choices) -> list[Pair]:
    """The pairs of one problem; equal texts count once, and no trace is paired with its like."""
    if isinstance(rule, RightOverWrong):
        found = _right_over_wrong(rule, choices)
    elif isinstance(rule, ShortOverLong):
        found = _short_over_long(rule, choices)
    elif isinstance(rule, ByDraw):
        found = _by_draw(rule, choices)
    else:
        found = _by_budget(rule, choices)
    return [pair for pair in found if pair.chosen.text != pair.rejected.text]


def _right_over_wrong(rule: RightOverWrong, choices: Choices) -> Iterator[Pair]:
    right = sorted(_sides(choices.right.get(rule.right, ())), key=_tokens)
    wrong = unique(one for one in choices.wrong.get(rule.wrong, ()) if one.flaw in rule.flaws)
    for chosen, rejected in list(zip(right, ordered(wrong, "longest"), strict=False))[: rule.per_problem]:
        yield Pair(chosen, _side(rejected))


def _short_over_long(rule: ShortOverLong, choices: Choices) -> Iterator[Pair]:
    short = sorted(_sides(choices.right.get(rule.short, ())), key=_tokens)
    long = sorted(_sides(choices.right.get(rule.long, ())), key=_tokens, reverse=True)
    for chosen, rejected in list(zip(short, long, strict=False))[: rule.per_problem]:
        if _tokens(rejected) >= rule.ratio * _tokens(chosen):
            yield Pair(chosen, rejected)


def _by_draw(rule: ByDraw, choices: Choices) -> Iterator[Pair]:
    right = _sides(choices.right.get(rule.right, ()))
    wrong = unique(one for one in choices.wrong.get(rule.wrong, ()) if one.flaw in (Flaw.WRONG, Flaw.CONTRADICTORY))
    for chosen, rejected in list(zip(right, wrong, strict=False))[: rule.per_problem]:
        yield Pair(chosen, _side(rejected))


def _by_budget(rule: ByBudget, choices: Choices) -> Iterator[Pair]:
    right = _sides(choices.right.get(TEACHER, ()))
    wrong = [_side(one) for one in unique(one for one in choices.wrong.get(TEACHER, ()) if one.flaw in rule.flaws)]
    budget = token_budget(choices.right_tokens, pass_rate=choices.pass_rate, most=rule.max_tokens)
    scored = {
        "right": [(score_right(_tokens(side) / budget - 1), side) for side in right],
        "wrong": [(score_wrong(_tokens(side) / budget - 1), side) for side in wrong],
    }
    for outcome, sides in scored.items():
        if outcome in rule.outcomes and sides:
            (high, best), (low, worst) = max(sides, key=_score), min(sides, key=_score)
            if high - low >= rule.margin:
                yield Pair(best, worst)


def _score(scored: tuple[float, Side]) -> float:
    return scored[0]


def token_budget(right_tokens: float | None, *, pass_rate: float, most: int) -> float:
    """How many tokens a problem is worth: p · mean length of its right draws + (1 - p) · `most` (DAST, L_budget)."""
    return pass_rate * (most if right_tokens is None else right_tokens) + (1 - pass_rate) * most


def score_right(excess: float) -> float:
    """DAST's score of a right draw that exceeds its budget by the share `excess`: the shorter, the better, never below 0.1."""
    return max(-0.5 * excess + 0.5, 0.1)


def score_wrong(excess: float) -> float:
    """DAST's score of a wrong draw: the longer, the better up to the budget, never above -0.1."""
    return min(0.9 * excess - 0.1, -0.1)


def _sides(sides: Sequence[Side]) -> list[Side]:
    """The first of those with equal texts."""
    found: dict[str, Side] = {}
    for side in sides:
        found.setdefault(side.text, side)
    return list(found.values())


def _side(one: Negative) -> Side:
    return Side(one.trace, one.text, one.flaw.value)


def _tokens(side: Side) -> float:
    return tokens_of(side.text, side.trace)
