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
    first = NAMES.index("band_0_L")
    np.testing.assert_allclose(one[:first], other[:first], atol=1e-9)
    # Fifths end within a row, and which of its cells belong to the upper one is turned round.
    np.testing.assert_allclose(one[first:], other[first:], atol=1.0)


def test_a_chin_out_of_sight_moves_what_is_seen_by_place_but_little(portrait: Picture, face: Face) -> None:
    """The patch of the chin goes all at once, and its number is then that of the cheeks."""
    pixels, inside, points = upright_pixels(portrait, face.landmarks)
    whole = with_regions(pixels, inside, points)
    chin = np.nonzero(whole.patches["chin"])[0].min()
    cut = with_regions(pixels, inside & (np.arange(HEIGHT) < chin)[:, None], points)
    before, after = describe(whole), describe(cut)
    assert before is not None
    assert after is not None
    k, lowest = NAMES.index("chin_L"), NAMES.index("band_4_L")
    assert after[k] == after[NAMES.index("cheeks_L")] != before[k]
    assert abs(after[lowest] - before[lowest]) < abs(after[k] - before[k])


@pytest.mark.parametrize("darker", [0.0, 20.0])
def test_bands_sides_and_brows_of_a_face_lit_from_above_and_from_a_side(darker: float) -> None:
    skin = np.zeros((HEIGHT, WIDTH), dtype=bool)
    skin[20:70, 10:70] = True
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    lab = np.stack([80 - 0.5 * (rows - 20) - 0.2 * (columns - 10), rows * 0 + 12, rows * 0 + 18], axis=-1)
    nothing, brows = np.zeros_like(skin), np.zeros_like(skin)
    brows[30:32, 20:60] = True
    lab[brows, 0] -= darker
    skin[brows] = False
    patches = dict.fromkeys(("right_cheek", "left_cheek", "nose_bridge", "forehead", "chin"), nothing)
    found = describe(UprightFace(lab, skin, patches, nothing, nothing, brows, 1.0, False))
    assert found is not None
    numbers = dict(zip(NAMES, found, strict=True))
    bands = [numbers[f"band_{k}_L"] for k in range(5)]
    assert np.diff(bands) == pytest.approx([-5.0] * 4, abs=1.0)
    assert numbers["halves_differ"] == pytest.approx(0.2 * 30, abs=0.3)
    assert numbers["sides_differ"] == pytest.approx(0.2 * 45, abs=0.5)
    assert (numbers["sides_a"], numbers["sides_b"]) == (12, 18)
    assert numbers["brows_darker"] == pytest.approx(4.5 - darker, abs=1.0)
    assert numbers["mouth_a"] == 22  # out of sight


def test_too_little_skin_is_not_described() -> None:
    nothing = np.zeros((HEIGHT, WIDTH), dtype=bool)
    patches = dict.fromkeys(("right_cheek", "left_cheek", "nose_bridge", "forehead", "chin"), nothing)
    empty = UprightFace(np.zeros((HEIGHT, WIDTH, 3)), nothing, patches, nothing, nothing, nothing, 0.0, False)
    assert describe(empty) is None
