"""A second, independent reader, so that steering and checking need not be marked by the same hand.

It shares with `SkinToneReader` the scales, the form of its answer and the ratings, and nothing of the way
there: a detection box instead of a face mesh, bands of lightness instead of patches, twelve numbers in Oklab
and a straight line instead of networks and processes. Where the two agree, the agreement means something.
"""

from __future__ import annotations

import threading
from itertools import pairwise
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import abstain, colour
from .colour import Lab
from .graphs import Detection, Graphs
from .observer import TONES, angle_of, degrees_per_class, lab_of
from .picture import RGB, as_rgb
from .reader import ToneReading
from .scales import SCALES

WEIGHTS = np.array(
    [
        1.591, -6.505, 0.128, -2.768, 0.788, 13.208, -4.394, 12.401, 17.32, -5.681, -19.058, -9.958, 10.102,
    ]
)  # fmt: skip
"""Of the numbers of `describe_pixels`, and a constant: tone on the raters' scale, by ridge regression on the
rated faces and on renders (`python -m tools.reader second`)."""
SIGMA = 0.94
"""Standard error of a tone, in classes."""
_BANDS = (0.05, 0.25, 0.45, 0.65, 0.85)

_SIDE = 64  # the face is brought to this many pixels before clustering
_LOOK_AT = 768
_MARGIN = 0.5
"""Of the picture's sides, on each side, where a face is looked for once more."""

# Linear sRGB -> LMS -> Oklab (Ottosson 2020).
_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OKLAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


class SecondReader:
    """Reads apparent skin tones another way. Close it, or use it in a ``with`` block. Thread-safe."""

    def __init__(self) -> None:
        self._graphs = Graphs(1)
        self._lock = threading.Lock()
        self._closed = False

    def read(self, image: Image.Image | NDArray[np.uint8]) -> list[ToneReading]:
        """As `SkinToneReader.read`, without patches.

        Raises:
            PictureError: the picture has a form that is not read.
            RuntimeError: the reader is closed.
        """
        rgb = as_rgb(image)
        found = self.find(rgb)
        if not found:
            return [ToneReading(abstained="no_face")]
        reason = abstain.picture_reason(rgb)
        readings = [_read(rgb, face, reason) for face in found]
        return sorted(readings, key=lambda r: -_area(r))

    def find(self, rgb: RGB) -> list[Detection]:
        """The faces of a picture (uint8, H x W x 3), the surest first."""
        small = Image.fromarray(rgb)
        factor = _LOOK_AT / max(small.size)
        if factor < 1 or max(small.size) < 256:
            factor = factor if factor < 1 else 256 / max(small.size)
            small = small.resize((max(1, round(small.width * factor)), max(1, round(small.height * factor))))
        with self._lock:
            if self._closed:
                raise RuntimeError("this reader is closed: make a new one")
            view = np.asarray(small)
            found = self._graphs.detect(view) or self._with_margin(view)
        return _distinct(found)

    def _with_margin(self, view: RGB) -> list[Detection]:
        """Faces that fill the picture: the detector misses one in eight of these without room around them,
        most of them dark.
        """
        height, width = view.shape[:2]
        y, x = round(height * _MARGIN), round(width * _MARGIN)
        wide = np.pad(view, ((y, y), (x, x), (0, 0)), mode="edge")
        wider, higher = wide.shape[1] / width, wide.shape[0] / height
        return [_moved(face, wider, higher) for face in self._graphs.detect(wide)]

    def close(self) -> None:
        """Free the detector. May be called twice."""
        with self._lock:
            self._graphs.close()
            self._closed = True

    def __enter__(self) -> SecondReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _moved(face: Detection, wider: float, higher: float) -> Detection:
    """From shares of the picture with its margin to shares of the picture."""

    def x(value: float) -> float:
        return (value - 0.5) * wider + 0.5

    def y(value: float) -> float:
        return (value - 0.5) * higher + 0.5

    x0, y0, x1, y1 = face.box
    right, left = ((x(ex), y(ey)) for ex, ey in (face.right_eye, face.left_eye))
    return Detection((x(x0), y(y0), x(x1), y(y1)), right, left, face.score)


