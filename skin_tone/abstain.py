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
from scipy.ndimage import uniform_filter1d

from .colour import LUMINANCE, Lab, srgb_to_lab, srgb_to_linear
from .picture import RGB

Reason = Literal[
    "no_face",
    "turned_away",
    "small_face",
    "blurred",
    "few_skin_pixels",
    "regions_disagree",
    "underexposed",
    "clipped",
    "colour_cast",
    "monochrome",
    "posterised",
    "covered",
]

REASONS: dict[str, str] = {
    "no_face": "no face was found",
    "turned_away": "the face is turned too far away",
    "small_face": "the face is too small",
    "blurred": "the face is blurred: skin, hair and shadows run into each other",
    "few_skin_pixels": "too little bare skin can be seen",
    "regions_disagree": "parts of the face differ too much in colour: light of two colours, paint, make-up",
    "underexposed": "the whole picture is too dark",
    "clipped": "the skin is overexposed: its colour is lost",
    "colour_cast": "the light is so coloured that skin of any tone could look like this",
    "monochrome": "the picture has no colours of its own: black and white, sepia or otherwise toned",
    "posterised": "the picture has too few shades: posterised, or drawn in flat colours",
    "covered": "the face is covered: a mask, a scarf or a hand leaves too little skin",
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

TONED = 4.0
"""Distance in a*b* from the mean colour of what is about as light, that 97 in 100 parts of a toned print stay
below: there colour follows lightness, up to the codec's noise. In 250 pictures in colour the least was 5.8,
    in portraits before wide walls 4.2; of sepia prints and cyanotypes 94 in 100 stay below.
"""
FEW_SHADES = 0.9
"""Share of a face that its 16 most frequent values of green may make up: .15 in pictures as they are, up to
.8 with a palette of 256 colours."""

BLURRED = -2.1
"""Of `sharpness`. A Gaussian blur of 2 % of the face's height leaves 99 of 100 renders above it, of 6 % none;
there half of the faces are no longer found either."""
CAST_A = (-10.0, 45.0)
CAST_B = (-8.0, 65.0)
"""a* and b* that skin of any tone shows in light of 2,500 to 12,000 K, with room: in 240 renders under
careless cameras they went from -5 to 35 and from -1 to 53."""
DISAGREE_AB = 30.0
DISAGREE_HUE = 60.0
"""Two patches whose a*b* differ by more than the first, and whose hues by more than the second, in degrees,
are lit by two colours, painted or made up. Of 1,000 pictures of renders 999 stay below 28 in a*b*; saturated
faces of generators go beyond, but keep their hue. How light patches are may differ by any amount: gloss and a
side light do that.
"""

_SAMPLES = 64
_BLACK, _WHITE = 8.0, 97.0  # L* beyond which nothing has a colour
_AS_LIGHT = 41  # of the 4,096 parts: neighbours in lightness whose colour is compared
_DARKEST = 1 / 512
_SHARPNESS_HEIGHT = 64


def picture_reason(rgb: RGB) -> Reason | None:
    """A reason that holds for the whole picture: ``monochrome``, ``underexposed`` or None."""
    step = max(1, max(rgb.shape[:2]) // (4 * _SAMPLES))
    thinned = Image.fromarray(np.ascontiguousarray(rgb[::step, ::step]))
    lab = srgb_to_lab(np.asarray(thinned.resize((_SAMPLES, _SAMPLES), Image.Resampling.BOX))).reshape(-1, 3)
    if float(np.percentile(np.hypot(lab[:, 1], lab[:, 2]), 99)) < MONOCHROME_CHROMA or _toned(lab):
        return "monochrome"
    if float(np.percentile(lab[:, 0], 99)) < UNDEREXPOSED_L:
        return "underexposed"
    return None


def _toned(lab: NDArray[np.float64]) -> bool:
    """Whether one colour goes with each lightness over a picture (n, 3 CIELAB), as in a sepia print."""
    lab = lab[(lab[:, 0] > _BLACK) & (lab[:, 0] < _WHITE)]
    if len(lab) < _AS_LIGHT:
        return False
    colours = lab[np.argsort(lab[:, 0], kind="stable"), 1:]
    away = colours - uniform_filter1d(colours, _AS_LIGHT, axis=0, mode="nearest")
    return float(np.percentile(np.hypot(away[:, 0], away[:, 1]), 97)) < TONED


def posterised(rgb: RGB) -> bool:
    """Whether a face (h x w x 3, uint8, cut out of its picture) shows too few shades to tell a tone from."""
    counts = np.bincount(rgb[..., 1].ravel(), minlength=256)[:CLIPPED_CODE]
    return bool(np.sort(counts)[-16:].sum() > FEW_SHADES * max(1, counts.sum()))


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
    """Whether any two patches (L*, a*, b*) differ more in colour than one light can make them."""
    colours = [complex(lab[1], lab[2]) for lab in patches]
    return any(
        abs(one - other) > DISAGREE_AB and abs(np.degrees(np.angle(one * other.conjugate()))) > DISAGREE_HUE
        for one, other in combinations(colours, 2)
    )
