"""Simulated cameras: linear light -> the 8-bit picture that a camera or a careless export makes of it.

For calibration and self-test: what a reader must put up with, in known amounts.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from .colour import linear_to_srgb

Array = npt.NDArray[np.float64]
RGB = npt.NDArray[np.uint8]

# XYZ (D65) -> linear sRGB, IEC 61966-2-1.
_RGB_OF_XYZ = np.array(
    [
        [3.2404542, -1.5371385, -0.4985314],
        [-0.9692660, 1.8760108, 0.0415560],
        [0.0556434, -0.2040259, 1.0572252],
    ]
)


def illuminant_gains(kelvin: float, tint: float = 0.0) -> Array:
    """Linear sRGB of a white surface under light of ``kelvin``, camera balanced for D65; luminance 1.

    CIE 015 daylight locus from 4,000 K on; below, the Planckian locus by Kim et al. (US patent 7024034).
    ``tint`` moves it off the locus: > 0 is green, in natural log units of the green gain.
    """
    t = 1000.0 / kelvin
    if kelvin >= 4000:
        c = (0.244063, 0.09911, 2.9678, -4.6070) if kelvin <= 7000 else (0.23704, 0.24748, 1.9018, -2.0064)
        x = c[0] + c[1] * t + c[2] * t**2 + c[3] * t**3
        y = -3.0 * x**2 + 2.870 * x - 0.275
    else:
        x = -0.2661239 * t**3 - 0.2343589 * t**2 + 0.8776956 * t + 0.179910
        c = (-1.1063814, -1.34811020, 2.18555832, -0.20219683)
        if kelvin >= 2222:
            c = (-0.9549476, -1.37418593, 2.09137015, -0.16748867)
        y = c[0] * x**3 + c[1] * x**2 + c[2] * x + c[3]
    xyz = np.array([x / y, 1.0, (1 - x - y) / y])
    gains = np.maximum(_RGB_OF_XYZ @ xyz, 0.02)
    gains = gains * np.exp([0.0, tint, 0.0])
    return np.asarray(gains / (gains @ [0.2126, 0.7152, 0.0722]))


@dataclass(frozen=True)
class Camera:
    """What happens between light and file.

    Attributes:
        stops: exposure, 0 is right for the face. gains: linear channel gains of the light and of what white
            balance left (luminance 1). contrast: exponent about middle grey, 1 is none. shoulder: linear
            value
            where highlights begin to roll off, 0-1. blur: Gaussian sigma in pixels of the original. size:
            longest side of the file in pixels, None as it is. noise: standard deviation in encoded
            units, 0-1.
            quality: JPEG quality, None for no compression.
    """

    stops: float = 0.0
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    shoulder: float = 0.8
    blur: float = 0.0
    size: int | None = None
    noise: float = 0.003
    quality: int | None = None

    def photograph(self, light: Array, rng: np.random.Generator) -> RGB:
        """``light`` (H x W x 3, linear, >= 0) -> uint8 sRGB."""
        x = np.maximum(light, 0) * 2.0**self.stops * np.array(self.gains)
        if self.contrast != 1.0:
            x = 0.18 * (x / 0.18) ** self.contrast
        over = x > self.shoulder
        room = 1 - self.shoulder
        x = np.where(over, self.shoulder + room * (1 - np.exp(-(x - self.shoulder) / room)), x)
        picture = linear_to_srgb(x) + rng.normal(0, self.noise, x.shape)
        image = Image.fromarray((np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8))
        if self.blur > 0:
            image = image.filter(ImageFilter.GaussianBlur(self.blur))
        if self.size is not None and self.size != max(image.size):
            image = image.resize((self.size, self.size), Image.Resampling.LANCZOS)
        if self.quality is not None:
            held = io.BytesIO()
            image.save(held, "JPEG", quality=self.quality)
            image = Image.open(held)
        return np.asarray(image)


def careful(rng: np.random.Generator) -> Camera:
    """Neutral light, rightly exposed: a tenth of a stop and a few hundred kelvin off at most."""
    return Camera(
        stops=float(rng.normal(0, 0.05)),
        gains=_gains(float(np.clip(rng.normal(6500, 150), 6100, 6900)), 0.0),
        shoulder=float(rng.uniform(0.7, 0.85)),
        quality=int(rng.integers(85, 97)),
    )


def careless(rng: np.random.Generator) -> Camera:
    """Light of 3,000 to 9,500 K uncorrected, two thirds of a stop either way, some blur, compression."""
    return Camera(
        stops=float(rng.uniform(-2 / 3, 2 / 3)),
        gains=_gains(float(rng.uniform(3000, 9500)), float(rng.normal(0, 0.02))),
        contrast=float(np.exp(rng.normal(0, 0.03))),
        shoulder=float(rng.uniform(0.65, 0.9)),
        blur=float(rng.uniform(0, 1.2)) if rng.random() < 0.4 else 0.0,
        size=int(rng.integers(128, 257)) if rng.random() < 0.4 else None,
        noise=float(rng.uniform(0.002, 0.012)),
        quality=int(rng.integers(40, 97)),
    )


def careless_and_more(rng: np.random.Generator) -> Camera:
    """Wider than `careless`: what the calibration is fitted on, beside `careful`."""
    warm = 1e6 / rng.uniform(1e6 / 10500, 1e6 / 2800)
    gains = np.array(_gains(float(warm), float(rng.normal(0, 0.03))))
    if rng.random() < 0.5:  # a gain on red or blue, as editing software applies it
        gains = np.exp(rng.normal(0, [0.12, 0.04, 0.12]))
    return Camera(
        stops=float(rng.uniform(-0.9, 0.8)),
        gains=(float(gains[0]), float(gains[1]), float(gains[2])),
        contrast=float(np.exp(rng.normal(0, 0.06))),
        shoulder=float(rng.uniform(0.6, 0.95)),
        blur=float(rng.uniform(0, 1.6)) if rng.random() < 0.4 else 0.0,
        size=int(rng.integers(64, 257)) if rng.random() < 0.5 else None,
        noise=float(rng.uniform(0.0, 0.015)),
        quality=int(rng.integers(35, 97)) if rng.random() < 0.7 else None,
    )


def _gains(kelvin: float, tint: float) -> tuple[float, float, float]:
    r, g, b = illuminant_gains(kelvin, tint)
    return float(r), float(g), float(b)
