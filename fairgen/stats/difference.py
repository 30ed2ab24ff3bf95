"""Whether chance could explain that one set is nearer to the target than another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fairgen.stats.distances import shares_of_target

__all__ = ["difference_test"]


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

    A permutation test (Phipson & Smyth 2010; `scipy.stats.permutation_test`) of the absolute difference of
    the two total variations: pictures change sets at random or, where ``paired``, with their partner of the
    same place alone. Few enough arrangements are all gone through. For independent draws, so of a steered set
    with feedback only the first pass.

    Args:
        first, second: the class of each picture; of equal length and order where ``paired``.
        target: class -> share, for both.

    Raises:
        ValueError: a set is empty, a class is not in the target, or paired sets differ in length.
    """
    if not first or not second or (paired and len(first) != len(second)):
        raise ValueError("two sets with pictures are needed, of equal size where they are paired")
    place = {name: k for k, name in enumerate(target)}
    if unknown := {*first, *second} - set(place):
        raise ValueError(f"{sorted(unknown)} are no classes of the target")
    q = shares_of_target(target)

    def distance(codes: NDArray[np.float64]) -> NDArray[np.float64]:
        shares = np.stack([(codes == k).mean(axis=-1) for k in range(len(q))], axis=-1)
        return np.asarray(0.5 * np.abs(shares - q).sum(axis=-1))

    def statistic(x: NDArray[np.float64], y: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        x, y = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
        # Rounded, so that equal arrangements stay equal.
        return np.asarray(np.round(np.abs(distance(x) - distance(y)), 12))

    from scipy.stats import permutation_test

    found = permutation_test(
        tuple(np.array([place[name] for name in names], dtype=float) for names in (first, second)),
        statistic,
        permutation_type="samples" if paired else "independent",
        vectorized=True,
        n_resamples=draws,
        alternative="greater",
        random_state=np.random.default_rng(seed),
        batch=1_000,
    )
    return float(found.pvalue)
