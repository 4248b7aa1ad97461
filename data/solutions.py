"""Where a thinking first reaches the right answer: its first solution, and what it does after that.

After "first correct solution" of arXiv 2412.21187, by rules in place of a model that divides: a solution ends with the first step that
concludes with the right answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from data.records import Outcome, Reference
from data.verifiers.judge import VERIFIERS
from data.verifiers.stated import last_stated, stated
from data.verifiers.statements import statements

CONCLUDES = re.compile(
    r"=|≈|\b(?:so|thus|hence|therefore|total|result|answer|altogether|finally|also|daher|somit|donc|ainsi|entonces|luego|quindi|итого|значит)\b"
    r"|所以|因此|共|答|따라서|したがって",
    re.IGNORECASE,
)
"""A step that says or computes something, as opposed to one that repeats what is given."""
SPACE = re.compile(r"\s+|\\[,;!]|\\(?:left|right)(?![a-zA-Z])|[{}$]")


def solutions(steps: Sequence[str], reference: Reference) -> list[int]:
    """Indices of the steps that conclude with the right answer, in order."""
    return [index for index, step in enumerate(steps) if (CONCLUDES.search(step) or statements(step)) and _states(step, reference)]


def _states(step: str, reference: Reference) -> bool:
    """Whether the step's last result is the gold answer; what only a process of its own can judge is compared as written, since
    re-verification judges it anyway.
    """
    if VERIFIERS[reference.kind].INLINE:
        return stated(reference, step) is Outcome.RIGHT
    found = last_stated(reference, step)
    return found is not None and _plain(found) == _plain(reference.value)


def _plain(expression: str) -> str:
    return SPACE.sub("", expression).replace("dfrac", "frac").replace("tfrac", "frac")
