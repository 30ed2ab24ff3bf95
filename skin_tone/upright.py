"""A face laid upright on a small grid, and which cells of it show skin.

The eyes and the mouth always lie at the same places, so that faces of any size and tilt are measured alike.
What lies outside the picture repeats its edge and counts as unseen: black there would pass for a dark
surrounding. Skin is told from the rest by geometry. Colour decides in one case only: a lower half of the face
that has another colour than the upper half (a mask, a beard, a scarf) is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation

from .colour import srgb_to_lab
from .medians import median
from .picture import RGB
from .polygons import pixels_inside
from .regions import BROWS, EYES, LIPS, MOUTH, OVAL, POLYGONS

HEIGHT, WIDTH = 88, 80
_PLACES = np.array([(25.5, 36.0), (54.5, 36.0), (40.0, 62.0)])
"""x, y on the grid of the right eye, the left eye and the mouth."""
_INNER = 0.86
"""The face's outline is drawn in to this share: hair, background and the shaded rim stay outside, and what
remains changes little when a picture is cropped.
"""
_LOWER = 58
"""Row below which the lower half of the face begins: the upper lip."""
_OTHER_COLOUR = 12.0
_PALER = 0.6
_OTHER_HUE = 45.0
"""A lower half whose a*b* lies this far from the upper half's is not skin where its chroma is below this
share of
it, or its hue this many degrees away: masks are white, blue or black, beards dark and grey.
"""
LEAST_SKIN = 150
"""Cells of skin that a face must show: 150 are one in twelve of a bare, frontal face."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class UprightFace:
    """One face on the grid.

    Attributes:
        lab: L*, a*, b* of every cell, `HEIGHT` x `WIDTH` x 3.
        skin: cells that show skin, `HEIGHT` x `WIDTH`.
        patches: patch -> its cells inside the picture, whether skin or not.
        lips: cells of the lower lip.
        mouth: cells within the outer edge of both lips.
        brows: cells of the brows.
        seen: share of the face's inner outline that lies in the picture, 0-1.
        covered: whether the lower half was left out.
    """

    lab: NDArray[np.float64]
    skin: Mask
    patches: dict[str, Mask]
    lips: Mask
    mouth: Mask
    brows: Mask
    seen: float
    covered: bool

    def mirrored(self) -> UprightFace:
        """The same face as in a mirror; the patches of the cheeks change their names."""
        names = {"right_cheek": "left_cheek", "left_cheek": "right_cheek"}
        return UprightFace(
            self.lab[:, ::-1],
            self.skin[:, ::-1],
            {names.get(name, name): mask[:, ::-1] for name, mask in self.patches.items()},
            self.lips[:, ::-1],
            self.mouth[:, ::-1],
            self.brows[:, ::-1],
            self.seen,
            self.covered,
        )


def lay_upright(rgb: RGB, landmarks: NDArray[np.float64]) -> UprightFace:
    """Lay one face on the grid.

    Args:
        rgb: the whole picture, H x W x 3, uint8 sRGB.
        landmarks: (468, 2) x, y in pixels of ``rgb``; they may lie outside it.
    """
    grid, inside, points = upright_pixels(rgb, landmarks)
    return with_regions(grid, inside, points)


def upright_pixels(rgb: RGB, landmarks: NDArray[np.float64]) -> tuple[RGB, Mask, NDArray[np.float64]]:
    """The grid's pixels (`HEIGHT` x `WIDTH` x 3, uint8 sRGB), which of them lie in the picture, and the
    landmarks on the grid, (468, 2).
    """
    places = _PLACES @ (1, 1j)
    anchors = np.stack([landmarks[list(corners)].mean(axis=0) for corners in (*EYES, MOUTH)]) @ (1, 1j)
    # Grid -> picture as a similarity, least squares over complex numbers: z = turn g + shift.
    centred = places - places.mean()
    turn = complex(np.vdot(centred, anchors - anchors.mean()) / np.vdot(centred, centred))
    shift = complex(anchors.mean() - turn * places.mean())
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    at = turn * (x + 1j * y) + shift
    height, width = rgb.shape[:2]
    inside = (at.real > -0.5) & (at.real < width - 0.5) & (at.imag > -0.5) & (at.imag < height - 0.5)
    points = (landmarks @ (1, 1j) - shift) / turn
    return _sampled(rgb, at, abs(turn)), inside, np.stack([points.real, points.imag], axis=1)


