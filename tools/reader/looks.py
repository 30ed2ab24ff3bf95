"""The looks that generators and cameras give one face: exposure, colour, tone mapping, gloss, contrast,
saturation.

A rating is of the skin, not of the look, so every look of a face keeps its rating. Without these an observer
learns lightness from evenly lit portraits and fails where dark skin was lifted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from skin_tone.camera import Camera
from skin_tone.colour import LUMINANCE, linear_to_srgb, srgb_to_linear
from skin_tone.picture import RGB

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Style:
    """How strongly a family of looks changes a face; all ranges are uniform.

    Attributes:
        mapped: share of looks that are tone-mapped, 0-1.
        flattest: least share of the large-scale contrast that tone mapping leaves, in log light.
        levels: luminance, 0-1, towards which tone mapping draws.
        detail: most that tone mapping multiplies the fine contrast by.
        glossy: share of looks with added gloss, 0-1.
        gloss: most that is added to the brightest parts, as a share of what they exceed the rest by.
        saturation: mean of the log factor of saturation.
        exposure: mean and standard deviation of the change of exposure, in stops.
        cast: standard deviation of the log factors of red, green and blue light.
        sideways: share of looks that are lit from a side, 0-1.
        slope: standard deviation of that light's slopes, in log light from the middle to the edge.
        shaded: share of those with the edge of a shadow across the face, 0-1.
    """

    mapped: float
    flattest: float
    levels: tuple[float, float]
    detail: float
    glossy: float
    gloss: float
    saturation: float
    exposure: tuple[float, float] = (0.0, 0.5)
    cast: tuple[float, float, float] = (0.072, 0.016, 0.096)
    sideways: float = 0.35
    slope: float = 0.3
    shaded: float = 0.0


GLOSSY = Style(0.8, 0.45, (0.15, 0.4), 1.9, 0.8, 2.5, 0.0)
FLAT = Style(0.9, 0.35, (0.15, 0.45), 1.9, 0.4, 1.6, -0.12)
DIM = Style(0.4, 0.45, (0.05, 0.3), 1.9, 0.4, 2.0, 0.0, (-0.9, 0.8), (0.12, 0.02, 0.18), 0.7, 0.5, 0.4)
STYLES = {"glossy": GLOSSY, "flat": FLAT, "dim": DIM}
"""Gloss and flat light as in studio portraits; dim, coloured light and shadows as in moody pictures."""


def another_look(grid: RGB, style: Style, rng: np.random.Generator) -> RGB:
    """The face on its grid (`skin_tone.upright.upright_pixels`) in another look, same shape."""
    light = srgb_to_linear(grid) * 2 ** rng.normal(*style.exposure)
    light = light * np.exp(rng.normal(0, style.cast))
    if rng.random() < style.sideways:
        light = light * _from_a_side(grid.shape[:2], style, rng)
    if rng.random() < style.mapped:
        light = light * _tone_mapping(light @ LUMINANCE, style, rng)[..., None]
    if rng.random() < style.glossy:
        luminance = light @ LUMINANCE
        rest = np.percentile(luminance, rng.uniform(50, 90))
        light = light + (np.maximum(luminance - rest, 0) * rng.uniform(0.2, style.gloss))[..., None]
    knee = rng.uniform(0.5, 0.95)
    rolled = knee + (1 - knee) * (1 - np.exp(-np.maximum(light - knee, 0) / (1 - knee)))
    code = linear_to_srgb(np.where(light > knee, rolled, light))
    if rng.random() < 0.5:
        code = _contrast(code, rng.uniform(-0.3, 0.5))
    grey = code.mean(axis=-1, keepdims=True)
    code = grey + (code - grey) * np.exp(rng.normal(style.saturation, 0.14))
    if rng.random() < 0.4:  # a small face, or a soft one
        code = gaussian_filter(code, (*(rng.uniform(0.3, 1.4),) * 2, 0))
    code = code + rng.normal(0, rng.uniform(0, 0.015), code.shape)
    return np.asarray(np.clip(code * 255 + 0.5, 0, 255), dtype=np.uint8)


def exposed(grid: RGB, stops: float) -> RGB:
    """The face on its grid, exposed by ``stops`` more."""
    camera = Camera(stops=stops, shoulder=0.97, noise=0.0)
    return camera.photograph(srgb_to_linear(grid), np.random.default_rng(0))


def _from_a_side(shape: tuple[int, ...], style: Style, rng: np.random.Generator) -> Floats:
    """Factors of light that falls off across the face; some with the edge of a shadow."""
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    across, down = rng.normal(0, style.slope, 2)
    light = np.exp(across * x + down * y)
    if rng.random() < style.shaded:
        angle, place, softness = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.4), rng.uniform(0.05, 0.3)
        lit = expit((np.cos(angle) * x + np.sin(angle) * y - place) / softness)
        light = light * (lit + rng.uniform(0.15, 0.6) * (1 - lit))
    return np.asarray(light[..., None])


def _tone_mapping(luminance: Floats, style: Style, rng: np.random.Generator) -> Floats:
    """Factors of a local tone mapping: the base layer is drawn together, the detail raised (as in Durand &
    Dorsey 2002, with a Gaussian base).
    """
    log = np.log(np.maximum(luminance, 2e-3))
    base = gaussian_filter(log, rng.uniform(3, 14))
    kept, raised = rng.uniform(style.flattest, 1.0), rng.uniform(1.0, style.detail)
    level = np.log(rng.uniform(*style.levels))
    return np.asarray(np.exp(level + (base - level) * kept + (log - base) * raised - log))


def _contrast(code: Floats, amount: float) -> Floats:
    """More contrast by a smooth step (``amount`` > 0), less by drawing towards the middle (< 0)."""
    if amount > 0:
        return np.asarray(code + amount * (code * code * (3 - 2 * code) - code))
    return np.asarray(code + amount * 0.5 * (code - 0.5))
