"""Simultaneous intervals of the shares of all classes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from scipy.optimize import brentq
from scipy.special import bdtrc

from fairgen.stats.distances import aligned, whole

__all__ = ["IntervalMethod", "simultaneous_intervals"]

IntervalMethod = Literal["mid-p", "clopper-pearson", "goodman"]


def simultaneous_intervals(
    counts: Mapping[str, int], *, level: float = 0.95, method: IntervalMethod = "mid-p"
) -> dict[str, tuple[float, float]]:
    """Intervals of all shares that hold together with probability ``level``, for independent draws.

    Each of the k classes gets an interval at ``1 - (1 - level) / k`` (Bonferroni):

    * ``mid-p``: the mid-P version of Clopper-Pearson, whose bounds solve
      ``P(X > x) + P(X = x) / 2 = alpha / 2`` and its mirror image (Lancaster, JASA 1961; Berry & Armitage,
      The Statistician 1995). Holds about as often as it says, seldom less often.
    * ``clopper-pearson``: exact, never covers less than it says, and so covers more: about 99 %.
    * ``goodman``: Goodman (Technometrics 1965); only where every count is 5 or more, below that it can cover
      far less than it says.

    Their coverage, by simulation, is in docs/statistics.md. The last two come from statsmodels.

    Args:
        counts: class -> number of pictures; classes that were not seen must be present with 0.

    Raises:
        ValueError: counts are empty, negative or not whole, ``level`` is outside (0, 1), or the method is
            unknown.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is in (0, 1), got {level}")
    if method not in get_args(IntervalMethod):
        raise ValueError(f"the method is one of {', '.join(get_args(IntervalMethod))}, got {method!r}")
    values = aligned(counts, counts)
    whole(values)
    n, k = int(values.sum()), len(values)
    alpha = (1 - level) / k
    if method == "mid-p":
        low = np.array([_mid_p_low(int(x), n, alpha) for x in values])
        high = np.array([1 - _mid_p_low(n - int(x), n, alpha) for x in values])
    else:
        # statsmodels takes more than a second to import: only those who ask for it wait.
        from statsmodels.stats.proportion import multinomial_proportions_confint, proportion_confint

        if method == "goodman":
            low, high = multinomial_proportions_confint(values, alpha=1 - level, method="goodman").T
        else:
            low, high = proportion_confint(values, n, alpha=alpha, method="beta")
    return {
        # At a count of 0 or n the bound is 0 or 1, which neither the beta quantile nor Goodman gives.
        name: (float(lo) if count > 0 else 0.0, float(hi) if count < n else 1.0)
        for name, count, lo, hi in zip(counts, values, low, high, strict=True)
    }


@lru_cache(maxsize=100_000)
def _mid_p_low(x: int, n: int, alpha: float) -> float:
    """The share at which ``P(X > x) + P(X = x) / 2 = alpha / 2``; 0 for ``x = 0``."""
    if x == 0:
        return 0.0

    def gap(share: float) -> float:
        # bdtrc(k, n, p) = P(X > k)
        return float((bdtrc(x, n, share) + bdtrc(x - 1, n, share)) / 2 - alpha / 2)

    return float(brentq(gap, 0.0, 1.0, xtol=1e-12))
