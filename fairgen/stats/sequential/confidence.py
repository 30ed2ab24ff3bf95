"""Intervals of shares that hold at every moment of a stream together."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.special import betaln, xlog1py, xlogy

from fairgen.stats.distances import Vector, aligned, whole

_PRIOR = 0.5
"""Both parameters of the beta law over which the share is mixed (Jeffreys)."""


def log_excess(x: Vector, n: Vector | float, share: Vector) -> Vector:
    """Logarithm of the mixture martingale of "the class has this share" after x of n pictures.

    The likelihood of x, mixed over Beta(1/2, 1/2), over that of ``share``: B(x + 1/2, n - x + 1/2) /
    (B(1/2, 1/2) share^x (1 - share)^(n - x)) (Robbins, Annals of Mathematical Statistics 1970; for counts
    Lindon & Malek, NeurIPS 2022).
    """
    mixed = betaln(x + _PRIOR, n - x + _PRIOR) - betaln(_PRIOR, _PRIOR)
    return np.asarray(mixed - xlogy(x, share) - xlog1py(n - x, -share))


def share_sequence(counts: Mapping[str, int], *, level: float = 0.95) -> dict[str, tuple[float, float]]:
    """Intervals of all shares that hold together, and at all moments of the stream, with probability
    ``level``.

    Each of the k classes gets all shares at which the mixture martingale (`log_excess`) is below k /
    (1 - level): by Ville's inequality it ever leaves the true share out with probability (1 - level) / k at
    most, and the classes share the error (Bonferroni). Intervals for one moment alone are narrower
    (`fairgen.stats.simultaneous_intervals`).

    Args:
        counts: class -> number of pictures so far; classes that were not seen must be present with 0. Before
            the first picture all intervals are (0, 1).
        level: probability, in (0, 1).

    Raises:
        ValueError: counts are negative or not whole, or ``level`` is outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level is in (0, 1), got {level}")
    if not any(counts.values()):
        return dict.fromkeys(counts, (0.0, 1.0))
    x = aligned(counts, counts)
    whole(x)
    n, line = float(x.sum()), math.log(len(x) / (1 - level))
    low = _edge(x, n, line, np.zeros_like(x))
    high = _edge(x, n, line, np.ones_like(x))
    return {name: (float(a), float(b)) for name, a, b in zip(counts, low, high, strict=True)}


def _edge(x: Vector, n: float, line: float, outer: Vector) -> Vector:
    """Where the martingale crosses the line between the measured share and the outer end; the end where it
    does not. Bisection: it grows with the distance from the measured share.
    """
    inner, far = x / n, outer.copy()
    for _ in range(60):
        middle = (inner + far) / 2
        inside = log_excess(x, n, middle) < line
        inner, far = np.where(inside, middle, inner), np.where(inside, far, middle)
    return np.asarray(np.where(log_excess(x, n, outer) < line, outer, far))
