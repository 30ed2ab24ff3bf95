"""When a reading must not be given, and the reason code.

Each rule asks whether the picture still carries the tone, never whether the skin is light or dark: a rule on
the skin's own lightness would refuse some tones more often than others. So "underexposed" looks at the
brightest parts of the whole picture, and "clipped" asks for two channels at their ceiling (red alone does
so on light skin in good light).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .colour import srgb_to_lab
from .picture import RGB

Reason = Literal["no_face", "small_face", "few_skin_pixels", "underexposed", "clipped", "monochrome"]

REASONS: dict[str, str] = {
    "no_face": "no face was found",
    "small_face": "the face is too small",
    "few_skin_pixels": "too little bare skin can be seen",
    "underexposed": "the whole picture is too dark",
    "clipped": "the skin is overexposed: its colour is lost",
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

_SAMPLES = 128


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
