"""Colour of skin: sRGB -> CIELAB (D65), individual typology angle, chroma and hue; thin over scikit-image."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.color import rgb2lab

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Of linear sRGB, Rec. 709."""
Lab = tuple[float, float, float]
"""(L*, a*, b*): L* 0-100, a* and b* about -128 to 127."""


def srgb_to_lab(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIELAB (CIE 1976; D65, 2 degree observer) of sRGB values (IEC 61966-2-1).

    Args:
        rgb: uint8 array, shape (..., 3), 0-255.

    Returns:
        float64 array of the same shape: L* 0-100, a*, b*.
    """
    if rgb.dtype != np.uint8:
        raise ValueError(f"expected uint8 sRGB, got {rgb.dtype}")
    return np.asarray(rgb2lab(rgb.astype(np.float64) / 255.0), dtype=np.float64)


# sRGB code 0-255 -> linear light 0-1 (IEC 61966-2-1).
_CODES = np.arange(256) / 255.0
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4)


def srgb_to_linear(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Linear light 0-1 of sRGB values 0-255 (IEC 61966-2-1), same shape."""
    if rgb.dtype != np.uint8:
        raise ValueError(f"expected uint8 sRGB, got {rgb.dtype}")
    return np.take(_LINEAR, rgb)


def linear_to_srgb(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """sRGB 0-1 of linear light, clipped to 0-1 (IEC 61966-2-1), same shape."""
    c = np.clip(light, 0.0, 1.0)
    return np.where(c <= 0.0031308, c * 12.92, 1.055 * c ** (1 / 2.4) - 0.055)


def hex_to_lab(hex_colour: str) -> Lab:
    """CIELAB of a ``#rrggbb`` colour."""
    digits = hex_colour.removeprefix("#")
    if len(digits) != 6:
        raise ValueError(f"expected #rrggbb, got {hex_colour!r}")
    lab = srgb_to_lab(np.frombuffer(bytes.fromhex(digits), dtype=np.uint8).reshape(1, 3))[0]
    return float(lab[0]), float(lab[1]), float(lab[2])


def ita(lab: ArrayLike) -> float:
    """Individual typology angle in degrees: ``atan2(L* - 50, b*)``.

    Chardon, A., Cretois, I., Hourseau, C. (1991). Skin colour typology and suntanning pathways.
    International Journal of Cosmetic Science 13, 191-208. Chardon writes arctan((L* - 50) / b*), which is the
    same for b* > 0, as skin has in neutral light; atan2 stays defined for b* <= 0 (a strong blue cast).

    Returns:
        Degrees in (-180, 180]; -90 to 90 for b* >= 0. High is light, low is dark.
    """
    lightness, _, b = _triple(lab)
    return math.degrees(math.atan2(lightness - 50.0, b))


def ita_sigma(lab: ArrayLike, sigma_lightness: float, sigma_b: float) -> float:
    """Standard error of the ITA in degrees, from those of L* and b* (first-order propagation through atan2).

    Large near L* = 50, b* = 0, where the angle turns fastest. Errors of L* and b* are taken as uncorrelated.
    At L* = 50, b* = 0 itself the angle is undefined and the result is 180.
    """
    lightness, _, b = _triple(lab)
    y = lightness - 50.0
    radius_squared = y * y + b * b
    if radius_squared == 0.0:
        return 180.0
    return min(180.0, math.degrees(math.hypot(b * sigma_lightness, y * sigma_b) / radius_squared))


def chroma(lab: ArrayLike) -> float:
    """CIELAB chroma C*ab = hypot(a*, b*), >= 0."""
    _, a, b = _triple(lab)
    return math.hypot(a, b)


def hue(lab: ArrayLike) -> float:
    """CIELAB hue angle h_ab = atan2(b*, a*) in degrees, 0 <= h < 360; 0 is red, 90 yellow."""
    _, a, b = _triple(lab)
    angle = math.degrees(math.atan2(b, a)) % 360.0
    return 0.0 if angle == 360.0 else angle


def _triple(lab: ArrayLike) -> Lab:
    lightness, a, b = np.asarray(lab, dtype=np.float64).reshape(3)
    return float(lightness), float(a), float(b)
