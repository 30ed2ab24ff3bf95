"""How likely a stratified test would have seen a difference of a given size, at the noise that was seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairgen.stats.distances import Vector
from fairgen.stats.stratified import Distance, half_l1, weights


def shifts(shares: Vector, size: float, *, count: int = 64, seed: int = 0) -> Vector:
    """Ways to move ``size`` of the total from some classes to the others, shape (ways, classes).

    Each way splits the classes into two groups at random. Givers lose, and takers gain, in proportion to
    their shares, so that the total variation of every shift is ``size``. Such an even shift is the hardest of
    its size to see: one between two classes alone stands out more.

    Args:
        shares: where the mass is, shape (classes,), sums to 1.
        size: total variation of each shift, 0 to 1.
        count: how many splits are drawn.
        seed: of the splits.

    Returns:
        No rows where no group of classes holds more than ``size``.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        takes = rng.random(len(shares)) < 0.5
        given, taken = shares[~takes].sum(), shares[takes].sum()
        if given >= size and given > 0 and taken > 0:
            rows.append(size * np.where(takes, shares / taken, -shares / given))
    return np.array(rows).reshape(-1, len(shares))


def shift_power(
    first: Sequence[Vector],
    second: Sequence[Vector],
    size: float,
    critical: float,
    distance: Distance = half_l1,
    *,
    draws: int = 4_000,
    seed: int = 0,
) -> float | None:
    """The chance, 0 to 1, that two groups like these differ by more than ``critical`` where the true
    difference of their means is one of the `shifts` of this size.

    Vectors are drawn anew from each group's own residuals in each stratum, scaled by sqrt(n / (n - 1))
    (residual bootstrap: Davison & Hinkley 1997, section 3.3).

    Args:
        first: for each stratum the vectors of the first group, shape (n, classes).
        second: the same strata of the second group.
        size: total variation of the true difference, 0 to 1.
        critical: the distance above which the test rejects, such as `StratifiedTest.chance`.
        distance: as in the test.
        draws: simulated pairs of groups.
        seed: of the simulation.

    Returns:
        None where it cannot be told: a group has one vector only in every stratum, or no shift of this size
        is possible.
    """
    if not any(len(x) > 1 for x in first) or not any(len(y) > 1 for y in second):
        return None
    centre = np.concatenate([*first, *second]).mean(axis=0)
    if centre.sum() <= 0:
        return None
    ways = shifts(np.maximum(centre, 0) / centre.sum(), size, seed=seed)
    if not len(ways):
        return None
    rng = np.random.default_rng(seed)
    total = ways[rng.integers(len(ways), size=draws)]
    for weight, x, y in zip(weights(first, second), first, second, strict=True):
        total = total + weight * (_noise(y, rng, draws) - _noise(x, rng, draws))
    return float((np.round(distance(total), 12) > critical).mean())


def _noise(vectors: Vector, rng: np.random.Generator, draws: int) -> Vector:
    """Means of as many residuals as there are vectors, shape (draws, classes)."""
    n = len(vectors)
    residuals = (vectors - vectors.mean(axis=0)) * np.sqrt(n / max(n - 1, 1))
    return np.asarray(residuals[rng.integers(n, size=(draws, n))].mean(axis=1))
