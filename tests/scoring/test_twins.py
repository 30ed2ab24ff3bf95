"""How much of a picture steering left alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fairgen.scoring.twins import elsewhere_difference, landmark_shift

Points = NDArray[np.float64]


@pytest.fixture
def face() -> Points:
    rng = np.random.default_rng(0)
    points = np.asarray(rng.uniform(-1, 1, (468, 2)))
    points = points / np.linalg.norm(points, axis=1, keepdims=True) * rng.uniform(0, 1, (468, 1))
    points[[33, 133]], points[[263, 362]] = (-0.4, -0.3), (0.4, -0.3)
    return np.asarray(points * 30 + 64)


def test_moving_turning_and_scaling_a_face_is_no_change(face: Points) -> None:
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    assert landmark_shift(1.7 * face @ turn + (5, -9), face) == pytest.approx(0, abs=1e-6)


def test_shift_is_in_interocular_distances(face: Points) -> None:
    noise = np.random.default_rng(1).normal(0, 1, face.shape)
    eyes = 0.8 * 30
    assert landmark_shift(face + noise, face) == pytest.approx(1.25 / eyes, rel=0.1)


def test_only_what_lies_outside_the_face_counts(face: Points) -> None:
    one = Image.new("RGB", (128, 128), (120, 130, 140))
    tinted = one.copy()
    tinted.paste((90, 60, 40), (40, 40, 88, 128))
    assert elsewhere_difference(one, tinted, face) == 0
    assert elsewhere_difference(one, Image.new("RGB", (128, 128), (140, 130, 120)), face) > 5
