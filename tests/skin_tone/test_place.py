"""Where a face lies, in a picture and in its mirror image."""

from __future__ import annotations

import math

import numpy as np
import pytest

from skin_tone.place import Place


def _landmarks(angle: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    rng = np.random.default_rng(3)
    points = rng.uniform((100, 50), (160, 130), (468, 2))
    points[33], points[263] = (110, 80), (110 + 40 * math.cos(angle), 80 + 40 * math.sin(angle))
    return points


@pytest.mark.parametrize("angle", [0.0, 0.3, -1.2, 3.1])
def test_the_mirror_image_of_a_place_is_the_place_in_the_mirror_image(angle: float) -> None:
    landmarks = _landmarks(angle)
    flipped = landmarks * (-1, 1) + (199, 0)
    flipped[[33, 263]] = flipped[[263, 33]]  # the person's right eye is the other one there
    here, there = Place.of(landmarks), Place.of(flipped)
    mirrored = here.mirrored(200)
    assert (mirrored.x, mirrored.y, mirrored.side) == pytest.approx((there.x, there.y, there.side))
    assert math.cos(mirrored.angle - there.angle) == pytest.approx(1)
    assert mirrored.mirrored(200).x == pytest.approx(here.x)


def test_a_place_moves_with_the_origin() -> None:
    landmarks = _landmarks(0.2)
    moved, there = Place.of(landmarks).moved(-30, 7), Place.of(landmarks + np.array([-30, 7]))
    assert (moved.x, moved.y, moved.angle) == pytest.approx((there.x, there.y, there.angle))


def test_the_mean_of_faces_upside_down_is_upside_down() -> None:
    one, other = Place(10, 20, 6, 8, math.pi - 0.1), Place(14, 20, 8, 10, -math.pi + 0.1)
    mean = Place.between([one, other])
    assert (mean.x, mean.y, mean.width, mean.height) == (12, 20, 7, 9)
    assert abs(mean.angle) == pytest.approx(math.pi)
    assert mean.side == 9
