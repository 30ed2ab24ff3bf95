"""The two tests (differs from the target; meets it), and the bootstrap with reading error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr, gammaln, xlogy

from fairgen.stats.distances import Vector, aligned, central, rows_of_probabilities, shares_of_target, whole

_EXACT_OUTCOMES = 1_000_000
_MAX_EQUIVALENCE_CLASSES = 16


def has_exact_test(target: Mapping[str, float], n: int) -> bool:
    """Whether :func:`multinomial_test` enumerates every outcome (at most a million) or draws at random."""
    k = sum(share > 0 for share in target.values())
    return math.comb(n + k - 1, k - 1) <= _EXACT_OUTCOMES


def multinomial_test(
    counts: Mapping[str, int], target: Mapping[str, float], *, draws: int = 20_000, seed: int = 0
) -> float:
    """p-value of "these are independent draws from the target": small means the sampler *differs* from it.

    The exact multinomial test: the probability of all outcomes no likelier than the one seen (Read & Cressie
    1988, section 5; with two classes the two-sided exact binomial test). Where the outcomes are too many to
    enumerate (:func:`has_exact_test`), ``(1 + hits) / (1 + draws)`` over seeded random ones (Davison &
    Hinkley 1997, eq. 4.11). A large value does not show that the target is met; see :func:`equivalence_test`.

    Raises:
        ValueError: counts are empty, negative, not whole or of other classes; the target is no distribution.
    """
    values, q = aligned(counts, target), shares_of_target(target)
    whole(values)
    if (values[q == 0] > 0).any():
        return 0.0  # a class came up that the target excludes
    values, q = values[q > 0], q[q > 0]
    n = int(values.sum())
    constant = gammaln(n + 1)

    def log_probability(outcomes: Vector) -> Vector:
        return np.asarray(constant + (xlogy(outcomes, q) - gammaln(outcomes + 1)).sum(axis=-1))

    # Equal probabilities must count as equal whatever their rounding: the margin of scipy.stats.binomtest.
    bound = log_probability(values) + 1e-7
    if has_exact_test(target, n):
        every = _all_log_probabilities(n, q) + constant
        return float(min(np.exp(every[every <= bound]).sum(), 1.0))
    drawn = np.random.default_rng(seed).multinomial(n, q, size=draws).astype(np.float64)
    return float((1 + np.count_nonzero(log_probability(drawn) <= bound)) / (1 + draws))


def _all_log_probabilities(n: int, q: Vector) -> Vector:
    """Of every way to share ``n`` pictures among the classes: log of the multinomial mass over n!."""
    k = np.arange(n + 1)
    term = xlogy(k, q[:, None]) - gammaln(k + 1)  # class x count
    left, log_mass = np.array([n]), np.zeros(1)
    for row in term[:-1]:
        ways = left + 1  # this class takes 0 ... left pictures
        taken = np.arange(ways.sum()) - np.repeat(np.cumsum(ways) - ways, ways)
        log_mass = np.repeat(log_mass, ways) + row[taken]
        left = np.repeat(left, ways) - taken
    return np.asarray(log_mass + term[-1][left])


def equivalence_test(counts: Mapping[str, int], target: Mapping[str, float], tolerance: float) -> float:
    """p-value of "the sampler is ``tolerance`` or more away from the target": small means that it *meets* it.

    Total variation is ``max_A p(A) - q(A)`` over all groups A of classes. So TV >= tolerance says that some
    group comes up with probability ``q(A) + tolerance`` or more; each such claim has a one-sided exact
    binomial test, and all of them must reject (intersection-union test, Berger, Technometrics 1982):
    ``p = max_A P(Bin(n, q(A) + tolerance) <= N_A)``. Exact at every n, hence cautious: with 6 uniform classes
    a tolerance of .16 takes some hundred pictures even when the set matches the target perfectly.

    Args:
        tolerance: largest total variation that still counts as meeting the target, in (0, 1).

    Raises:
        ValueError: as for :func:`multinomial_test`; the tolerance is outside (0, 1); more than 16 classes.
    """
    values, q = aligned(counts, target), shares_of_target(target)
    whole(values)
    if not 0 < tolerance < 1:
        raise ValueError(f"the tolerance is a total variation in (0, 1), got {tolerance}")
    if len(q) > _MAX_EQUIVALENCE_CLASSES:
        raise ValueError(f"at most {_MAX_EQUIVALENCE_CLASSES} classes, got {len(q)}")
    groups = (np.arange(2 ** len(q))[:, None] >> np.arange(len(q))) & 1
    seen, rate = groups @ values, groups @ q + tolerance
    possible = rate <= 1  # no sampler can exceed the share of such a group by the tolerance
    return float(bdtr(seen[possible], int(values.sum()), rate[possible]).max())


@dataclass(frozen=True)
class Bootstrap:
    """Intervals (low, high) at ``level`` from :func:`bootstrap`; ``tv_mean`` is the mean over its rounds."""

    level: float
    shares: dict[str, tuple[float, float]]
    tv: tuple[float, float]
    tv_mean: float


def bootstrap(
    probabilities: Sequence[Mapping[str, float]],
    target: Mapping[str, float],
    *,
    redraw_pictures: bool = True,
    level: float = 0.95,
    draws: int = 2_000,
    seed: int = 0,
) -> Bootstrap:
    """Intervals that carry the reader's uncertainty: labels are redrawn from its class probabilities.

    Every round draws the pictures with replacement (unless ``redraw_pictures`` is False) and then a class for
    each from its own probabilities (percentile bootstrap, Efron 1979; labels as in multiple imputation,
    Rubin 1987). Keep the pictures fixed for sets made with feedback or retries, which are no independent
    draws: what remains is reading error alone, and the intervals are about the set that is there. With
    ``redraw_pictures`` they are about the sampler behind it. Redrawing adds noise, so ``tv_mean`` lies above
    the set's own total variation: it is shown beside it, never instead. For the same reason a percentile
    interval of the sampler's total variation would lie above the truth wherever that is near 0. It gets
    ``estimate -+ c`` instead, cut to [0, 1], where c bounds the distance of ``level`` of the rounds from what
    they were drawn from: by the triangle inequality ``|TV(set, q) - TV(sampler, q)| <= TV(set, sampler)``.
    For c the rounds are drawn with half a picture more of each class (the prior of Jeffreys), for a small set
    varies less than the sampler behind it, and half a picture is added, as whole pictures come in steps. So
    it covers about as often as it says near 0, and more often away from it.

    Args:
        probabilities: one mapping class -> probability for each picture that could be read.
        target: class -> declared share.

    Raises:
        ValueError: no picture, a vector that is no distribution over the target's classes, ``draws`` below 1,
            or ``level`` outside (0, 1).
    """
    if draws < 1 or not 0 < level < 1:
        raise ValueError(f"draws >= 1 and level in (0, 1) are needed, got {draws}, {level}")
    q, rows = shares_of_target(target), rows_of_probabilities(probabilities, target)
    borders = np.cumsum(rows, axis=1)
    borders[:, -1] = np.inf  # rounding must not leave a gap at the top
    rng, other = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    n, k = rows.shape
    shares, smoothed = np.empty((draws, k)), np.empty((draws, k))
    for i in range(draws):
        at = rng.integers(n, size=n) if redraw_pictures else np.arange(n)
        # A class of probability 0 has an empty step, on which no draw from [0, 1) can land.
        labels = (rng.random(n)[:, None] >= borders[at]).sum(axis=1)
        shares[i] = np.bincount(labels, minlength=k) / n
        if redraw_pictures:
            added = other.random(n) < 0.5 * k / (n + 0.5 * k)
            smoothed[i] = np.bincount(np.where(added, other.integers(k, size=n), labels), minlength=k) / n
    tv = 0.5 * np.abs(shares - q).sum(axis=1)
    low, high = central(tv, level)
    if redraw_pictures:
        found = rows.mean(axis=0)
        estimate = 0.5 * float(np.abs(found - q).sum())
        centre = (n * found + 0.5) / (n + 0.5 * k)
        reach = float(np.quantile(0.5 * np.abs(smoothed - centre).sum(axis=1), level)) + 0.5 / n
        low, high = max(estimate - reach, 0.0), min(estimate + reach, 1.0)
    return Bootstrap(
        level=level,
        shares={name: central(shares[:, j], level) for j, name in enumerate(target)},
        tv=(low, high),
        tv_mean=float(tv.mean()),
    )
