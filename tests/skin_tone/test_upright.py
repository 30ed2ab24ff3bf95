"""The face on its grid: its places, what lies outside the picture, what is left out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from skin_tone.appearance import NAMES, describe
from skin_tone.faces import Face, FaceFinder
from skin_tone.picture import resampled
from skin_tone.upright import HEIGHT, WIDTH, UprightFace, lay_upright, upright_pixels, with_regions

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def portrait() -> Picture:
    return np.asarray(data.astronaut(), dtype=np.uint8)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def face(portrait: Picture) -> Iterator[Face]:
    with FaceFinder(1) as finder:
        yield finder.find(portrait)[0]


@given(
    shift=st.tuples(st.integers(-60, 60), st.integers(-60, 60)),
    turn=st.complex_numbers(min_magnitude=0.3, max_magnitude=3.0),
    step=st.integers(1, 3),
)
def test_beyond_its_edge_a_picture_goes_on(shift: tuple[int, int], turn: complex, step: int) -> None:
    flat = np.full((40, 50, 3), (90, 120, 200), dtype=np.uint8)
    found = resampled(flat, turn, complex(*shift), (20, 10), step)
    assert found.shape == (10, 20, 3)
    assert (found == (90, 120, 200)).all()


def test_a_crop_lies_on_the_grid_as_the_whole_picture_does(portrait: Picture, face: Face) -> None:
    whole, inside, points = upright_pixels(portrait, face.landmarks)
    x0, y0, x1, y1 = face.box
    part, part_inside, part_points = upright_pixels(portrait[y0:y1, x0:x1], face.landmarks - (x0, y0))
    np.testing.assert_allclose(part_points, points, atol=1e-6)
    assert inside.all()
    assert not part_inside.all()
    skin = with_regions(part, part_inside, part_points).skin
    assert np.abs(whole[skin].astype(int) - part[skin]).mean() < 3


def test_what_lies_outside_is_no_skin(portrait: Picture, face: Face) -> None:
    half = portrait[:, : (face.box[0] + face.box[2]) // 2]
    laid, whole = lay_upright(half, face.landmarks), lay_upright(portrait, face.landmarks)
    assert laid.seen == pytest.approx(0.5, abs=0.15)
    assert whole.seen == 1.0
    assert 0.3 < laid.skin.sum() / whole.skin.sum() < 0.7


def test_a_mask_is_left_out(portrait: Picture, face: Face) -> None:
    masked = portrait.copy()
    x0, _, x1, y1 = face.box
    nose = int(face.landmarks[2, 1])
    masked[nose:y1, x0:x1] = (150, 190, 215)
    laid, plain = lay_upright(masked, face.landmarks), lay_upright(portrait, face.landmarks)
    assert laid.covered
    assert not plain.covered
    assert laid.skin.any()
    lower = laid.skin.copy()
    lower[:58] = False
    assert not lower.any()
    described, before = describe(laid), describe(plain)
    assert described is not None
    assert before is not None
    chroma = NAMES.index("chroma")
    assert described[chroma] == pytest.approx(before[chroma], abs=8)


def test_a_mirrored_face_is_described_alike(portrait: Picture, face: Face) -> None:
    laid = lay_upright(portrait, face.landmarks)
    one, other = describe(laid), describe(laid.mirrored())
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one, other, atol=1e-9)


def test_too_little_skin_is_not_described() -> None:
    nothing = np.zeros((HEIGHT, WIDTH), dtype=bool)
    patches = dict.fromkeys(("right_cheek", "left_cheek", "nose_bridge", "forehead", "chin"), nothing)
    empty = UprightFace(np.zeros((HEIGHT, WIDTH, 3)), nothing, patches, nothing, nothing, 0.0, False)
    assert describe(empty) is None
