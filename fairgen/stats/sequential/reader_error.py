"""What a reader with known errors makes of a declared target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairgen.stats.distances import Vector
from fairgen.stats.sequential.box import ShareBox

_PRIOR = 0.5


def reading_box(
    target: Vector,
    validations: Sequence[Vector],
    *,
    level: float = 0.995,
    draws: int = 20_000,
    seed: int = 0,
) -> ShareBox:
    """The shares of *readings* that pictures on target may give, by a reader with these errors.

    Pictures on target are read with the shares r = q C, where C is the reader's confusion: the chance of each
    reading given the true class. C is known from a validation only, so each of its rows is drawn from its
    posterior, a Dirichlet law with the row's counts and 1/2 for each class. The box holds all r together with
    probability ``level`` (percentiles, shared out over classes and sides: Bonferroni); with several
    validations, whichever of them is right. A true class without a validated picture makes the box wide.

    Args:
        target: declared shares q, shape (k,).
        validations: counts of validated pictures, each of shape (k, k): true class down, reading across.
        level: probability that the box holds the truth, in (0, 1), as far as the validation is like the
            stream.
        draws: from each posterior.
        seed: of the draws.

    Raises:
        ValueError: there is no validation, or one has another shape or negative counts.
    """
    k = len(target)
    if not validations:
        raise ValueError("give at least one validation")
    if any(v.shape != (k, k) or not np.isfinite(v).all() or (v < 0).any() for v in validations):
        raise ValueError(f"a validation has {k} x {k} counts that are not negative")
    rng = np.random.default_rng(seed)
    tail = (1 - level) / (2 * k)
    lows, highs = [], []
    for counts in validations:
        read = np.zeros((draws, k))
        for share, row in zip(target, counts, strict=True):
            read += share * rng.dirichlet(row + _PRIOR, size=draws)
        lows.append(np.quantile(read, tail, axis=0))
        highs.append(np.quantile(read, 1 - tail, axis=0))
    return ShareBox(np.min(lows, axis=0), np.minimum(np.max(highs, axis=0), 1.0))
