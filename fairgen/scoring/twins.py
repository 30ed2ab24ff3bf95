"""How much of a picture steering left alone: twins of the same seed, steered and unsteered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import ConvexHull
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.draw import polygon
from skimage.transform import SimilarityTransform

if TYPE_CHECKING:
    from skin_tone.faces import FaceFinder

_LEFT_EYE, _RIGHT_EYE = (33, 133), (263, 362)  # corners, in MediaPipe's numbering
_AROUND = 1.25


def landmark_shift(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Mean distance of two faces' landmarks, in interocular distances of ``other``.

    Args:
        one, other: (n, 2), n >= 468, MediaPipe's numbering. ``one`` is laid on ``other`` first, by the
            least-squares similarity (Umeyama 1991), so that moving or scaling a face counts for nothing.
    """
    moved = SimilarityTransform.from_estimate(one, other)(one)
    eyes = np.linalg.norm(other[list(_LEFT_EYE)].mean(0) - other[list(_RIGHT_EYE)].mean(0))
    return float(np.linalg.norm(moved - other, axis=1).mean() / eyes)


def elsewhere_difference(one: Image.Image, other: Image.Image, landmarks: NDArray[np.float64]) -> float:
    """Median CIEDE2000 of two pictures outside the face, and outside what lies below it (neck, chest).

    Args:
        one, other: of the same size. landmarks: (n, 2) of the face in either.
    """
    a, b = (np.asarray(picture.convert("RGB")) / 255 for picture in (one, other))
    centre = landmarks.mean(0)
    around = (landmarks[ConvexHull(landmarks).vertices] - centre) * _AROUND + centre
    outside = np.ones(a.shape[:2], dtype=bool)
    rows, columns = polygon(around[:, 1], around[:, 0], outside.shape)  # type: ignore[no-untyped-call]
    outside[rows, columns] = False
    left, right = np.clip((landmarks[:, 0].min(), landmarks[:, 0].max()), 0, a.shape[1]).astype(int)
    outside[max(0, int(centre[1])) :, left:right] = False
    if not outside.any():
        return 0.0
    difference = deltaE_ciede2000(rgb2lab(a), rgb2lab(b))  # type: ignore[no-untyped-call]
    return float(np.median(difference[outside]))


@dataclass(frozen=True)
class Likeness:
    """How far a picture is from its twin: `landmark_shift` and `elsewhere_difference`."""

    shift: float
    elsewhere: float


def likeness(picture: Image.Image, twin: Image.Image, finder: FaceFinder) -> Likeness | None:
    """Compare a picture with its twin by the largest face of each; None where one of them shows none."""
    own, other = (finder.find(np.asarray(one.convert("RGB"))) for one in (picture, twin))
    if not own or not other:
        return None
    return Likeness(
        landmark_shift(own[0].landmarks, other[0].landmarks),
        elsewhere_difference(picture, twin, other[0].landmarks),
    )
