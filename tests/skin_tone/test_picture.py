"""What was put around a picture is told from the picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from skin_tone.picture import bare_frame, copied

Picture = NDArray[np.uint8]


@pytest.fixture
def picture() -> Picture:
    return np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)


def test_a_picture_with_nothing_around_it_is_whole(picture: Picture) -> None:
    assert bare_frame(picture) == (0, 0, 80, 60)


def test_a_repeated_edge_is_left_out(picture: Picture) -> None:
    wide = np.pad(picture, ((5, 0), (30, 20), (0, 0)), mode="edge")
    assert bare_frame(wide) == (30, 5, 110, 65)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_bars_are_left_out_even_after_jpeg(picture: Picture, grey: int) -> None:
    smooth = np.asarray(Image.fromarray(picture).resize((240, 160), Image.Resampling.BICUBIC))
    barred = np.pad(smooth, ((40, 48), (0, 0), (0, 0)), constant_values=grey)
    held = io.BytesIO()
    Image.fromarray(barred).save(held, "JPEG", quality=85)
    x0, y0, x1, y1 = bare_frame(np.asarray(Image.open(held)))
    assert (x0, x1) == (0, 240)
    assert 30 <= y0 <= 40
    assert 200 <= y1 <= 210


@pytest.mark.parametrize("shape", [(1, 1), (40, 60), (3, 900)])
def test_a_plain_picture_is_whole(shape: tuple[int, int]) -> None:
    assert bare_frame(np.full((*shape, 3), 77, dtype=np.uint8)) == (0, 0, shape[1], shape[0])


def test_a_copy_is_the_same_and_lies_row_by_row(picture: Picture) -> None:
    for view in (picture[:, ::-1], picture[1::2, ::2], picture):
        copy = copied(view)
        np.testing.assert_array_equal(copy, view)
        assert copy.flags.c_contiguous
        assert not np.shares_memory(copy, view)
