"""Simultaneous intervals of shares by several methods, for `simulations.py`."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import bdtrc
from statsmodels.stats.proportion import proportion_confint

from fairgen import stats

Vector = NDArray[np.float64]


@lru_cache(maxsize=200_000)
def _own(counts: tuple[int, ...], method: stats.IntervalMethod) -> Vector:
    named = {f"c{i}": count for i, count in enumerate(counts)}
    return np.array(list(stats.simultaneous_intervals(named, method=method).values()))


def _bonferroni(method: str) -> Callable[[tuple[int, ...]], Vector]:
    def bounds(counts: tuple[int, ...]) -> Vector:
        values, n = np.array(counts), sum(counts)
        low, high = proportion_confint(values, n, 0.05 / len(counts), method)
        # As usual, and as for the others: at a count of 0 or n the bound is 0 or 1.
        return np.column_stack(
            [np.where(values == 0, 0, np.maximum(low, 0)), np.where(values == n, 1, np.minimum(high, 1))]
        )

    return bounds


@lru_cache(maxsize=200_000)
def _mid_p_low(x: int, n: int, alpha: float) -> float:
    """The share at which ``P(X > x) + P(X = x) / 2 = alpha / 2`` (Lancaster, JASA 1961)."""
    if x == 0:
        return 0.0
    return float(brentq(lambda p: (bdtrc(x, n, p) + bdtrc(x - 1, n, p)) / 2 - alpha / 2, 0.0, 1.0))


def _mid_p(counts: tuple[int, ...]) -> Vector:
    n, alpha = sum(counts), 0.05 / len(counts)
    return np.array([(_mid_p_low(x, n, alpha), 1 - _mid_p_low(n - x, n, alpha)) for x in counts])


METHODS: dict[str, tuple[float, Callable[[tuple[int, ...]], Vector]]] = {
    "Clopper-Pearson, Bonferroni (used)": (1, lambda counts: _own(counts, "clopper-pearson")),
    "Jeffreys, Bonferroni": (0.2, lambda counts: _own(counts, "jeffreys")),
    "mid-P Clopper-Pearson, Bonferroni": (0.2, _mid_p),
    "Agresti-Coull, Bonferroni": (0.2, _bonferroni("agresti_coull")),
    "Wilson, Bonferroni (Goodman)": (0.2, _bonferroni("wilson")),
}
"""Name -> (share of the sets that it is tried on, bounds of all classes)."""
