"""Resampling over problems: intervals, p-values, and their correction for several comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEVEL = 0.95
BLOCK_CELLS = 4_000_000
"""Resamples are made in blocks of at most so many numbers, to bound memory."""


class Estimate(NamedTuple):
    """A number with its 95 % interval; None where it is not defined (or has no bound)."""

    value: float | None
    low: float | None
    high: float | None


def ratios(numerators_SPM: Floats, denominators_SPM: Floats) -> Floats:
    """Ratio of sums over problems, (students, measures); NaN where the denominator is 0."""
    return _divide(numerators_SPM.sum(axis=1), denominators_SPM.sum(axis=1))


def resampled_ratios(numerators_SPM: Floats, denominators_SPM: Floats, *, resamples: int, seed: int) -> Floats:
    """`ratios` in `resamples` draws of whole problems with replacement: (resamples, students, measures).

    All students see the same resampled problems, so that differences between them are paired. (Efron 1979; clusters: problems.)
    """
    import numpy as np

    blocks = []
    for weights_BP in _weights(numerators_SPM.shape[1], resamples=resamples, seed=seed):
        numerators = np.einsum("bp,spm->bsm", weights_BP, numerators_SPM, optimize=True)
        denominators = np.einsum("bp,spm->bsm", weights_BP, denominators_SPM, optimize=True)
        blocks.append(_divide(numerators, denominators))
    return np.concatenate(blocks)


def _weights(problems: int, *, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each problem is drawn, in blocks of (resamples of the block, problems)."""
    import numpy as np

    rng = np.random.default_rng(seed)
    block = max(1, BLOCK_CELLS // problems)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = rng.integers(problems, size=(rows, problems)) + problems * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * problems).reshape(rows, problems).astype(np.float64)


def _divide(numerators: Floats, denominators: Floats) -> Floats:
    import numpy as np

    return np.divide(numerators, denominators, out=np.full_like(numerators, np.nan), where=denominators > 0)


def estimate(value: float, resampled_B: Floats) -> Estimate:
    """The 95 % percentile interval around `value`. Resamples without a value count as beyond the upper bound."""
    import numpy as np

    tail = (1 - LEVEL) / 2
    ordered = np.where(np.isnan(resampled_B), np.inf, resampled_B)
    low, high = np.quantile(ordered, [tail, 1 - tail], method="inverted_cdf")
    return Estimate(*(float(number) if isfinite(number) else None for number in (value, low, high)))


def sign_flip_p(differences_PK: Floats, *, resamples: int, seed: int) -> Floats:
    """Two-sided p-values (K,) of a paired permutation test: under "no difference" every problem's sign is a coin toss (Fisher 1935).

    Counts the observed signs as one permutation, so that no p-value is 0.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    observed_K = np.abs(differences_PK.sum(axis=0))
    problems = differences_PK.shape[0]
    block = max(1, BLOCK_CELLS // problems)
    reached_K = np.ones(differences_PK.shape[1])
    for start in range(0, resamples, block):
        signs_BP = 2.0 * rng.integers(2, size=(min(block, resamples - start), problems)) - 1.0
        reached_K += (np.abs(signs_BP @ differences_PK) >= observed_K - 1e-9).sum(axis=0)
    return reached_K / (resamples + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, in the order given (Holm 1979, step-down)."""
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected
