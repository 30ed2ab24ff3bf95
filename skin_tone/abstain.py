"""When a reading must not be given, and the reason code.

Each rule asks whether the picture still carries the tone, never whether the skin is light or dark: a rule on
the skin's own lightness would refuse some tones more often than others. So "underexposed" looks at the
brightest parts of the whole picture, and "clipped" asks for two channels at their ceiling (red alone does
so on light skin in good light).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .colour import LUMINANCE, Lab, srgb_to_lab, srgb_to_linear
from .picture import RGB

Reason = Literal[
    "no_face",
    "small_face",
    "blurred",
    "few_skin_pixels",
    "regions_disagree",
    "underexposed",
    "clipped",
    "colour_cast",
    "monochrome",
]

REASONS: dict[str, str] = {
    "no_face": "no face was found",
    "small_face": "the face is too small",
    "blurred": "the face is blurred: skin, hair and shadows run into each other",
    "few_skin_pixels": "too little bare skin can be seen",
    "regions_disagree": "the parts of the face differ too much: make-up, a mask, a hand, or coloured light",
    "underexposed": "the whole picture is too dark",
    "clipped": "the skin is overexposed: its colour is lost",
    "colour_cast": "the light is so coloured that skin of any tone could look like this",
    "monochrome": "the picture has no colour",
}
"""Reason code -> words for people."""

MIN_FACE_HEIGHT = 24.0
"""Pixels from forehead to chin: below this a patch is a handful of pixels mixed with its surroundings."""
MIN_SKIN_PIXELS = 40
"""Pixels over all patches, after trimming."""
UNDEREXPOSED_L = 30.0
"""L* that the brightest hundredth of a picture must reach: clothes, walls or gloss do in usable light."""
CLIPPED_CODE = 252
"""sRGB code from which on a channel counts as clipped (compression smears 255 by a few codes)."""
CLIPPED_SHARE = 0.5
"""Share of skin pixels with two or three clipped channels that makes a reading worthless."""
MONOCHROME_CHROMA = 2.5
"""C*ab that 99 in 100 pixels of a picture without colour stay below; codecs leave about 1."""

BLURRED = -2.1
"""Of `sharpness`. A Gaussian blur of 2 % of the face's height leaves 99 of 100 renders above it, of 6 % none;
there half of the faces are no longer found either."""
CAST_A = (-10.0, 45.0)
CAST_B = (-8.0, 65.0)
"""a* and b* that skin of any tone shows in light of 2,500 to 12,000 K, with room: in 240 renders under
careless cameras they went from -5 to 35 and from -1 to 53."""
DISAGREE_L = 38.0
DISAGREE_AB = 30.0
"""Largest differences between two patches of a face: in 480 pictures of renders at most 26 in L*; in a*b*,
999 of 1,000 below 28."""

_SAMPLES = 64
_DARKEST = 1 / 512
_SHARPNESS_HEIGHT = 64


def picture_reason(rgb: RGB) -> Reason | None:
    """A reason that holds for the whole picture: ``monochrome``, ``underexposed`` or None."""
    height, width = rgb.shape[:2]
    lab = srgb_to_lab(rgb[:: max(1, height // _SAMPLES), :: max(1, width // _SAMPLES)])
    if float(np.percentile(np.hypot(lab[..., 1], lab[..., 2]), 99)) < MONOCHROME_CHROMA:
        return "monochrome"
    if float(np.percentile(lab[..., 0], 99)) < UNDEREXPOSED_L:
        return "underexposed"
    return None


def clipped_pixels(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which of the (n, 3) pixels have lost their colour: two channels or more at the ceiling."""
    return np.asarray((rgb >= CLIPPED_CODE).sum(axis=-1) >= 2)


def sharpness(rgb: RGB, face_height: float) -> float:
    """Log of how sharp the sharpest tenth of a face is against its whole contrast; falls with blur.

    Args:
        rgb: the face cut out. face_height: in pixels of ``rgb``, > 0. Faces are compared at 64 pixels.
    """
    scale = min(1.0, _SHARPNESS_HEIGHT / face_height)
    size = (max(8, round(rgb.shape[1] * scale)), max(8, round(rgb.shape[0] * scale)))
    small = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))
    y = np.log(np.maximum(srgb_to_linear(small) @ LUMINANCE, _DARKEST))
    edges = np.abs(4 * y[1:-1, 1:-1] - y[:-2, 1:-1] - y[2:, 1:-1] - y[1:-1, :-2] - y[1:-1, 2:])
    return float(np.log((np.percentile(edges, 90) + 1e-6) / (y.std() + 0.05)))


def cast_away(lab: Lab) -> bool:
    """Whether a colour (L*, a*, b*) is one that no skin shows in white light, warm or cool."""
    return not (CAST_A[0] <= lab[1] <= CAST_A[1] and CAST_B[0] <= lab[2] <= CAST_B[1])


def disagree(patches: Sequence[NDArray[np.float64]]) -> bool:
    """Whether any two patches (L*, a*, b*) differ by more than light can make them."""
    return any(
        abs(float(one[0] - other[0])) > DISAGREE_L
        or float(np.hypot(one[1] - other[1], one[2] - other[2])) > DISAGREE_AB
        for one, other in combinations(patches, 2)
    )
