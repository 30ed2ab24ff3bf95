"""Skin albedo on a melanin/haemoglobin ramp, indexed by the individual typology angle (ITA, Chardon 1991).

The ramp is an arc through CIELAB (D65): chroma is highest for mid tones and stays at 10 and above for dark
skin, as in spectrophotometric surveys of skin (Xiao et al., Skin Research and Technology 23, 2017). It is
capped near L* 85, since no skin is white paper. Tone words and training tones are both defined on this
albedo ITA.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.color import lab2rgb

Array = npt.NDArray[np.float64]

_L = np.array([19.0, 28, 36, 44, 52, 60, 68, 76, 86])
_A = np.array([7.0, 9.0, 10.5, 12.0, 13.0, 13.0, 11.5, 9.5, 7.0])
_B = np.array([8.5, 11.5, 15.0, 17.5, 19.5, 20.5, 20.0, 18.0, 14.5])
_ITA = np.degrees(np.arctan2(_L - 50, _B))

ITA_MIN, ITA_MAX = -72.0, 67.0

TONE_WORDS = ("very fair", "fair", "olive", "tan", "brown", "dark brown", "dark", "very dark")
#: Lower ITA border of each tone word but the last, degrees: Chardon's borders, with brown and dark halved.
TONE_BORDERS = (55.0, 41.0, 28.0, 10.0, -10.0, -30.0, -51.0)

BORDER_MARGIN = 0.16
"""A tone this near to a border, as a share of its word's range, gets no word."""


def tone_range(word: int) -> tuple[float, float]:
    """(low, high) albedo ITA in degrees of tone word number ``word``."""
    edges = (ITA_MAX, *TONE_BORDERS, ITA_MIN)
    return edges[word + 1], edges[word]


def clear_range(word: int) -> tuple[float, float]:
    """(low, high) albedo ITA in degrees that tone word number ``word`` is said of: the middle of its range,
    so that what it draws seldom reads as the class beside it.
    """
    low, high = tone_range(word)
    margin = BORDER_MARGIN * (high - low)
    return low + (margin if low > ITA_MIN else 0), high - (margin if high < ITA_MAX else 0)


def tone_word(ita: float) -> int:
    """Number of the tone word that albedo ITA ``ita`` (degrees) falls under."""
    return next((i for i, border in enumerate(TONE_BORDERS) if ita > border), len(TONE_BORDERS))


def albedo_lab(ita: float, rng: np.random.Generator) -> Array:
    """L*a*b* of skin with the given ITA (degrees): on the ramp, jittered in a* and b*, with L* chosen to
    keep the ITA.
    """
    lightness = float(np.interp(ita, _ITA, _L))
    a = float(np.interp(lightness, _L, _A)) + rng.normal(0, 1.0)
    b = max(5.0, float(np.interp(lightness, _L, _B)) + rng.normal(0, 1.0))
    return np.array([50 + b * np.tan(np.radians(ita)), a, b])


def linear(srgb: npt.ArrayLike) -> Array:
    """sRGB 0-1 to linear light 0-1 (IEC 61966-2-1)."""
    c = np.asarray(srgb, float)
    return np.where(c <= 0.04045, c / 12.92, ((np.maximum(c, 0) + 0.055) / 1.055) ** 2.4)


def encoded(linear_rgb: npt.ArrayLike) -> Array:
    """Linear light 0-1 to sRGB 0-1, clipped."""
    c = np.clip(np.asarray(linear_rgb, float), 0, 1)
    return np.where(c <= 0.0031308, c * 12.92, 1.055 * c ** (1 / 2.4) - 0.055)


def lab_to_linear(lab: npt.ArrayLike) -> Array:
    """CIELAB (D65) to linear sRGB, clipped to the gamut."""
    return linear(lab2rgb(np.asarray(lab, float)))


def hex_linear(code: str) -> Array:
    """'rrggbb' to linear sRGB."""
    return linear([int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)])
