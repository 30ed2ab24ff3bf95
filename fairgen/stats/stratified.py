"""Whether two groups of vectors differ in their means, tested within strata by permutation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairgen.stats.distances import Vector

Distance = Callable[[Vector], Vector]
"""From differences of mean vectors, shape (..., classes), to how large each is, shape (...)."""

_BATCH = 1_000


def half_l1(difference: Vector) -> Vector:
    """Half the sum of absolute values: the total variation where the vectors are shares. 0 to 1."""
    return np.asarray(0.5 * np.abs(difference).sum(axis=-1))


def along_scale(difference: Vector) -> Vector:
    """The earth mover's distance along ordered, equally spaced classes, over the length of the scale.

    0: no difference; 1: everything moved from the first class to the last.
    """
    steps = np.abs(np.cumsum(difference, axis=-1)[..., :-1])
    return np.asarray(steps.sum(axis=-1) / max(difference.shape[-1] - 1, 1))


@dataclass(frozen=True)
class StratifiedTest:
    """What `stratified_test` found.

    Attributes:
        distance: of the two groups' mean vectors.
        p_value: of "within each stratum, which group a vector belongs to does not matter".
        exact: every arrangement was counted; else a seeded sample of them.
        null: the distance in each arrangement, sorted.
    """

    distance: float
    p_value: float
    exact: bool
    null: NDArray[np.float64]

    def chance(self, level: float) -> float:
        """The distance that chance alone stays below in a fraction ``level`` of the arrangements."""
        return float(np.quantile(self.null, level, method="inverted_cdf"))


def weights(first: Sequence[Vector], second: Sequence[Vector]) -> Vector:
    """Of each stratum: n m / (n + m), which gives the difference the least variance; they sum to 1."""
    raw = np.array([len(a) * len(b) / (len(a) + len(b)) for a, b in zip(first, second, strict=True)])
    return np.asarray(raw / raw.sum())


def _checked(groups: Sequence[Vector]) -> list[Vector]:
    arrays = [np.asarray(stratum, dtype=np.float64) for stratum in groups]
    if not arrays or any(a.ndim != 2 or not len(a) or not np.isfinite(a).all() for a in arrays):
        raise ValueError("each stratum holds one or more finite vectors of each group, shape (n, classes)")
    return arrays


def mean_difference(first: Sequence[Vector], second: Sequence[Vector]) -> Vector:
    """The mean of ``second - first`` over strata, each weighted by n m / (n + m). Shape (classes,).

    Args:
        first: for each stratum the vectors of the first group, shape (n, classes).
        second: the same strata of the second group.

    Raises:
        ValueError: there is no stratum, one is empty, or a value is not finite.
    """
    a, b = _checked(first), _checked(second)
    rows = [y.mean(axis=0) - x.mean(axis=0) for x, y in zip(a, b, strict=True)]
    return np.asarray(weights(a, b) @ np.stack(rows))


def stratified_test(
    first: Sequence[Vector],
    second: Sequence[Vector],
    distance: Distance = half_l1,
    *,
    draws: int = 9_999,
    exact_up_to: int = 20_000,
    seed: int = 0,
) -> StratifiedTest:
    """Test whether two groups of vectors have the same mean, by exchanging vectors within strata only.

    The statistic is the distance of `mean_difference`. All arrangements are counted where there are at most
    ``exact_up_to``; else ``draws`` random ones give ``p = (1 + hits) / (1 + draws)`` (Phipson & Smyth 2010).
    Exchange within strata: Good, Permutation, Parametric and Bootstrap Tests of Hypotheses (2005), chapter 4.

    Args:
        first: for each stratum the vectors of the first group, shape (n, classes).
        second: the same strata of the second group, shape (m, classes).
        distance: what is large where the groups differ.
        draws: random arrangements, at least 1.
        exact_up_to: the most arrangements that are all counted.
        seed: of the random arrangements.

    Raises:
        ValueError: there is no stratum, one is empty, or a value is not finite.
    """
    a, b = _checked(first), _checked(second)
    seen = float(np.round(distance(mean_difference(a, b)), 12))
    ways = math.prod(math.comb(len(x) + len(y), len(x)) for x, y in zip(a, b, strict=True))
    exact = ways <= exact_up_to
    differences = _every_difference(a, b) if exact else _some_differences(a, b, draws, seed)
    null = np.sort(np.round(distance(differences), 12))  # rounded, so that equal arrangements stay equal
    hits = int((null >= seen).sum())
    p_value = hits / len(null) if exact else (1 + hits) / (1 + draws)
    return StratifiedTest(seen, p_value, exact, null)


def _split(pool: Vector, taken: NDArray[np.intp], n: int) -> Vector:
    """The difference of means where the rows ``taken``, shape (ways, n), are the first group."""
    first = pool[taken].sum(axis=1)
    return np.asarray((pool.sum(axis=0) - first) / (len(pool) - n) - first / n)


def _every_difference(first: list[Vector], second: list[Vector]) -> Vector:
    total = np.zeros((1, first[0].shape[1]))
    for weight, x, y in zip(weights(first, second), first, second, strict=True):
        taken = np.array(list(itertools.combinations(range(len(x) + len(y)), len(x))), dtype=np.intp)
        here = weight * _split(np.concatenate([x, y]), taken, len(x))
        total = (total[:, None] + here[None]).reshape(-1, total.shape[1])
    return total


def _some_differences(first: list[Vector], second: list[Vector], draws: int, seed: int) -> Vector:
    rng = np.random.default_rng(seed)
    total = np.zeros((draws, first[0].shape[1]))
    for weight, x, y in zip(weights(first, second), first, second, strict=True):
        pool, n = np.concatenate([x, y]), len(x)
        for start in range(0, draws, _BATCH):
            count = min(_BATCH, draws - start)
            taken = np.argsort(rng.random((count, len(pool))), axis=1)[:, :n]
            total[start : start + count] += weight * _split(pool, taken, n)
    return total
