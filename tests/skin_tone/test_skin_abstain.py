"""When a reading must not be given: blur, coloured light, parts that disagree; for every tone alike."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from skin_tone import SCALES, SkinToneReader, abstain
from skin_tone.camera import Camera
from skin_tone.colour import srgb_to_linear
from skin_tone.selftest import faces

Picture = NDArray[np.uint8]
CLASSES = SCALES["ita6"].classes


@pytest.fixture(scope="module")
def skin_reader() -> Iterator[SkinToneReader]:
    with SkinToneReader() as reader:
        yield reader


@pytest.fixture(scope="module")
def one_of_each() -> list[Picture]:
    """A rendered face of each ita6 class."""
    pictures, truth = faces()
    return [pictures[truth.index(k)] for k in range(len(CLASSES))]


def lit(picture: Picture, gains: tuple[float, float, float]) -> Picture:
    camera = Camera(gains=gains, shoulder=0.97, noise=0.0)
    return camera.photograph(srgb_to_linear(picture), np.random.default_rng(0))


def blurred(picture: Picture, share: float, face_height: float) -> Picture:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(share * face_height)))


def reasons(reader: SkinToneReader, pictures: list[Picture]) -> list[str | None]:
    return [reader.read(picture)[0].abstained for picture in pictures]


def test_faces_as_they_are_get_an_answer(skin_reader: SkinToneReader, one_of_each: list[Picture]) -> None:
    assert reasons(skin_reader, one_of_each) == [None] * len(CLASSES)


def test_a_blurred_face_is_refused_whatever_its_tone(
    skin_reader: SkinToneReader, one_of_each: list[Picture]
) -> None:
    heights = [box[3] - box[1] for picture in one_of_each if (box := skin_reader.read(picture)[0].box)]
    slightly = [blurred(p, 0.015, h) for p, h in zip(one_of_each, heights, strict=True)]
    assert reasons(skin_reader, slightly) == [None] * len(CLASSES)
    strongly = [blurred(p, 0.07, h) for p, h in zip(one_of_each, heights, strict=True)]
    assert set(reasons(skin_reader, strongly)) <= {"blurred", "no_face"}
    assert "blurred" in reasons(skin_reader, strongly)


@pytest.mark.parametrize("gains", [(0.45, 1.5, 0.45), (0.35, 0.6, 2.6)], ids=["green", "blue"])
def test_stage_light_is_refused_whatever_the_tone(
    skin_reader: SkinToneReader, one_of_each: list[Picture], gains: tuple[float, float, float]
) -> None:
    found = reasons(skin_reader, [lit(picture, gains) for picture in one_of_each])
    assert found.count("colour_cast") >= len(CLASSES) - 1
    assert set(found) <= {"colour_cast", "regions_disagree", "no_face"}


@pytest.mark.parametrize("gains", [(1.3, 1.0, 0.6), (0.8, 1.0, 1.3)], ids=["warm", "cool"])
def test_warm_and_cool_light_is_not(
    skin_reader: SkinToneReader, one_of_each: list[Picture], gains: tuple[float, float, float]
) -> None:
    assert reasons(skin_reader, [lit(p, gains) for p in one_of_each]) == [None] * len(CLASSES)


def test_half_a_face_in_paint_is_refused(skin_reader: SkinToneReader, one_of_each: list[Picture]) -> None:
    for picture in one_of_each[1:4]:
        box = skin_reader.read(picture)[0].box
        assert box is not None
        painted = picture.copy()
        middle = (box[0] + box[2]) // 2
        light = srgb_to_linear(painted[:, middle:]) * (0.25, 0.5, 2.2)
        painted[:, middle:] = (np.clip(light, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
        assert skin_reader.read(painted)[0].abstained in ("regions_disagree", "colour_cast")


def test_sharpness_does_not_hang_on_brightness(one_of_each: list[Picture]) -> None:
    picture = one_of_each[2]
    dim = lit(picture, (0.4, 0.4, 0.4))
    assert abstain.sharpness(dim, 120) == pytest.approx(abstain.sharpness(picture, 120), abs=0.35)
    assert abstain.sharpness(blurred(picture, 0.05, 120), 120) < abstain.sharpness(picture, 120) - 1


def test_every_reason_has_words() -> None:
    from typing import get_args

    assert set(get_args(abstain.Reason)) == set(abstain.REASONS)


def test_patches_that_agree() -> None:
    skin = np.array([60.0, 14.0, 18.0])
    shaded, warmer = np.array([40.0, 14.0, 18.0]), np.array([60.0, 19.0, 13.0])
    assert not abstain.disagree([skin, shaded, warmer])
    assert not abstain.disagree([skin, np.array([15.0, 14.0, 18.0])]), "gloss and shadow are no other skin"
    assert abstain.disagree([skin, np.array([60.0, 0.0, -22.0])])
    assert not abstain.disagree([skin])


def jpeg(picture: Picture | Image.Image, quality: int = 75) -> Picture:
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(
        file, "JPEG", quality=quality
    )
    return np.asarray(Image.open(file))


@pytest.mark.parametrize(
    "tones",
    [("#1a0f05", "#9c7448", "#f5e6c8"), ("#000000", "#807460", "#ffe9c0"), ("#0a1020", "#5070a0", "#e8f0ff")],
    ids=["sepia", "cream", "cyanotype"],
)
def test_a_toned_print_has_no_colours_of_its_own(
    one_of_each: list[Picture], tones: tuple[str, str, str]
) -> None:
    for picture in one_of_each:
        grey = ImageOps.grayscale(Image.fromarray(picture))
        toned = ImageOps.colorize(grey, tones[0], tones[2], mid=tones[1])
        assert abstain.picture_reason(jpeg(toned, 90)) == "monochrome"
        assert abstain.picture_reason(jpeg(picture)) is None


def test_a_posterised_face_is_refused_and_a_compressed_one_is_not(one_of_each: list[Picture]) -> None:
    for picture in one_of_each:
        assert abstain.posterised(np.asarray(ImageOps.posterize(Image.fromarray(picture), 3)))
        assert not abstain.posterised(jpeg(picture, 60))
