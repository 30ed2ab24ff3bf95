"""Several views of one face: what does not change the face does not change what is measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from skin_tone import SkinToneReader
from skin_tone.appearance import NAMES
from skin_tone.faces import Face, FaceFinder
from skin_tone.observer import fitted
from skin_tone.views import as_found, describe_views, views

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def portrait() -> Picture:
    """A woman in a space suit (NASA, public domain)."""
    return np.asarray(data.astronaut(), dtype=np.uint8)  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def finder() -> Iterator[FaceFinder]:
    with FaceFinder(1) as made:
        yield made


def _numbers(picture: Picture, finder: FaceFinder) -> Floats:
    numbers = describe_views(views(picture, finder.find(picture)[0], finder))
    assert numbers is not None
    return numbers


def _changed(portrait: Picture, finder: FaceFinder) -> dict[str, Picture]:
    x0, y0, x1, y1 = finder.find(portrait)[0].box
    return {
        "mirrored": np.ascontiguousarray(portrait[:, ::-1]),
        "face box": np.ascontiguousarray(portrait[y0:y1, x0:x1]),
        "wide canvas": np.pad(portrait, ((0, 0), (150, 150), (0, 0)), mode="edge"),
    }


@pytest.mark.parametrize("change", ["mirrored", "face box", "wide canvas"])
def test_views_have_in_common_what_one_view_has_not(
    portrait: Picture, finder: FaceFinder, change: str
) -> None:
    """The tone named for the changed picture is nearer to the first one's than by one view of each."""
    changed = _changed(portrait, finder)[change]
    steady = [fitted().judge(_numbers(picture, finder)).tone for picture in (portrait, changed)]
    assert abs(steady[1] - steady[0]) < 0.1
    once = [describe_views([as_found(p, finder.find(p)[0])]) for p in (portrait, changed)]
    assert once[0] is not None
    assert once[1] is not None
    moved = float(np.abs(_numbers(changed, finder) - _numbers(portrait, finder)).mean())
    assert moved < max(0.5, float(np.abs(once[1] - once[0]).mean()))


def test_a_reading_hardly_moves(portrait: Picture, finder: FaceFinder) -> None:
    with SkinToneReader(1) as reader:
        first = reader.read(portrait)[0]
        assert first.ita is not None
        assert first.like_renders == 0
        for name, picture in _changed(portrait, finder).items():
            again = reader.read(picture)[0]
            assert again.ita == pytest.approx(first.ita, abs=1.5), name


def test_a_crop_into_the_face_moves_what_is_named_by_less_than_a_third_of_a_class(
    portrait: Picture, finder: FaceFinder
) -> None:
    """A fifth of the face's width and height is missing."""
    x0, y0, x1, y1 = finder.find(portrait)[0].box
    dx, dy = (x1 - x0) // 10, (y1 - y0) // 10
    tighter = np.ascontiguousarray(portrait[y0 + dy : y1 - dy, x0 + dx : x1 - dx])
    whole, part = (fitted().judge(_numbers(picture, finder)).tone for picture in (portrait, tighter))
    assert part == pytest.approx(whole, abs=0.33)


def test_four_views_of_a_face_and_its_mirror_image(portrait: Picture, finder: FaceFinder) -> None:
    found = views(portrait, finder.find(portrait)[0], finder)
    assert len(found) == 4
    for view in found:
        assert view.pixels.shape[:2] == view.inside.shape
        assert view.landmarks.shape == (468, 2)
    assert [view.mirrored for view in found] == [False, True, False, True]
    first, mirrored, alike = (found[k].pixels.astype(float) for k in (0, 1, 2))
    assert np.abs(first - mirrored[:, ::-1]).mean() < 0.5 * np.abs(first - mirrored).mean()
    assert np.abs(first - alike).mean() < 0.5 * np.abs(first - mirrored).mean()


def test_where_no_mesh_can_be_laid_again_the_face_counts_as_it_was_found(finder: FaceFinder) -> None:
    flat = np.full((300, 300, 3), 128, dtype=np.uint8)
    turn = np.linspace(0, 2 * np.pi, 468)
    landmarks = np.stack([150 + 60 * np.cos(turn), 150 + 80 * np.sin(turn)], axis=1)
    found = views(flat, Face((90, 70, 210, 230), landmarks), finder)
    assert len(found) == 1
    numbers = describe_views(found)
    assert numbers is None or numbers.shape == (len(NAMES),)
