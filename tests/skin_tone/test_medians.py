"""Medians, held against NumPy's."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from skin_tone.medians import median


@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([(), (1,), (3,)]), st.booleans())
def test_as_numpy_gives_it(seed: int, count: int, shape: tuple[int, ...], equal: bool) -> None:
    """To the last bit, with equal values among them or not."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(count, *shape))
    if equal:
        values = values.round()
    before = values.copy()
    np.testing.assert_array_equal(median(values), np.median(values, axis=0))
    np.testing.assert_array_equal(values, before)


def test_values_that_do_not_lie_side_by_side() -> None:
    values = np.arange(30.0).reshape(10, 3)[::-2, ::-1]
    np.testing.assert_array_equal(median(values), np.median(values, axis=0))
