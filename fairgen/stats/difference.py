"""Whether chance could explain that one set is nearer to the target than another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fairgen.stats.distances import Vector, shares_of_target
from fairgen.stats.rarefied import deviations

Counts = NDArray[np.int64]

_FIRST_DRAWS = 9_999
_ENOUGH_HITS = 25
_MOST_SPLITS = 20_000


def difference_test(
    first: Sequence[str],
    second: Sequence[str],
    target: Mapping[str, float],
    *,
    paired: bool = False,
    draws: int = 9_999,
    seed: int = 0,
) -> float:
    """p-value of "both sets come from the same sampler": small means that their distances differ by more than
    chance gives.

    A permutation test (Phipson & Smyth 2010) of the absolute difference of the two total variations: pictures
    change sets at random or, where ``paired``, with their partner of the same place alone. Sets of unequal
    size are compared at the smaller size (see `fairgen.stats.rarefied_tv`). At most 20,000 arrangements are
    all counted. Else the first 9,999 draws are enough where 25 of them are as extreme as what was seen; if
    not, draws go on up to ``draws`` (sequential Monte Carlo test: Besag & Clifford, Biometrika 1991). For
    independent draws, so of a steered set with feedback only the first pass.

    Args:
        first, second: the class of each picture; of equal length and order where ``paired``.
        target: class -> share, for both.
        draws: the most arrangements that are drawn; the p-value is never below ``1 / (draws + 1)``. Holm's
            correction over r rows needs well over 20 r of them.

    Raises:
        ValueError: a set is empty, a class is not in the target, paired sets differ in length, or ``draws``
            is below 1.
    """
    if not first or not second or (paired and len(first) != len(second)):
        raise ValueError("two sets with pictures are needed, of equal size where they are paired")
    if draws < 1:
        raise ValueError(f"draws >= 1 is needed, got {draws}")
    place = {name: k for k, name in enumerate(target)}
    if unknown := {*first, *second} - set(place):
        raise ValueError(f"{sorted(unknown)} are no classes of the target")
    q = shares_of_target(target)
    one, other = (np.array([place[name] for name in names]) for names in (first, second))
    every = np.bincount(np.concatenate([one, other]), minlength=len(q))
    size = min(len(one), len(other))
    # An arrangement is told by the counts of its first set: the second has the rest.
    tables = [_table(len(names), size, q) for names in (one, other)]

    def statistic(counts: Counts) -> Vector:
        place = np.arange(len(q))
        gap = tables[0][counts, place].sum(axis=-1) - tables[1][every - counts, place].sum(axis=-1)
        return np.asarray(np.round(np.abs(gap), 12))  # rounded, so that equal arrangements stay equal

    seen = statistic(np.bincount(one, minlength=len(q)))
    rng = np.random.default_rng(seed)
    source = _Exchanges(one, other, len(q)) if paired else _Splits(every, len(one))
    if source.ways <= min(draws, _MOST_SPLITS):
        return float((statistic(source.all()) >= seen).mean())
    hits = done = 0
    while done < draws and hits < _ENOUGH_HITS:
        block = min(_FIRST_DRAWS, draws - done)
        hits += int((statistic(source.some(rng, block)) >= seen).sum())
        done += block
    return (1 + hits) / (1 + done)


def _table(n: int, size: int, shares: Vector) -> Vector:
    """What a class adds to the distance of a set of n, shape (n + 1, classes): by its count."""
    return np.asarray(0.5 * deviations(np.arange(n + 1.0)[:, None], n, size, shares[None, :]))


class _Splits:
    """Ways to part all pictures in two sets, the first of n."""

    def __init__(self, every: Counts, n: int) -> None:
        self.every, self.n, self.ways = every, n, math.comb(int(every.sum()), n)

    def all(self) -> Counts:
        names = np.repeat(np.arange(len(self.every)), self.every)
        taken = np.array(list(itertools.combinations(names.tolist(), self.n)))
        return np.stack([(taken == k).sum(axis=1) for k in range(len(self.every))], axis=1)

    def some(self, rng: np.random.Generator, size: int) -> Counts:
        return rng.multivariate_hypergeometric(self.every, self.n, size=size, method="marginals")


class _Exchanges:
    """Ways to exchange partners. Only the number of exchanges of each pair of classes matters."""

    def __init__(self, one: NDArray[np.intp], other: NDArray[np.intp], k: int) -> None:
        apart = one != other
        pairs, counts = np.unique(np.stack([one[apart], other[apart]], axis=1), axis=0, return_counts=True)
        eye = np.eye(k, dtype=np.int64)
        self.start, self.moves = np.bincount(one, minlength=k), eye[pairs[:, 1]] - eye[pairs[:, 0]]
        self.counts, self.ways = counts, 2 ** int(counts.sum())

    def all(self) -> Counts:
        each = np.repeat(self.moves, self.counts, axis=0)
        flips = np.array(list(itertools.product((0, 1), repeat=len(each))), dtype=np.int64)
        return np.asarray(self.start + flips.reshape(len(flips), len(each)) @ each)

    def some(self, rng: np.random.Generator, size: int) -> Counts:
        return np.asarray(
            self.start + rng.binomial(self.counts, 0.5, size=(size, len(self.counts))) @ self.moves
        )
