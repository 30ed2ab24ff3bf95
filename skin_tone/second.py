"""A second, independent reader, so that steering and checking need not be marked by the same hand.

It shares with `SkinToneReader` the scales and the form of its answer, and nothing of the way there: a
detection box instead of a face mesh, clusters of colour in Oklab instead of patches, and no calibration: it
states the colour that is seen. Where the two agree, the agreement means something.
"""

from __future__ import annotations

import threading
import warnings
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.cluster.vq import kmeans2
from skimage.color import xyz2lab

from . import abstain, colour
from .colour import Lab
from .graphs import Detection, Graphs
from .picture import RGB, as_rgb
from .reader import ToneReading
from .scales import SCALES

SIGMA = 20.0
"""Standard error of an ITA that is read without looking at the light, degrees: root mean square error over
399 shots of the calibration split under `camera.careless` (6 under `camera.careful`; which of the two a
picture is, this reader does not know)."""

_CLUSTERS = 3
_LEAST_SHARE = 0.2
"""Of the pixels: a smaller cluster is eyes, lips, brows or a highlight."""
_SIDE = 64  # the face is brought to this many pixels before clustering
_LOOK_AT = 768
_MARGIN = 0.5
"""Of the picture's sides, on each side, where a face is looked for once more."""

# Linear sRGB -> LMS -> Oklab (Ottosson 2020), and linear sRGB -> XYZ (IEC 61966-2-1).
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
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


class SecondReader:
    """Reads apparent skin tones another way. Close it, or use it in a ``with`` block. Thread-safe."""

    def __init__(self) -> None:
        self._graphs = Graphs(1)
        self._lock = threading.Lock()
        self._closed = False

    def read(self, image: Image.Image | NDArray[np.uint8]) -> list[ToneReading]:
        """As `SkinToneReader.read`; ``lab`` and ``seen`` are the same colour, and there are no patches.

        Raises:
            PictureError: the picture has a form that is not read.
            RuntimeError: the reader is closed.
        """
        rgb = as_rgb(image)
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
        if not found:
            return [ToneReading(abstained="no_face")]
        reason = abstain.picture_reason(rgb)
        readings = [_read(rgb, face, reason) for face in _distinct(found)]
        return sorted(readings, key=lambda r: -_area(r))

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


def _read(rgb: RGB, face: Detection, reason: abstain.Reason | None) -> ToneReading:
    height, width = rgb.shape[:2]
    x0, x1 = (int(np.clip(round(v * width), 0, width)) for v in (face.box[0], face.box[2]))
    y0, y1 = (int(np.clip(round(v * height), 0, height)) for v in (face.box[1], face.box[3]))
    if x1 - x0 < 2 or y1 - y0 < 2 or y1 - y0 < abstain.MIN_FACE_HEIGHT * 0.75:
        return ToneReading(box=(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)), abstained="small_face")
    box = (x0, y0, x1, y1)
    if reason is not None:
        return ToneReading(box=box, abstained=reason)
    piece = Image.fromarray(np.ascontiguousarray(rgb[y0:y1, x0:x1]))
    piece.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels = _oval(np.asarray(piece))
    clipped = abstain.clipped_pixels(pixels)
    if clipped.mean() > abstain.CLIPPED_SHARE:
        return ToneReading(box=box, abstained="clipped")
    light = colour.srgb_to_linear(pixels[~clipped])
    skin = _skin_cluster(light)
    if skin is None:
        return ToneReading(box=box, abstained="few_skin_pixels")
    lab = xyz2lab((_XYZ @ skin)[None, :])[0]
    return _reading(box, (float(lab[0]), float(lab[1]), float(lab[2])))


def _oval(piece: RGB) -> RGB:
    """The pixels (n, 3) of the oval in the middle of a face's box, clear of hair and jaw."""
    height, width = piece.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    inside = ((x / width - 0.5) / 0.33) ** 2 + ((y / height - 0.52) / 0.36) ** 2 < 1
    return np.asarray(piece[inside])


def _skin_cluster(light: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Mean linear light of the lightest large cluster in Oklab: the others are shadow, beard, eyes and lips.

    Lightness counts less than hue, since shadow is no other skin.
    """
    if len(light) < abstain.MIN_SKIN_PIXELS:
        return None
    oklab = np.cbrt(light @ _LMS.T) @ _OKLAB.T
    points = oklab * (0.3, 2.0, 2.0)
    if float(points.std()) < 1e-6:
        return np.asarray(light.mean(axis=0))
    order = points[np.argsort(points[:, 0])]
    starts = order[(np.linspace(0.1, 0.9, _CLUSTERS) * (len(order) - 1)).astype(int)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty", UserWarning)  # its centre stays
        _, label = kmeans2(points, starts, minit="matrix", iter=12, missing="warn")
    shares = np.bincount(label, minlength=_CLUSTERS) / len(label)
    large = np.flatnonzero(shares >= _LEAST_SHARE)
    lightest = max(large, key=lambda k: float(oklab[label == k, 0].mean()))
    return np.asarray(light[label == lightest].mean(axis=0))


def _reading(box: tuple[int, int, int, int], lab: Lab) -> ToneReading:
    angle = colour.ita(lab)
    return ToneReading(
        box=box,
        lab=lab,
        seen=lab,
        chroma=colour.chroma(lab),
        hue=colour.hue(lab),
        ita=angle,
        ita_seen=angle,
        ita_sigma=SIGMA,
        probabilities={name: scale.probabilities(angle, SIGMA) for name, scale in SCALES.items()},
        classes={name: scale.classify(angle) for name, scale in SCALES.items()},
    )


def _area(reading: ToneReading) -> int:
    x0, y0, x1, y1 = reading.box or (0, 0, 0, 0)
    return (x1 - x0) * (y1 - y0)
