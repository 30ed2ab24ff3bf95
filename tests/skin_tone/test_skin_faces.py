"""Faces: tilted, small, in groups; none where there is none; the second reader beside the first."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from skin_tone import SkinToneReader, selftest
from skin_tone.drawing import draw_readings
from skin_tone.faces import Face, FaceFinder, _larger, _tiles
from skin_tone.graphs import Detection, Graphs
from skin_tone.place import Place
from skin_tone.second import SecondReader
from tools.portraits.scenes import background

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def finder() -> Iterator[FaceFinder]:
    with FaceFinder(64) as made:
        yield made


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    """Head and shoulders of a woman in a space suit (NASA, public domain), face of about 100 px."""
    astronaut = np.asarray(data.astronaut(), dtype=np.uint8)  # type: ignore[no-untyped-call]
    return Image.fromarray(astronaut[:256, 96:352])


@pytest.mark.parametrize("tilt", [-45, -20, 20, 45])
def test_tilted_faces_are_found(finder: FaceFinder, portrait: Image.Image, tilt: int) -> None:
    turned = portrait.rotate(tilt, Image.Resampling.BILINEAR, fillcolor=(120, 120, 120))
    (face,) = finder.find(np.asarray(turned))
    across = face.landmarks[263] - face.landmarks[33]  # outer corners of the eyes
    assert np.degrees(np.arctan2(-across[1], across[0])) == pytest.approx(tilt, abs=12)


def test_every_face_of_a_group_is_found(finder: FaceFinder, portrait: Image.Image) -> None:
    group = Image.new("RGB", (2400, 1350), (150, 160, 170))
    small = portrait.resize((128, 128), Image.Resampling.LANCZOS)  # faces of about 50 px
    places = [(60 + 330 * k, 80 + 240 * r) for r in range(5) for k in range(7)]
    for place in places:
        group.paste(small, place)
    faces = finder.find(np.asarray(group))
    assert len(faces) == len(places)
    middles = {(round((f.box[0] + f.box[2]) / 2 / 330 - 0.4), round(f.box[1] / 240 - 0.5)) for f in faces}
    assert len(middles) == len(places)


@pytest.mark.parametrize("tilt", [-20, 0, 20])
def test_a_mesh_is_laid_anew_where_the_face_lies(
    finder: FaceFinder, portrait: Image.Image, tilt: int
) -> None:
    """On a square around the face and, cropped to its box, on one whose surroundings are made up."""
    picture = np.asarray(portrait.rotate(tilt, Image.Resampling.BILINEAR, fillcolor=(120, 120, 120)))
    (face,) = finder.find(picture)
    x0, y0, x1, y1 = face.box
    box = np.ascontiguousarray(picture[y0:y1, x0:x1])
    place = Place.of(face.landmarks)
    for again, corner in (
        (finder.lay_anew(picture, place), (0, 0)),
        (finder.lay_anew(box, place.moved(-x0, -y0)), (x0, y0)),
    ):
        assert again is not None
        apart = np.linalg.norm(again + np.array(corner) - face.landmarks, axis=1).mean()
        assert apart < 0.05 * face.height


def test_no_mesh_is_laid_where_there_is_no_face(finder: FaceFinder, portrait: Image.Image) -> None:
    (face,) = finder.find(np.asarray(portrait))
    flat = np.full((256, 256, 3), 120, dtype=np.uint8)
    assert finder.lay_anew(flat, Place.of(face.landmarks)) is None


@pytest.mark.parametrize(("score", "box"), [(0.69, None), (0.8, (50, 0, 100, 120))])
def test_a_head_on_which_no_mesh_can_be_laid_counts_where_the_detector_is_sure(
    monkeypatch: pytest.MonkeyPatch, score: float, box: tuple[int, ...] | None
) -> None:
    flat = np.full((200, 100, 3), 120, dtype=np.uint8)
    side = Detection((0.5, -0.1, 1.2, 0.6), (0.6, 0.2), (0.8, 0.2), score)
    weaker = Detection((0.0, 0.0, 0.4, 0.4), (0.1, 0.1), (0.3, 0.1), 0.6)
    monkeypatch.setattr(Graphs, "detect", lambda graphs, view: [weaker, side])
    with FaceFinder() as finder:
        assert finder.find(flat) == []
        assert finder.turned_away(flat) == box
    with SkinToneReader() as reader:
        (reading,) = reader.read(flat)
    assert reading.box == box
    assert reading.abstained == ("no_face" if box is None else "turned_away")
    assert reading.ita is None


@pytest.mark.parametrize(
    ("laid", "found"),
    [
        ({3: 0.0, 7: 0.05}, True),
        ({3: 0.0, 7: 0.15}, False),
        ({3: 0.0, 7: 0.15, 9: 0.2}, True),
        ({3: 3.0, 7: 3.0}, False),
        ({3: 0.0}, False),
        ({}, False),
    ],
)
def test_a_face_that_is_turned_far_away_needs_a_mesh_that_comes_to_lie_twice(
    monkeypatch: pytest.MonkeyPatch,
    finder: FaceFinder,
    portrait: Image.Image,
    laid: dict[int, float],
    found: bool,
) -> None:
    """``laid``: at which of the squares around the detector's box a mesh can be laid, and how far to the
    right of that box, as a share of the face's height.
    """
    (face,) = finder.find(np.asarray(portrait))
    corners = np.array(face.box).reshape(2, 2) / portrait.size
    side = Detection(tuple(corners.ravel()), (0.4, 0.4), (0.5, 0.4), 0.8)
    calls = itertools.count()

    def mesh_in(*_: object) -> object:
        moved = laid.get(next(calls))
        return None if moved is None else np.add(face.landmarks, (moved * face.height, 0))

    monkeypatch.setattr(Graphs, "detect", lambda graphs, view: [side])
    monkeypatch.setattr(Graphs, "mesh_in", mesh_in)
    flat = np.full((portrait.height, portrait.width, 3), 120, dtype=np.uint8)
    with FaceFinder() as other:
        assert len(other.find(flat)) == found


def test_a_part_of_a_face_gives_way_to_the_whole_of_it() -> None:
    """What the detector does not see may be nostrils and lips; the larger face must be clearly larger."""

    def face(height: float) -> Face:
        landmarks = np.zeros((468, 2))
        landmarks[152, 1] = height
        return Face((0, 0, 10, 10), landmarks)

    small, alike, whole = [face(100)], [face(140)], [face(300)]
    assert _larger(whole, small) is whole
    assert _larger(alike, small) is small
    assert _larger([], small) is small
    assert _larger(whole, []) is whole


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket", "brick", "grass", "gravel", "coins", "moon"])
def test_no_face_where_there_is_none(finder: FaceFinder, name: str) -> None:
    picture = np.asarray(getattr(data, name)(), dtype=np.uint8)
    rgb = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    assert finder.find(np.ascontiguousarray(rgb)) == []


@pytest.mark.parametrize("scene", ["taxi", "flasks", "fuse_boxes", "clinic"])
def test_patterns_that_look_like_faces_are_none(finder: FaceFinder, scene: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(4):
        picture = (background(scene, 256, rng) * 255).astype(np.uint8)
        assert finder.find(np.ascontiguousarray(picture)) == []


@pytest.mark.parametrize("size", [(3840, 2160), (449, 100), (448, 448)])
def test_tiles_cover_the_picture(size: tuple[int, int]) -> None:
    seen = np.zeros(size[::-1], dtype=bool)
    for x0, y0, x1, y1 in _tiles(*size):
        assert 0 <= x0 < x1 <= size[0]
        assert 0 <= y0 < y1 <= size[1]
        seen[y0:y1, x0:x1] = True
    assert seen.all()


def test_the_second_reader_goes_another_way_and_agrees(portrait: Image.Image) -> None:
    with SecondReader() as second, SkinToneReader() as first:
        (one,), (other,) = first.read(portrait), second.read(portrait)
        assert one.ita_seen is not None
        assert other.ita is not None
        assert other.ita == pytest.approx(one.ita_seen, abs=25)
        assert not other.patches
        assert second.read(Image.new("RGB", (64, 64)))[0].abstained == "no_face"
    with pytest.raises(RuntimeError, match="closed"):
        second.read(portrait)


@pytest.mark.parametrize("margin", [0, 16, 24])
def test_the_second_reader_finds_faces_that_fill_the_picture(margin: int) -> None:
    """Renders of known tone, four of each ita6 class: none is missed more often for being dark."""
    tiles, tones = selftest.faces()
    with SecondReader() as second:
        for tile, tone in zip(tiles, tones, strict=True):
            close = tile[margin : tile.shape[0] - margin, margin : tile.shape[1] - margin]
            (reading,) = second.read(np.ascontiguousarray(close))
            assert reading.abstained is None, tone
            assert reading.box is not None
            x0, y0, x1, y1 = reading.box
            assert 0 <= x0 < x1 <= close.shape[1]
            assert 0 <= y0 < y1 <= close.shape[0]


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket", "brick", "grass", "moon"])
def test_the_second_reader_finds_no_face_where_there_is_none(name: str) -> None:
    picture = np.asarray(getattr(data, name)(), dtype=np.uint8)
    rgb = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    with SecondReader() as second:
        assert second.read(np.ascontiguousarray(rgb))[0].abstained == "no_face"


def test_graphs_that_start_at_once_leave_standard_error_alone() -> None:
    """The second begins while the first holds standard error back, and ends after it."""

    class Slow(Graphs):
        def __init__(self, seconds: float) -> None:
            super().__init__(1)
            self.seconds = seconds

        def _make(self, name: str) -> object:
            return object()

        def _read(self, name: str, view: object) -> list[object]:
            time.sleep(self.seconds)
            return [name]

    def begin(wait: float, seconds: float) -> None:
        time.sleep(wait)
        Slow(seconds).mesh(np.zeros((8, 8, 3), dtype=np.uint8))

    before = os.fstat(2)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(begin, (0.0, 0.1), (0.2, 0.3)))
    assert (os.fstat(2).st_dev, os.fstat(2).st_ino) == (before.st_dev, before.st_ino)


def test_readings_are_drawn(portrait: Image.Image) -> None:
    with SkinToneReader() as reader:
        drawn = draw_readings(portrait, reader.read(portrait))
        empty = draw_readings(Image.new("RGB", (64, 64)), reader.read(Image.new("RGB", (64, 64))))
    assert drawn.size == empty.size == (660, 300)
    inked = [(np.asarray(sheet)[:, 316:] < 128).any(axis=2).mean() for sheet in (drawn, empty)]
    assert inked[0] > 2 * inked[1] > 0
