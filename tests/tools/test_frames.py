"""The frames that rated faces are given before the observer is fitted on them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skin_tone.upright import HEIGHT, WIDTH
from skin_tone.views import View
from tools.reader.frames import Frame


def view(mirrored: bool = False) -> View:
    turn = np.linspace(0, 2 * np.pi, 468)
    landmarks = np.stack([38.5 + 30 * np.cos(turn), 46 + 36 * np.sin(turn)], axis=1)
    if mirrored:
        landmarks = landmarks * (-1, 1) + (WIDTH - 1, 0)
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    return View(pixels, np.ones((HEIGHT, WIDTH), dtype=bool), landmarks, mirrored)


def test_a_frame_cuts_into_the_face() -> None:
    framed = Frame(0.2, (0.0, 0.0), 0.0, (0.0, 0.0), 1.0).around(view())
    rows, columns = np.nonzero(framed.inside)
    assert (columns.min(), columns.max()) == (15, 62)
    assert (rows.min(), rows.max()) == (18, 74)  # 28.8 cells up and down from row 46
    np.testing.assert_allclose(framed.landmarks, view().landmarks)


def test_a_mesh_lies_off_by_what_the_frame_says() -> None:
    framed = Frame(0.0, (0.0, 0.0), 0.0, (1.0, -2.0), 1.1).around(view())
    assert framed.inside.all()
    middle = view().landmarks.mean(axis=0)
    expected = (view().landmarks - middle) * 1.1 + middle + (1.0, -2.0)
    np.testing.assert_allclose(framed.landmarks, expected)


@given(st.integers(0, 2**32))
def test_the_mirror_image_is_framed_alike(seed: int) -> None:
    frame = Frame.drawn(np.random.default_rng(seed))
    plain, mirrored = frame.around(view()), frame.around(view(mirrored=True))
    assert (plain.inside != mirrored.inside[:, ::-1]).sum() <= 4  # cells on the border
    np.testing.assert_allclose(plain.landmarks, mirrored.landmarks * (-1, 1) + (WIDTH - 1, 0), atol=1e-9)


def test_frames_are_drawn_by_chance_some_of_them_whole() -> None:
    rng = np.random.default_rng(0)
    shares = np.array([Frame.drawn(rng).share for _ in range(400)])
    assert (shares == 0).mean() == pytest.approx(0.4, abs=0.08)
    assert 0.25 < shares.max() <= 0.3
