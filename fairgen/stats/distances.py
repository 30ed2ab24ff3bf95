"""Distances between what was measured and what was declared, and the chance floor of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, rel_entr, xlog1py, xlogy

Vector = NDArray[np.float64]


def shares_of_target(target: Mapping[str, float]) -> Vector:
    """The target's shares in its own order, its sum's rounding (at most 1e-3) taken out.

    Raises:
        ValueError: a share is negative or not finite, or the sum is not 1.
    """
    q = np.array(list(target.values()), dtype=np.float64)
    if q.size == 0 or not np.isfinite(q).all() or (q < 0).any() or abs(q.sum() - 1) > 1e-3:
        raise ValueError(f"a target has finite shares that are not negative and sum to 1, got {dict(target)}")
    return np.asarray(q / q.sum(), dtype=np.float64)


def aligned(counts: Mapping[str, float], target: Mapping[str, float]) -> Vector:
    """The counts in the target's order, 0 where a class is left out.

    Raises:
        ValueError: a class is not in the target, a count is negative or not finite, or all are 0.
    """
    if unknown := [name for name in counts if name not in target]:
        raise ValueError(f"the target has no class {unknown[0]!r}, only {', '.join(target)}")
    values = np.array([counts.get(name, 0) for name in target], dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"counts are finite and not negative, got {dict(counts)}")
    if values.sum() <= 0:
        raise ValueError("nothing was counted: a set without readable pictures has no distribution")
    return values


def rows_of_probabilities(
    probabilities: Sequence[Mapping[str, float]], target: Mapping[str, float]
) -> NDArray[np.float64]:
    """The reader's probabilities in the target's order, shape ``(pictures, classes)``.

    Raises:
        ValueError: there is no picture, or a vector is no distribution over the target's classes.
    """
    if not probabilities:
        raise ValueError("nothing was read: there is no picture to redraw")
    rows = np.array([aligned(row, target) for row in probabilities])
    if (np.abs(rows.sum(axis=1) - 1) > 1e-3).any():
        raise ValueError("the reader's probabilities of a picture sum to 1")
    return rows


def whole(values: Vector) -> None:
    """Raises ValueError unless all values are whole numbers."""
    if (values != np.round(values)).any():
        raise ValueError(f"counts of pictures are whole numbers, got {values.tolist()}")


def _pair(counts: Mapping[str, float], target: Mapping[str, float]) -> tuple[Vector, Vector]:
    values = aligned(counts, target)
    return values / values.sum(), shares_of_target(target)


def total_variation(counts: Mapping[str, float], target: Mapping[str, float]) -> float:
    """Total variation ``1/2 sum |p_i - q_i|``, in [0, 1]: the share of the set that is in the wrong class.

    Args:
        counts: class -> count (or share) measured; p is counts over their sum.
        target: class -> declared share q.

    Raises:
        ValueError: the counts are empty, negative or of other classes than the target, or the target is no
            distribution. So for all distances here.
    """
    p, q = _pair(counts, target)
    return float(0.5 * np.abs(p - q).sum())


def alignment_error(counts: Mapping[str, float], target: Mapping[str, float]) -> float:
    """Alignment error ``sum (p_i - q_i)^2``, in [0, 2] (Nizam & Davis, arXiv 2604.21036)."""
    p, q = _pair(counts, target)
    return float(np.square(p - q).sum())


def fd(counts: Mapping[str, float], target: Mapping[str, float]) -> float:
    """Fairness discrepancy over hard counts, ``sqrt(sum (p_i - q_i)^2)``, in [0, sqrt 2].

    Papers differ: some average soft classifier probabilities into p. Here p is counted.
    """
    return math.sqrt(alignment_error(counts, target))


def kl(counts: Mapping[str, float], target: Mapping[str, float]) -> float:
    """Kullback-Leibler divergence ``sum p_i ln(p_i / q_i)`` in nats, in [0, inf] (Kullback & Leibler 1951).

    A class with p = 0 adds nothing; a class that was measured although the target excludes it gives infinity.
    """
    p, q = _pair(counts, target)
    return float(max(rel_entr(p, q).sum(), 0.0))  # rounding may leave -1e-17


def jensen_shannon(counts: Mapping[str, float], target: Mapping[str, float]) -> float:
    """Jensen-Shannon distance to base 2, in [0, 1]: a metric, and symmetric (Endres & Schindelin 2003).

    The root of ``(KL(p, m) + KL(q, m)) / 2`` with ``m = (p + q) / 2`` and logarithms to base 2.
    """
    p, q = _pair(counts, target)
    m = (p + q) / 2
    bits = (rel_entr(p, m).sum() + rel_entr(q, m).sum()) / (2 * math.log(2))
    # Of nearly equal distributions rounding leaves -1e-17, for which scipy's jensenshannon gives NaN.
    return math.sqrt(max(float(bits), 0.0))


def _binomial_pmf(k: Vector, n: int, p: Vector) -> Vector:
    log_choose = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return np.asarray(np.exp(log_choose + xlogy(k, p) + xlog1py(n - k, -p)), dtype=np.float64)


def noise_floor(target: Mapping[str, float], n: int) -> float:
    """Exact expected total variation of ``n`` independent draws from the target itself.

    Each count X_i is binomial(n, q_i), so ``E[TV] = 1/2 sum E|X_i/n - q_i|``, with De Moivre's closed form
    ``E|X - nq| = 2 v (1 - q) P(X = v)``, ``v = floor(nq) + 1`` (Diaconis & Zabell, Statistical Science 1991).
    For a uniform target and n = 30: .102 for 3 classes, .160 for 6, .212 for 10.

    Raises:
        ValueError: ``n`` is below 1, or the target is no distribution.
    """
    if n < 1:
        raise ValueError(f"the chance floor needs at least one picture, got n = {n}")
    q = shares_of_target(target)
    q = q[(q > 0) & (q < 1)]  # a share of 0 or 1 never misses
    v = np.minimum(np.floor(n * q) + 1, n)
    return float((v * (1 - q) * _binomial_pmf(v, n, q)).sum() / n)


@dataclass(frozen=True)
class NoiseBand:
    """What ``n`` independent draws from the target give by chance.

    ``tv`` and ``fd`` are central bands (low, high) that hold ``level`` of such sets; ``fd_mean`` is simulated
    too; ``alignment_error_mean`` is exact, ``sum q_i (1 - q_i) / n``.
    """

    level: float
    tv: tuple[float, float]
    fd: tuple[float, float]
    fd_mean: float
    alignment_error_mean: float


def noise_band(
    target: Mapping[str, float], n: int, *, level: float = 0.95, draws: int = 20_000, seed: int = 0
) -> NoiseBand:
    """The spread around :func:`noise_floor`, by seeded Monte Carlo.

    Raises:
        ValueError: ``n`` or ``draws`` is below 1, ``level`` outside (0, 1), or the target is no distribution.
    """
    if n < 1 or draws < 1 or not 0 < level < 1:
        raise ValueError(f"n >= 1, draws >= 1 and level in (0, 1) are needed, got {n}, {draws}, {level}")
    q = shares_of_target(target)
    gap = np.random.default_rng(seed).multinomial(n, q, size=draws) / n - q
    tv = 0.5 * np.abs(gap).sum(axis=1)
    root = np.sqrt(np.square(gap).sum(axis=1))
    return NoiseBand(
        level=level,
        tv=central(tv, level),
        fd=central(root, level),
        fd_mean=float(root.mean()),
        alignment_error_mean=float((q * (1 - q)).sum() / n),
    )


def central(values: Vector, level: float) -> tuple[float, float]:
    """The central interval that holds ``level`` of the values."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
