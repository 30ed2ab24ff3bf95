"""Figures over many prompts: each prompt is one observation, whatever the number of its pictures.

Pictures of one prompt resemble each other, so an interval over all pictures at once would be too narrow. The
prompts are drawn anew instead, each with all its pictures (cluster bootstrap: Davison & Hinkley 1997, section
3.8). That says how far the mean would move with other prompts *of the same kind*.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairgen.stats.distances import Vector


@dataclass(frozen=True)
class MeanInterval:
    """A mean over prompts and its interval (low, high) at ``level``; without width where all values are
    equal.
    """

    mean: float
    low: float
    high: float
    level: float
    prompts: int


@dataclass(frozen=True)
class PairedDifference:
    """How the second arm differs from the first, prompt by prompt."""

    difference: MeanInterval
    """Of ``b - a``: below 0 where the second arm is lower."""
    p_value: float
    """Of "on each prompt the two arms might as well be exchanged"; two-sided."""
    lower: int
    """Prompts on which the second arm is lower."""
    higher: int
    exact: bool
    """Whether every exchange was counted, or a seeded sample of them."""


def observations(values: Sequence[float]) -> Vector:
    """The values of two or more prompts. Raises `ValueError` where they are fewer, or not finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size < 2 or not np.isfinite(array).all():
        raise ValueError(f"two prompts or more with finite values are needed, got {list(values)}")
    return array


def mean_interval(
    values: Sequence[float], *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> MeanInterval:
    """The mean of one value a prompt (such as its total variation), with a bootstrap interval over prompts.

    It takes the prompts that were seen for all there are: where a few in a hundred are far off it is too
    narrow, and `fairgen.stats.bounded_mean_interval` holds.

    The percentile bootstrap of `scipy.stats.bootstrap` at the expanded level of Hesterberg (The American
    Statistician 2015), ``2 Phi(t sqrt(n / (n - 1))) - 1`` with t the quantile of Student's law:
    the plain one is too narrow for few prompts. No interval reaches beyond the values themselves, so with
    fewer than six prompts it still covers less than it says.

    Raises:
        ValueError: fewer than two values, one that is not finite, ``level`` outside (0, 1), or ``draws``
            below 1.
    """
    import scipy.stats  # slow, and most commands come without it

    array = observations(values)
    if draws < 1 or not 0 < level < 1:
        raise ValueError(f"draws >= 1 and level in (0, 1) are needed, got {draws}, {level}")
    mean = float(array.mean())
    if np.ptp(array) <= 1e-12 * max(1.0, float(np.abs(array).max())):  # rounding is no spread
        return MeanInterval(mean, mean, mean, level, array.size)
    n = array.size
    t = scipy.stats.t.ppf((1 + level) / 2, n - 1)
    expanded = 2 * scipy.stats.norm.cdf(t * math.sqrt(n / (n - 1))) - 1
    found = scipy.stats.bootstrap(
        (array,),
        np.mean,
        n_resamples=draws,
        confidence_level=float(expanded),
        method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return MeanInterval(mean, float(found.low), float(found.high), level, array.size)


def paired_difference(
    a: Sequence[float], b: Sequence[float], *, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> PairedDifference:
    """Compare two arms that were run on the same prompts.

    The test exchanges the arms of each prompt (paired permutation test of the mean difference: Fisher 1935;
    `scipy.stats.permutation_test`). All 2^prompts exchanges are counted where they are at most ``draws``,
    else a random sample, for which the p-value is never below ``1 / (draws + 1)``.

    Args:
        a, b: one value a prompt, in the same order of prompts.

    Raises:
        ValueError: as for :func:`mean_interval`, or the arms differ in length.
    """
    import scipy.stats

    first, second = observations(a), observations(b)
    if first.size != second.size:
        raise ValueError(f"the arms have the same prompts, got {first.size} and {second.size} values")
    gaps = second - first
    interval = mean_interval(gaps.tolist(), level=level, draws=draws, seed=seed)
    test = scipy.stats.permutation_test(
        (second, first),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=draws,
        random_state=np.random.default_rng(seed),
    )
    return PairedDifference(
        difference=interval,
        p_value=float(test.pvalue),
        lower=int((gaps < 0).sum()),
        higher=int((gaps > 0).sum()),
        exact=bool(2.0**first.size <= draws),
    )
