"""What stands behind a face, and what the face wears: so varied that no fit learns a few by heart."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from tools.portraits import scenes, skin
from tools.portraits.captions import CLOTHES_WORDS
from tools.portraits.contexts import Context

Floats = npt.NDArray[np.float64]
_HATS = (
    "hard_hat", "fire_helmet", "cap", "peaked_cap", "toque", "beanie", "beret", "straw_hat", "surgical_cap",
    "head_scarf", "headphones",
)  # fmt: skip


def plain_wall(rng: np.random.Generator, size: int) -> Floats:
    """A plain wall, near grey mostly, unevenly lit; size x size x 3, linear light."""
    level = float(np.exp(rng.uniform(np.log(0.05), np.log(0.95))))
    tint = np.exp(rng.normal(0, 0.05 if rng.random() < 0.6 else 0.35, 3))
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    slope = rng.normal(0, 0.35, 2)
    shade = np.exp(slope[0] * (x - 0.5) + slope[1] * (y - 0.5))
    return np.asarray(np.clip(level * tint * shade[..., None], 0.01, 1.1))


def bright_wall(rng: np.random.Generator, size: int) -> Floats:
    """A white or blown-out background, as studios and shop windows have it behind a well exposed face.

    Without these, a bright background would count as proof of too long an exposure.
    """
    level = float(rng.uniform(0.8, 1.8))
    y, x = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    slope = rng.normal(0, 0.15, 2)
    shade = np.exp(slope[0] * (x - 0.5) + slope[1] * (y - 0.5))
    return np.asarray(level * np.exp(rng.normal(0, 0.02, 3)) * shade[..., None])


def any_backdrop(rng: np.random.Generator, size: int, names: tuple[str, ...]) -> Floats:
    """A wall, one of the scenes ``names`` in other colours, a heap of shapes, or drifting colour.

    Returns:
        size x size x 3, linear light.
    """
    kind = rng.random()
    if kind < 0.15:
        return bright_wall(rng, size)
    if kind < 0.4:
        return plain_wall(rng, size)
    if kind < 0.68:
        picture = skin.linear(scenes.background(str(rng.choice(names)), size, rng))
        picture = picture[..., rng.permutation(3)] if rng.random() < 0.5 else picture
        picture = picture * np.exp(rng.normal(0, [0.15, 0.08, 0.15]))
    elif kind < 0.85:
        picture = skin.linear(_heap(rng, size))
    else:
        coarse = rng.uniform(0, 1, (*rng.integers(2, 12, 2), 3))
        grey = coarse.mean(-1, keepdims=True)
        coarse = np.clip(0.5 + (grey - 0.5 + (coarse - grey) * rng.beta(1, 2)) * rng.uniform(0.2, 1), 0, 1)
        drift = Image.fromarray((coarse * 255).astype(np.uint8))
        picture = skin.linear(np.asarray(drift.resize((size, size), Image.Resampling.BICUBIC)) / 255)
    return np.asarray(np.clip(picture * np.exp(rng.normal(-0.05, 0.3)), 0, 1.5))


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Greys and white as often as all the rest together."""
    saturation = float(rng.uniform(0, 0.1)) if rng.random() < 0.5 else float(rng.beta(1.5, 1.5))
    rgb = colorsys.hsv_to_rgb(rng.random(), saturation, float(rng.beta(1.4, 1.0)))
    return int(rgb[0] * 250), int(rgb[1] * 250), int(rgb[2] * 250)


def _heap(rng: np.random.Generator, size: int) -> Floats:
    picture = Image.new("RGB", (size, size), _colour(rng))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(2, 40))):
        x, y = rng.uniform(-0.2, 1, 2) * size
        w, h = rng.uniform(0.03, 0.7, 2) * size
        draw = pen.rectangle if rng.random() < 0.6 else pen.ellipse
        draw((x, y, x + w, y + h), fill=_colour(rng))
    picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 12))))
    return np.asarray(picture, float) / 255


def any_look(rng: np.random.Generator, context: Context) -> Context:
    """``context`` in other clothes, hat and glasses, of other colours."""

    def code() -> str:
        r, g, b = _colour(rng)
        return f"{r:02x}{g:02x}{b:02x}"

    hat = (str(rng.choice(_HATS)), code(), code(), 1.0) if rng.random() < 0.25 else None
    return replace(
        context,
        garment=int(rng.integers(len(CLOTHES_WORDS))),
        colours=(code(), code(), code()),
        hat=hat,
        glasses=0.25,
        smile=None,
    )
