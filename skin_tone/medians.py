"""Medians of a few hundred values at a time, of which a reading takes more than a hundred."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median along the first axis, to the last bit as `numpy.median` gives it; that takes two to four
    times as long on arrays of this size.

    Args:
        values: (n,) or (n, k), n >= 1, without NaN.

    Returns:
        () or (k,).
    """
    rows = np.array(values.T, order="C")
    half = len(values) // 2
    if len(values) % 2:
        rows.partition(half)
        return np.asarray(rows[..., half])
    rows.partition((half - 1, half))
    return np.asarray((rows[..., half - 1] + rows[..., half]) / 2)
