"""Features, the calibrated estimate, and the simulated cameras that both are tested with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from skin_tone import SkinToneReader, camera, selftest
from skin_tone.camera import Camera, illuminant_gains
from skin_tone.colour import linear_to_srgb, srgb_to_linear
from skin_tone.estimator import Estimator, calibrated
from skin_tone.faces import FaceFinder
from skin_tone.features import FACE_SIDE, NAMES
from skin_tone.pixels import NAMES as PIXEL_NAMES
from skin_tone.pixels import trained
from skin_tone.reader import light_features, measure_faces

Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def finder() -> Iterator[FaceFinder]:
    with FaceFinder() as made:
        yield made


@pytest.fixture(scope="module")
def portrait() -> Picture:
    """A woman in a space suit (NASA, public domain)."""
    return np.asarray(data.astronaut(), dtype=np.uint8)[:256, 96:352]  # type: ignore[no-untyped-call]


def _document(**changes: Any) -> dict[str, Any]:
    width = len(NAMES)
    rng = np.random.default_rng(0)
    layer = [rng.normal(0, 0.1, (4, width)).tolist(), [0.0, 0.0, 0.0, -0.5]]
    plain = {"features": list(NAMES), "mean": [0.0] * width, "scale": [1.0] * width}
    judge = [np.zeros((1, width + 4)).tolist(), [np.log(7.0)]]
    return {**plain, "networks": [[layer]], "width": [judge], **changes}


def _features(finder: FaceFinder, picture: Picture) -> NDArray[np.float64]:
    (face,) = measure_faces(picture, finder)
    features = light_features(picture, face)
    assert features is not None
    return features


def test_features_are_finite_and_named(finder: FaceFinder, portrait: Picture) -> None:
    features = _features(finder, portrait)
    assert features.shape == (len(NAMES),)
    assert np.isfinite(features).all()
    assert len(set(NAMES)) == len(NAMES)


def test_exposure_is_a_sum_in_the_features(finder: FaceFinder, portrait: Picture) -> None:
    darker = Camera(stops=-0.5, shoulder=0.97, noise=0.0).photograph(
        srgb_to_linear(portrait), np.random.default_rng(0)
    )
    one, other = _features(finder, portrait), _features(finder, darker)
    change = dict(zip(NAMES, other - one, strict=True))
    assert change["skin_y"] == pytest.approx(-0.5 * np.log(2), abs=0.04)
    assert change["eye_white_y"] == pytest.approx(0, abs=0.08)
    assert change["lips_rg"] == pytest.approx(0, abs=0.08)


def test_large_faces_are_measured_as_small_ones(finder: FaceFinder) -> None:
    large = np.asarray(data.astronaut(), dtype=np.uint8)[:200, 140:310].repeat(5, axis=0).repeat(5, axis=1)  # type: ignore[no-untyped-call]
    large = np.ascontiguousarray(large)
    (face,) = measure_faces(large, finder)
    assert face.face.height > 1.5 * FACE_SIDE
    assert light_features(large, face) is not None


def test_the_package_carries_its_calibration() -> None:
    assert calibrated().features == (*NAMES, *PIXEL_NAMES)
    assert trained().dense[-1][1].shape == (len(PIXEL_NAMES),)


@given(st.lists(st.floats(-1e6, 1e6), min_size=len(NAMES), max_size=len(NAMES)))
def test_wild_features_stay_in_bounds(values: list[float]) -> None:
    found = Estimator(_document()).estimate(np.array(values), (60.0, 12.0, 18.0))
    assert 0 <= found.lab[0] <= 100
    assert found.sigma > 0
    assert np.isfinite(found.lab).all()


def test_a_network_that_says_nothing_leaves_the_colour_as_it_is() -> None:
    zeros = [[[0.0] * len(NAMES)] * 4, [0.0, 0.0, 0.0, 0.0]]
    found = Estimator(_document(networks=[[zeros]])).estimate(np.zeros(len(NAMES)), (60.0, 12.0, 18.0))
    assert found.lab == (60.0, 12.0, 18.0)
    assert found.sigma == pytest.approx(7.0)


@given(st.integers(2700, 10500))
def test_light_has_the_colour_of_its_temperature(kelvin: int) -> None:
    r, g, b = illuminant_gains(kelvin)
    assert 0.2126 * r + 0.7152 * g + 0.0722 * b == pytest.approx(1)
    assert (r > b) == (kelvin < 6500) or abs(kelvin - 6500) < 60


def test_linear_light_goes_there_and_back() -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(-1, 1).repeat(3, axis=1)
    assert np.array_equal((linear_to_srgb(srgb_to_linear(codes)) * 255 + 0.5).astype(np.uint8), codes)


@pytest.mark.parametrize("make", [camera.careful, camera.careless, camera.careless_and_more])
def test_cameras_take_pictures(make: Any, portrait: Picture) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        picture = make(rng).photograph(srgb_to_linear(portrait), rng)
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        assert max(picture.shape) <= 256


def test_the_correction_is_the_mean_of_what_the_networks_say() -> None:
    def saying(change: float) -> Any:
        return [[[[0.0] * len(NAMES)] * 4, [change, 0.1, 0.0, 0.0]]]  # of L*, a*, b* in tens

    document = _document(networks=[saying(0.5), saying(1.5)])
    assert Estimator(document).estimate(np.zeros(len(NAMES)), (60.0, 12.0, 18.0)).lab == (70.0, 13.0, 18.0)


def test_the_self_test_carries_four_faces_of_each_class(finder: FaceFinder) -> None:
    pictures, truth = selftest.faces()
    assert [truth.count(k) for k in range(6)] == [4] * 6
    assert all(p.shape == (selftest.TILE, selftest.TILE, 3) for p in pictures)
    assert all(len(finder.find(np.ascontiguousarray(p))) == 1 for p in pictures)


def test_the_self_test_reads_plain_pictures_well() -> None:
    from rich.console import Console

    with SkinToneReader() as reader:
        answers = selftest.run(reader, selftest.conditions()[:1], Console(quiet=True))
    read = [(a.true, a.read) for a in answers if a.read is not None]
    assert len(read) >= 22
    assert (
        np.mean([t == r for t, r in read]) >= 0.6
    )  # seven of these 24 faces lie within three degrees of a border
    assert all(abs(t - r) <= 1 for t, r in read)
