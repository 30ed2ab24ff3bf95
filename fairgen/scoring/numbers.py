"""Counts -> the figures of a report; thin over `fairgen.stats`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairgen import stats

MEETS_WITHIN = 0.1
"""Total variation within which a set counts as meeting its target."""


def bars(counts: Mapping[str, int]) -> dict[str, Bar]:
    """Count and share of every class (0 for all where nothing was counted)."""
    total = sum(counts.values())
    return {key: Bar(count, count / total if total else 0.0) for key, count in counts.items()}


def chance_band(target: Mapping[str, float], n: int) -> dict[str, tuple[float, float]]:
    """Class -> (low, high) share: where nine of ten independent samples of ``n`` pictures land.

    The central 90 % of the binomial distribution with ``n`` draws and the declared share.
    """
    from scipy.stats import binom

    low_high = {}
    for key, share in target.items():
        low, high = binom.interval(0.9, n, share)
        low_high[key] = (float(low) / n, float(high) / n)
    return low_high


def arm_figures(
    counts: Mapping[str, int],
    target: Mapping[str, float],
    probabilities: Sequence[Mapping[str, float]],
    *,
    independent: bool,
) -> Figures | None:
    """Distances of a set from its target; None for an empty set.

    ``probabilities`` are the reader's, class -> probability, one a counted picture. The two tests are given
    only where the pictures are independent draws.
    """
    n = sum(counts.values())
    if n == 0:
        return None
    tv = stats.total_variation(counts, target)
    floor = stats.noise_floor(target, n)
    return Figures(
        n=n,
        tv=tv,
        alignment_error=stats.alignment_error(counts, target),
        fd=stats.fd(counts, target),
        kl=stats.kl(counts, target),
        floor_tv=floor,
        off=tv * n,
        chance_off=floor * n,
        p_value=stats.multinomial_test(counts, target) if independent else None,
        p_meets=stats.equivalence_test(counts, target, MEETS_WITHIN) if independent else None,
        tv_read=stats.bootstrap(probabilities, target, redraw_pictures=False).tv,
    )


def intervals(counts: Mapping[str, int]) -> dict[str, tuple[float, float]]:
    """Class -> simultaneous 95 % interval of its share; see `fairgen.stats`."""
    return stats.simultaneous_intervals(counts)


@dataclass(frozen=True)
class Bar:
    """One class of one arm: whole count and share (0-1)."""

    count: int
    share: float


@dataclass(frozen=True)
class Figures:
    """How far a set of ``n`` counted pictures is from the declared target.

    ``off`` is the number of pictures that would have to change class (n times the total variation),
    ``chance_off`` the mean of that number for a perfect sampler that draws each picture independently.
    ``p_value`` is small where the sampler differs from the target, ``p_meets`` where it is near it; both
    None unless the pictures are independent draws. ``tv_read`` is the 95 % range of the TV that reading
    errors alone give.
    """

    n: int
    tv: float
    alignment_error: float
    fd: float
    kl: float
    floor_tv: float
    off: float
    chance_off: float
    p_value: float | None
    p_meets: float | None
    tv_read: tuple[float, float]
