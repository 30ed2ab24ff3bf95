"""The network that looks at the pixels of a face: where the face is laid, what is seen, what is computed."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skin_tone.colour import LUMINANCE, linear_to_srgb, srgb_to_linear
from skin_tone.features import FaceView
from skin_tone.pixels import (
    CHANNELS,
    EYES_HEIGHT,
    EYES_WIDTH,
    HEIGHT,
    WIDTH,
    Grids,
    Network,
    Planes,
    on_grids,
    planes,
)
from skin_tone.regions import EYES, INNER_MOUTH

EYE_LEFT, EYE_RIGHT, MOUTH = (28.0, 44.0), (68.0, 44.0), (48.0, 85.0)


def _view(angle: float, scale: float, shift: tuple[float, float]) -> FaceView:
    """A grey picture with a red, a green and a blue disc where eyes and mouth are."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    places = np.array([EYE_LEFT, EYE_RIGHT, MOUTH]) @ turn.T + shift
    landmarks = np.zeros((468, 2))
    for corners, place in zip((*EYES, INNER_MOUTH), places, strict=True):
        landmarks[list(corners)] = place
    rgb = np.full((420, 420, 3), 90, np.uint8)
    y, x = np.mgrid[:420, :420]
    for channel, place in enumerate(places):
        disc = (x - place[0]) ** 2 + (y - place[1]) ** 2 < (5 * scale) ** 2
        rgb[disc] = 0
        rgb[disc, channel] = 250
    return FaceView(rgb, landmarks)


@given(
    angle=st.floats(-0.78, 0.78),
    scale=st.floats(0.8, 2.4),
    shift=st.tuples(st.floats(100, 130), st.floats(100, 130)),
)
def test_eyes_and_mouth_always_lie_at_one_place(
    angle: float, scale: float, shift: tuple[float, float]
) -> None:
    face, eyes = on_grids(_view(angle, scale, shift))
    assert face.shape == (HEIGHT, WIDTH, 3)
    assert eyes.shape == (EYES_HEIGHT, EYES_WIDTH, 3)
    for channel, (x, y) in enumerate((EYE_LEFT, EYE_RIGHT, MOUTH)):
        assert np.abs(_middle(face, channel) - (y, x)).max() < 1.5
    for channel, (x, y) in enumerate((EYE_LEFT, EYE_RIGHT)):  # twice as large
        assert np.abs(_middle(eyes, channel) - (2 * (y - 34), 2 * (x - 14))).max() < 2.5


def _middle(grid: npt.NDArray[np.uint8], channel: int) -> npt.NDArray[np.float64]:
    """Row and column of a disc of one colour."""
    found = np.argwhere((grid[..., channel] > 170) & (grid.sum(-1, dtype=int) < 350))
    return np.asarray(found.mean(0))


@given(st.floats(0.7, 1.4))
def test_exposure_moves_only_the_plane_of_absolute_light(gain: float) -> None:
    rng = np.random.default_rng(0)
    light = rng.uniform(0.1, 0.5, (HEIGHT, WIDTH, 3))

    def seen(factor: float) -> Planes:
        grid = (linear_to_srgb(light * factor) * 255 + 0.5).astype(np.uint8)
        log = np.log(srgb_to_linear(grid)[50, 40])
        y = np.log(srgb_to_linear(grid)[50, 40] @ LUMINANCE)
        return planes(Grids(grid, grid[:EYES_HEIGHT]), np.array([y, log[0] - log[1], log[2] - log[1]]))

    assert seen(1.0).face.shape == (CHANNELS, HEIGHT, WIDTH)
    for before, after in zip(seen(1.0), seen(gain), strict=True):
        assert np.abs(after[:3] - before[:3]).max() < 0.12  # rounding to 8 bits
        inside = before[3] != 0
        assert np.median((after[3] - before[3])[inside]) == pytest.approx(np.log(gain), abs=0.01)


def test_numpy_computes_what_was_trained() -> None:
    torch = pytest.importorskip("torch")
    from tools.reader.pixels import PixelNetwork

    torch.manual_seed(0)
    trained = PixelNetwork().eval()
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    rng = np.random.default_rng(0)
    seen = Planes(
        *(
            rng.normal(size=(CHANNELS, *size)).astype(np.float32)
            for size in ((HEIGHT, WIDTH), (EYES_HEIGHT, EYES_WIDTH))
        )
    )
    with torch.no_grad():
        wanted = trained(*(torch.from_numpy(values)[None] for values in seen))[0].numpy()
    got = Network.of({name: value.numpy() for name, value in trained.state_dict().items()}).gains(seen)
    assert got == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_the_fit_sees_what_the_reader_sees() -> None:
    torch = pytest.importorskip("torch")
    from tools.reader.pixels import Faces

    rng = np.random.default_rng(0)
    face = rng.integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8)
    face[:, :20], face[:, 20:40] = 2, 253  # black, and clipped
    eyes = rng.integers(0, 256, (3, EYES_HEIGHT, EYES_WIDTH, 3), np.uint8)
    skin = rng.normal(size=(3, 3))
    seen = Faces(face, eyes, skin).planes(torch.tensor([2, 0]))
    for at, row in enumerate((2, 0)):
        for got, wanted in zip(seen, planes(Grids(face[row], eyes[row]), skin[row]), strict=True):
            assert got[at].numpy() == pytest.approx(wanted, abs=1e-5)


def test_what_is_seen_does_not_depend_on_the_number_of_threads() -> None:
    program = """
import numpy as np
from skin_tone.pixels import CHANNELS, EYES_HEIGHT, EYES_WIDTH, HEIGHT, WIDTH, Planes, trained
rng = np.random.default_rng(0)
for _ in range(9):
    sizes = ((HEIGHT, WIDTH), (EYES_HEIGHT, EYES_WIDTH))
    seen = Planes(*(rng.normal(size=(CHANNELS, *size)).astype(np.float32) for size in sizes))
    print(trained().gains(seen).tolist())
"""
    one, four = (
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            check=True,
        ).stdout
        for threads in ("1", "4")
    )
    assert one == four
