"""What a small convolutional network sees of the light in a face.

The features of `features.py` are medians over parts of the face. A glint, the edge of a lid, the shade on an
eye white also tell how bright and of which colour the light was, but only where they are seen in place. So
the face is laid on a grid, and its eyes on a finer one, and a network of four convolutions for each says by
which factors the camera and the light have changed the skin (`Network.gains`). Fitted by `python -m
tools.reader fit`; NumPy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from .colour import LUMINANCE, srgb_to_linear
from .features import FaceView
from .picture import RGB, resampled
from .regions import EYES, INNER_MOUTH

WIDTH, HEIGHT = 96, 112
EYES_WIDTH, EYES_HEIGHT = 136, 40
CHANNELS = 6
_EYES_FROM, _EYES_FINER = (14.0, 34.0), 2.0  # where the eyes' grid begins on the face's, and its scale
_PLACES = np.array([(28.0, 44.0), (68.0, 44.0), (48.0, 85.0)])  # of both eyes and the mouth on the grid
LOGS = np.log(np.maximum(srgb_to_linear(np.arange(256, dtype=np.uint8)), 1 / 512)).astype(np.float32)
"""sRGB code 0-255 -> log of linear light, no darker than 8-bit pictures tell apart."""
NAMES = ("pixels_y", "pixels_rg", "pixels_bg", "pixels_sure")
"""What the network adds to the features: log factors of luminance, R/G and B/G, and the log of its error."""

_UNSHARED = 2**18  # multiplications up to which OpenBLAS keeps a product on one thread

Floats = NDArray[np.float32]


def _oval() -> NDArray[np.bool_]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray(((x - 47.5) / 46) ** 2 + ((y - 55) / 60) ** 2 < 1)


OVAL = _oval()  # what lies beyond it is background, and must not speak for the face


class Grids(NamedTuple):
    """A face upright, eyes and mouth always at one place, uint8 sRGB: ``face`` on `HEIGHT` x `WIDTH`, its
    ``eyes``, twice as large, on `EYES_HEIGHT` x `EYES_WIDTH`.
    """

    face: RGB
    eyes: RGB


class Planes(NamedTuple):
    """What the network sees of `Grids`: `CHANNELS` x height x width of each."""

    face: Floats
    eyes: Floats


def on_grids(view: FaceView) -> Grids:
    """Lay a face on its grids."""
    points = np.stack([view.landmarks[list(corners)].mean(axis=0) for corners in (*EYES, INNER_MOUTH)])
    # Grid -> picture as a similarity, least squares over complex numbers: p = a g + b.
    g, p = _PLACES @ (1, 1j), points @ (1, 1j)
    a = complex(np.vdot(g - g.mean(), p - p.mean()) / np.vdot(g - g.mean(), g - g.mean()))
    b = complex(p.mean() - a * g.mean())
    return Grids(
        _laid(view.rgb, a, b, (WIDTH, HEIGHT)),
        _laid(view.rgb, a / _EYES_FINER, a * complex(*_EYES_FROM) + b, (EYES_WIDTH, EYES_HEIGHT)),
    )


def _laid(rgb: RGB, a: complex, b: complex, size: tuple[int, int]) -> RGB:
    return resampled(rgb, a, b, size, step=max(1, round(abs(a))))


def planes(grids: Grids, skin: NDArray[np.float64]) -> Planes:
    """What the network sees of a face.

    Args:
        grids: from `on_grids`. skin: the face's log luminance, log R/G and log B/G (the first three
            features).
    """
    return Planes(_channels(grids.face, skin) * OVAL, _channels(grids.eyes, skin))


def _channels(grid: RGB, skin: NDArray[np.float64]) -> Floats:
    """Log light against the skin (y, R/G, B/G), log luminance, what is clipped, and what is black."""
    light = np.take(LOGS, grid)
    y = light @ LUMINANCE.astype(np.float32)
    rg, bg = light[..., 0] - light[..., 1], light[..., 2] - light[..., 1]
    brightest = grid.max(axis=-1)
    clipped, black = brightest >= 250, brightest <= 5
    found = np.empty((CHANNELS, *grid.shape[:2]), np.float32)
    for plane, values in zip(
        found, (y - skin[0], rg - skin[1], bg - skin[2], y + 1.5, 2.0 * clipped, 2.0 * black), strict=True
    ):
        plane[:] = values
    return np.clip(found, -4, 4, out=found)


@dataclass(frozen=True, eq=False)
class Network:
    """Convolutions of 3 x 3 with stride 2 and ReLU for the face and for the eyes, one hidden layer over what
    both say, four outputs.

    Attributes:
        face, eyes: (weights out x in x 3 x 3, biases) of each convolution. dense: (weights out x in, biases)
            of each.
    """

    face: tuple[tuple[Floats, Floats], ...]
    eyes: tuple[tuple[Floats, Floats], ...]
    dense: tuple[tuple[Floats, Floats], ...]

    @classmethod
    def of(cls, tensors: dict[str, Any]) -> Network:
        """From tensors named ``face.N.weight`` and so on."""

        def layers(kind: str) -> tuple[tuple[Floats, Floats], ...]:
            count = sum(name.startswith(f"{kind}.") for name in tensors) // 2
            return tuple(
                (
                    np.asarray(tensors[f"{kind}.{n}.weight"], np.float32),
                    np.asarray(tensors[f"{kind}.{n}.bias"], np.float32),
                )
                for n in range(count)
            )

        return cls(layers("face"), layers("eyes"), layers("dense"))

    def gains(self, seen: Planes) -> NDArray[np.float64]:
        """The four numbers named in `NAMES`, from `planes`."""
        ends = []
        for x, convolutions in ((seen.face, self.face), (seen.eyes, self.eyes)):
            for weights, biases in convolutions:
                x = np.maximum(_convolve(x, weights) + biases[:, None, None], 0)
            ends.append(x.reshape(-1))
        flat = np.concatenate(ends)
        for weights, biases in self.dense[:-1]:
            flat = np.maximum(weights @ flat + biases, 0)
        weights, biases = self.dense[-1]
        return np.asarray(weights @ flat + biases, dtype=np.float64)


def _convolve(x: Floats, weights: Floats) -> Floats:
    """3 x 3, stride 2, zero padding of 1."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (1, 3, 3))[:, ::2, ::2, 0]
    rows, columns = windows.shape[1:3]
    flat = windows.transpose(0, 3, 4, 1, 2).reshape(-1, rows * columns)
    kernels = weights.reshape(len(weights), -1)
    # BLAS rounds a product that it shares among threads otherwise, and what is read must not depend on how
    # many of them there are.
    step = max(1, _UNSHARED // kernels.size)
    parts = [kernels @ flat[:, i : i + step] for i in range(0, flat.shape[1], step)]
    return np.concatenate(parts, axis=1).reshape(-1, rows, columns)


@cache
def trained() -> Network:
    """The network that comes with the package (``pixels.safetensors``)."""
    return Network.of(load((files("skin_tone") / "pixels.safetensors").read_bytes()))
