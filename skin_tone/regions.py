"""Landmarks -> patches of bare skin: cheeks, forehead, chin. Geometry only, never a rule about colour.

A rule "skin is what has this colour" drops both ends of the scale; a polygon on the face mesh does not know
the tone. Eyes, brows, lips, nostrils and the hair line stay outside. Left and right are the person's own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .polygons import pixels_inside

# Corners in MediaPipe's canonical numbering (468 points), in order around each patch.
POLYGONS: dict[str, tuple[int, ...]] = {
    "right_cheek": (117, 118, 119, 100, 36, 205, 187, 123),
    "left_cheek": (346, 347, 348, 329, 266, 425, 411, 352),
    "nose_bridge": (197, 419, 248, 281, 5, 51, 3, 196),
    "forehead": (69, 108, 151, 337, 299, 336, 9, 107),
    "chin": (83, 18, 313, 421, 428, 199, 208, 201),
}

LOWER_PATCHES = ("chin",)
"""Patches that a mask or a scarf covers first."""

# Parts whose colour varies less between people than that of skin, or in another way.
EYES: tuple[tuple[int, ...], ...] = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
BROWS: tuple[tuple[int, ...], ...] = (
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
)
LIPS: tuple[int, ...] = (146, 91, 181, 84, 17, 314, 405, 321, 375, 324, 318, 402, 317, 14, 87, 178, 88, 95)
"""The lower lip."""
INNER_MOUTH: tuple[int, ...] = (
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
)  # fmt: skip

MOUTH: tuple[int, ...] = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185,
)  # fmt: skip
"""The outer edge of both lips."""
OVAL: tuple[int, ...] = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""The outline of the face, from the top of the forehead round by the person's left."""

# A cheek whose outline is this much smaller than the other one's faces away: it is seen at a slant, in other
# light.
_SLANT = 0.4


def patch_pixels(
    landmarks: NDArray[np.float64], height: int, width: int
) -> tuple[dict[str, NDArray[np.intp]], dict[str, str]]:
    """The pixels of each patch.

    Args:
        landmarks: (468, 2) x, y in pixels.
        height, width: of the picture in pixels.

    Returns:
        patch -> integer array (n, 2) of rows and columns inside the picture (n may be 0 for a tiny face), and
        patch -> reason for patches left out (``faces_away``).
    """
    skipped = dict.fromkeys(_facing_away(landmarks), "faces_away")
    pixels = {}
    for name, corners in POLYGONS.items():
        if name not in skipped:
            pixels[name] = np.stack(pixels_inside(landmarks[list(corners)], (height, width)), axis=1)
    return pixels, skipped


def _facing_away(landmarks: NDArray[np.float64]) -> list[str]:
    areas = {name: _area(landmarks[list(POLYGONS[name])]) for name in ("right_cheek", "left_cheek")}
    widest = max(areas.values())
    return [name for name, area in areas.items() if area < _SLANT * widest]


def _area(corners: NDArray[np.float64]) -> float:
    """Signed area of a polygon (shoelace), made positive."""
    x, y = corners.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2.0
