"""Total variation at a smaller size, so that sets of unequal size can be compared, alone or over prompts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from fairgen.stats.across import PairedDifference, paired_difference
from fairgen.stats.distances import Vector, aligned, shares_of_target, whole

SetPair = tuple[Mapping[str, int], Mapping[str, int], Mapping[str, float]]
"""Counts of the two sets of one prompt, and their target."""


def rarefied_tv(counts: Mapping[str, int], target: Mapping[str, float], size: int) -> float:
    """Mean total variation of all subsets of ``size`` pictures, in [0, 1]: the distance that the sampler
    gives with that many pictures.

    Small sets are further from any target by chance, so distances are compared at one size (rarefaction:
    Hurlbert, Ecology 1971). The mean over all subsets drawn without replacement is exact: the count of each
    class is hypergeometric. For independent draws its expectation is that of a set of ``size`` pictures.

    Args:
        counts: class -> number of pictures.
        target: class -> declared share.
        size: pictures of each subset, from 1 to the sum of the counts.

    Raises:
        ValueError: as for `fairgen.stats.total_variation`, a count is not whole, or ``size`` is out of range.
    """
    values, q = aligned(counts, target), shares_of_target(target)
    whole(values)
    n = int(values.sum())
    if not 1 <= size <= n:
        raise ValueError(f"a subset of {n} pictures has 1 to {n}, got {size}")
    return float(0.5 * deviations(values, n, size, q).sum())


def common_size(first: Mapping[str, int], second: Mapping[str, int], part: float = 1.0) -> int:
    """The size at which two sets are compared: ``part`` of the smaller count, rounded up."""
    return math.ceil(part * min(sum(first.values()), sum(second.values())) - 1e-9)


def paired_rarefied(pairs: Sequence[SetPair], part: float = 1.0) -> PairedDifference:
    """How the total variation of the second sets differs from that of the first, each pair at one size.

    Args:
        pairs: at least two, no set empty.
        part: share of the smaller count at which a pair is compared, in (0, 1]. Below 1 distances have more
            values: at the smaller count itself many are equal, and ties hide differences.
    """
    return paired_difference(*_both(pairs, part))


def rarefied_gaps(pairs: Sequence[SetPair], part: float = 1.0) -> list[float]:
    """The same differences (second less first, in [-1, 1]), one a pair."""
    return [b - a for a, b in zip(*_both(pairs, part), strict=True)]


def _both(pairs: Sequence[SetPair], part: float) -> tuple[list[float], list[float]]:
    sizes = [common_size(a, b, part) for a, b, _ in pairs]
    first = [rarefied_tv(a, target, size) for (a, _, target), size in zip(pairs, sizes, strict=True)]
    second = [rarefied_tv(b, target, size) for (_, b, target), size in zip(pairs, sizes, strict=True)]
    return first, second


def deviations(counts: Vector, n: int, size: int, shares: Vector) -> Vector:
    """``E|X / size - share|`` where X of ``size`` pictures, drawn from n without replacement, are of a class
    that has ``counts`` pictures. Broadcasts; closed form from the law's distribution function.
    """
    if size == n:
        return np.asarray(np.abs(counts / n - shares))
    from scipy.stats import hypergeom  # slow, and most commands come without it

    wanted = size * shares
    below, mean = np.floor(wanted + 1e-9), size * counts / n
    lower = hypergeom.cdf(below, n, counts, size)
    # E[X; X <= v] = mean * P(X' <= v - 1), where X' is of one picture fewer everywhere.
    partial = np.where(
        counts > 0, mean * hypergeom.cdf(below - 1, n - 1, np.maximum(counts - 1, 0), size - 1), 0.0
    )
    return np.asarray((mean - wanted + 2 * (wanted * lower - partial)) / size)
