"""Colour: against published values and scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2lab

from skin_tone import colour

lab_values = st.tuples(st.floats(0, 100), st.floats(-100, 100), st.floats(-100, 100))


@pytest.mark.parametrize(
    ("hex_colour", "lab"),
    [
        # Lindbloom's CIE calculator, sRGB, D65.
        ("#ffffff", (100.0, 0.0, 0.0)),
        ("#000000", (0.0, 0.0, 0.0)),
        ("#808080", (53.585, 0.0, 0.0)),
        ("#ff0000", (53.24, 80.09, 67.20)),
        ("#0000ff", (32.30, 79.19, -107.86)),
    ],
)
def test_lab_of_known_colours(hex_colour: str, lab: tuple[float, float, float]) -> None:
    assert colour.hex_to_lab(hex_colour) == pytest.approx(lab, abs=0.05)


def test_lab_of_an_array_is_skimages() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    np.testing.assert_allclose(colour.srgb_to_lab(rgb), rgb2lab(rgb))


def test_lab_refuses_floats_which_could_be_0_to_1_or_0_to_255() -> None:
    with pytest.raises(ValueError, match="uint8"):
        colour.srgb_to_lab(np.zeros((2, 3)))  # type: ignore[arg-type]


def test_no_pixels_are_no_colours() -> None:
    assert colour.srgb_to_lab(np.zeros((0, 3), dtype=np.uint8)).shape == (0, 3)


@pytest.mark.parametrize("bad", ["#fff", "12345", "#gg0000", ""])
def test_hex_refuses(bad: str) -> None:
    with pytest.raises(ValueError, match=r"rrggbb|hexadecimal"):
        colour.hex_to_lab(bad)


@pytest.mark.parametrize(
    ("lab", "angle"),
    [
        ((70.0, 10.0, 20.0), 45.0),
        ((50.0, 10.0, 20.0), 0.0),
        ((30.0, 10.0, 20.0), -45.0),
        ((60.0, 5.0, 10.0 / math.tan(math.radians(55))), 55.0),
        ((60.0, 0.0, 0.0), 90.0),
        ((60.0, 0.0, -10.0), 135.0),
    ],
)
def test_ita(lab: tuple[float, float, float], angle: float) -> None:
    assert colour.ita(lab) == pytest.approx(angle)


@given(lab_values, st.floats(0.5, 20))
def test_ita_does_not_fall_with_lightness(lab: tuple[float, float, float], more: float) -> None:
    lightness, a, b = lab
    b = abs(b)
    assert colour.ita((lightness + more, a, b)) >= colour.ita((lightness, a, b)) - 1e-9


@given(st.floats(-40, 40), st.floats(5, 40), st.floats(-15, 15), st.floats(0, 5), st.floats(0, 5))
def test_ita_sigma_follows_the_slopes_of_the_ita(
    lightness_from_50: float, b: float, a: float, sigma_lightness: float, sigma_b: float
) -> None:
    lightness, step = 50.0 + lightness_from_50, 1e-4
    by_lightness = colour.ita((lightness + step, a, b)) - colour.ita((lightness - step, a, b))
    by_b = colour.ita((lightness, a, b + step)) - colour.ita((lightness, a, b - step))
    expected = math.hypot(by_lightness * sigma_lightness, by_b * sigma_b) / (2 * step)
    assert colour.ita_sigma((lightness, a, b), sigma_lightness, sigma_b) == pytest.approx(
        expected, rel=1e-4, abs=1e-6
    )


def test_ita_sigma_where_the_angle_is_undefined() -> None:
    assert colour.ita_sigma((50.0, 3.0, 0.0), 1.0, 1.0) == 180.0


def test_chroma_and_hue() -> None:
    assert colour.chroma((50.0, 3.0, 4.0)) == pytest.approx(5.0)
    assert colour.hue((50.0, 1.0, 1.0)) == pytest.approx(45.0)
    assert colour.hue((50.0, 0.0, -1.0)) == pytest.approx(270.0)


@given(lab_values)
def test_hue_stays_in_a_turn(lab: tuple[float, float, float]) -> None:
    assert 0.0 <= colour.hue(lab) < 360.0