def _distinct(found: list[Detection]) -> list[Detection]:
    kept: list[Detection] = []
    for face in sorted(found, key=lambda f: -f.score):
        x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
        if not any(k.box[0] < x < k.box[2] and k.box[1] < y < k.box[3] for k in kept):
            kept.append(face)
    return kept


def face_pixels(rgb: RGB, face: Detection) -> tuple[tuple[int, int, int, int], RGB | None]:
    """The box of a detection in pixels, and the pixels (n, 3) of the oval in its middle; None where it is too
    small.
    """
    height, width = rgb.shape[:2]
    x0, x1 = (int(np.clip(round(v * width), 0, width)) for v in (face.box[0], face.box[2]))
    y0, y1 = (int(np.clip(round(v * height), 0, height)) for v in (face.box[1], face.box[3]))
    if x1 - x0 < 2 or y1 - y0 < 2 or y1 - y0 < abstain.MIN_FACE_HEIGHT * 0.75:
        return (x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)), None
    piece = Image.fromarray(np.ascontiguousarray(rgb[y0:y1, x0:x1]))
    piece.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    return (x0, y0, x1, y1), _oval(np.asarray(piece))


def _read(rgb: RGB, face: Detection, reason: abstain.Reason | None) -> ToneReading:
    box, pixels = face_pixels(rgb, face)
    if pixels is None:
        return ToneReading(box=box, abstained="small_face")
    if reason is not None:
        return ToneReading(box=box, abstained=reason)
    clipped = abstain.clipped_pixels(pixels)
    if clipped.mean() > abstain.CLIPPED_SHARE:
        return ToneReading(box=box, abstained="clipped")
    described = describe_pixels(pixels[~clipped])
    if described is None:
        return ToneReading(box=box, abstained="few_skin_pixels")
    seen = colour.srgb_to_lab(np.median(pixels[~clipped], axis=0).astype(np.uint8)[None])[0]
    tone = float(np.clip(described @ WEIGHTS[:-1] + WEIGHTS[-1], TONES[0], TONES[-1]))
    return _reading(box, tone, (float(seen[0]), float(seen[1]), float(seen[2])))


def _oval(piece: RGB) -> RGB:
    """The pixels (n, 3) of the oval in the middle of a face's box, clear of hair and jaw."""
    height, width = piece.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    inside = ((x / width - 0.5) / 0.33) ** 2 + ((y / height - 0.52) / 0.36) ** 2 < 1
    return np.asarray(piece[inside])


def describe_pixels(pixels: RGB) -> NDArray[np.float64] | None:
    """Mean Oklab colours (Ottosson 2020) of four bands of a face's pixels (n, 3 sRGB), dark to light: 12
    numbers.

    The bands go from the 5th to the 85th percentile of L; the darkest and the lightest pixels, eyes, brows
    and gloss, belong to none. None for too few pixels.
    """
    if len(pixels) < abstain.MIN_SKIN_PIXELS:
        return None
    oklab = np.cbrt(colour.srgb_to_linear(pixels) @ _LMS.T) @ _OKLAB.T
    ordered = oklab[np.argsort(oklab[:, 0], kind="stable")]
    edges = [int(share * len(ordered)) for share in _BANDS]
    return np.asarray(np.concatenate([ordered[low:high].mean(axis=0) for low, high in pairwise(edges)]))


def _reading(box: tuple[int, int, int, int], tone: float, seen: Lab) -> ToneReading:
    angle = angle_of(tone)
    lab = lab_of(angle, seen)
    sigma = SIGMA * degrees_per_class(tone)
    return ToneReading(
        box=box,
        lab=lab,
        seen=seen,
        chroma=colour.chroma(lab),
        hue=colour.hue(lab),
        ita=angle,
        ita_seen=colour.ita(seen),
        ita_sigma=sigma,
        probabilities={name: scale.probabilities(angle, sigma) for name, scale in SCALES.items()},
        classes={name: scale.classify(angle) for name, scale in SCALES.items()},
    )


def _area(reading: ToneReading) -> int:
    x0, y0, x1, y1 = reading.box or (0, 0, 0, 0)
    return (x1 - x0) * (y1 - y0)
