"""What the reader's own error does to the distance of a set: its labels redrawn, the pictures kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fairgen.stats.distances import Vector, rows_of_probabilities, shares_of_target

_CELLS = 1_000_000


def redrawn_tv(
    probabilities: Sequence[Mapping[str, float]],
    target: Mapping[str, float],
    *,
    draws: int = 2_000,
    seed: int = 0,
) -> Vector:
    """Total variation of a set in each of ``draws`` redraws, in which every picture gets a class from its own
    probabilities (labels as in multiple imputation, Rubin 1987). Shape ``(draws,)``, values in [0, 1].

    What :func:`fairgen.stats.bootstrap` with ``redraw_pictures=False`` takes its interval from; given as a
    vector, so that several sets can be compared or averaged draw by draw. Errors blur a set: one
    that matches exactly can only move away, a skewed one looks less skewed than it is.

    Args:
        probabilities: one mapping class -> probability for each picture that could be read.
        target: class -> declared share.

    Raises:
        ValueError: no picture, a vector that is no distribution over the target's classes, or ``draws`` below
            1.
    """
    if draws < 1:
        raise ValueError(f"draws >= 1 is needed, got {draws}")
    q, rows = shares_of_target(target), rows_of_probabilities(probabilities, target)
    borders = np.cumsum(rows, axis=1)[:, :-1]
    rng = np.random.default_rng(seed)
    n, k = rows.shape
    block = max(1, _CELLS // (n * k))  # bounds the memory of a large set
    found = []
    for start in range(0, draws, block):
        size = min(block, draws - start)
        # A class of probability 0 has an empty step, on which no draw from [0, 1) can land.
        labels = (rng.random((size, n, 1)) >= borders).sum(axis=2)
        counts = np.stack([(labels == j).sum(axis=1) for j in range(k)], axis=1)
        found.append(0.5 * np.abs(counts / n - q).sum(axis=1))
    return np.concatenate(found)