def _sampled(rgb: RGB, at: NDArray[np.complex128], step: float) -> RGB:
    """``rgb`` at the places ``at`` (x + iy, pixel centres at whole numbers), smoothed over ``step`` pixels;
    beyond its edge the nearest pixel.
    """
    height, width = rgb.shape[:2]
    room = int(np.ceil(step)) + 1
    x0 = int(np.clip(at.real.min() - room, 0, width - 1))
    y0 = int(np.clip(at.imag.min() - room, 0, height - 1))
    x1 = int(np.clip(at.real.max() + room + 1, x0 + 1, width))
    y1 = int(np.clip(at.imag.max() + room + 1, y0 + 1, height))
    piece = rgb[y0:y1, x0:x1]
    if step > 1:
        size = (max(1, round((x1 - x0) / step)), max(1, round((y1 - y0) / step)))
        piece = np.asarray(Image.fromarray(np.ascontiguousarray(piece)).resize(size, Image.Resampling.BOX))
    across, down = piece.shape[1] / (x1 - x0), piece.shape[0] / (y1 - y0)
    x = np.clip((at.real - x0 + 0.5) * across - 0.5, 0, piece.shape[1] - 1)
    y = np.clip((at.imag - y0 + 0.5) * down - 0.5, 0, piece.shape[0] - 1)
    left, top = x.astype(int), y.astype(int)
    right, bottom = np.minimum(left + 1, piece.shape[1] - 1), np.minimum(top + 1, piece.shape[0] - 1)
    across_, down_ = (x - left)[..., None], (y - top)[..., None]
    values = piece.reshape(-1, 3).astype(np.float64)
    above, below = top * piece.shape[1], bottom * piece.shape[1]
    upper = values[above + left] * (1 - across_) + values[above + right] * across_
    lower = values[below + left] * (1 - across_) + values[below + right] * across_
    return np.asarray(upper * (1 - down_) + lower * down_ + 0.5, dtype=np.uint8)


def with_regions(grid: RGB, inside: Mask, points: NDArray[np.float64]) -> UprightFace:
    """The face of `upright_pixels`, its skin and its parts told apart."""
    lab = srgb_to_lab(grid)
    outline = points[list(OVAL)]
    centre = outline.mean(axis=0)
    face = _filled(centre + _INNER * (outline - centre))
    eyes = _filled(points[list(EYES[0])]) | _filled(points[list(EYES[1])])
    brows = _filled(points[list(BROWS[0])]) | _filled(points[list(BROWS[1])])
    mouth = _filled(points[list(MOUTH)])
    parts = binary_dilation(eyes, iterations=2) | binary_dilation(brows) | binary_dilation(mouth)
    skin = face & ~parts & inside
    covered = _lower_half_differs(lab, skin)
    if covered:
        skin[_LOWER:] = False
    return UprightFace(
        lab,
        skin,
        {name: _filled(points[list(corners)]) & inside for name, corners in POLYGONS.items()},
        _filled(points[list(LIPS)]) & inside,
        mouth & inside,
        brows & inside,
        float((face & inside).sum() / max(1, face.sum())),
        covered,
    )


def _filled(corners: NDArray[np.float64]) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[pixels_inside(corners, (HEIGHT, WIDTH))] = True
    return mask


def _lower_half_differs(lab: NDArray[np.float64], skin: Mask) -> bool:
    upper, lower = lab[:_LOWER][skin[:_LOWER]], lab[_LOWER:][skin[_LOWER:]]
    if len(upper) < LEAST_SKIN or len(lower) < LEAST_SKIN:
        return False
    above, below = (median(half)[1:] @ (1, 1j) for half in (upper, lower))
    other_hue = abs(float(np.degrees(np.angle(below * above.conjugate())))) > _OTHER_HUE
    return bool(abs(above - below) > _OTHER_COLOUR and (abs(below) < _PALER * abs(above) or other_hue))
