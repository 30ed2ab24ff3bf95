"""Pixels inside polygons, held against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.draw import polygon

from skin_tone.polygons import pixels_inside


@given(
    st.integers(0, 2**32),
    st.integers(3, 36),
    st.booleans(),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_as_scikit_image_fills_it(seed: int, corners: int, tangled: bool, shape: tuple[int, int]) -> None:
    """Also polygons that cross themselves, or lie wholly or partly outside."""
    rng = np.random.default_rng(seed)
    turn = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radius = rng.uniform(1, 40, corners)
    around = np.stack([30 + radius * np.cos(turn), 25 + radius * np.sin(turn)], axis=1)
    points = rng.uniform(-30, 90, (corners, 2)) if tangled else around
    expected = polygon(points[:, 1], points[:, 0], shape=shape)  # type: ignore[no-untyped-call]
    rows, columns = pixels_inside(points, shape)
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(columns, expected[1])


@pytest.mark.parametrize("away", [(-100.0, 0.0), (100.0, 0.0), (0.0, -100.0), (0.0, 100.0)])
def test_a_polygon_outside_holds_nothing(away: tuple[float, float]) -> None:
    corners = np.array([(3.0, 3.0), (20.0, 4.0), (8.0, 30.0)]) + away
    rows, columns = pixels_inside(corners, (40, 40))
    assert len(rows) == len(columns) == 0


def test_rows_that_no_polygon_reaches_hold_nothing() -> None:
    rows, _ = pixels_inside(np.array([(1.0, 5.2), (9.0, 5.3), (4.0, 5.9)]), (20, 20))
    assert len(rows) == 0
