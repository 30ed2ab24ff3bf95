"""What a careful observer names when looking at the face in the picture.

Generators tone-map, lift dark skin and add gloss; there is no light to be undone. What can be learnt is how
people who discount gloss, shadow and coloured light judge such skin. `Observer` is a committee of Gaussian
processes (Rasmussen & Williams 2006, chapter 2) over the numbers of `appearance`, fitted on some 1,000 faces,
most of them rated by a vision-language model, in many looks each (`python -m tools.reader observe`). How a
face was exposed says little of its skin, so some members do not know it, and the rest know less of it
(`evened`). The mean function is the plain reading, so that a face unlike all of those is answered by its
plain colour: the correction fades with distance, and the interval widens.

NumPy only, and no product goes through BLAS: what is read must not depend on the number of threads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from .appearance import NAMES
from .colour import Lab

TONES = np.array([0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.5])
"""The raters' scale: 1 very light ... 6 dark, the classes of ita6 in half steps."""
ANGLES = np.array([73.5, 65.0, 48.0, 34.5, 19.0, -10.0, -50.0, -70.0])
"""ITA in degrees of `TONES`: the swatches of ita6 that the raters had before them; piecewise linear between.
"""

_PLAIN_L, _PLAIN_B = ([NAMES.index(f"part_{k}_{c}") for k in (2, 3)] for c in "Lb")
"""The darker middle of the skin, its third and fourth eighth by lightness: neither gloss nor deep shadow, and
less lifted by tone mapping than the rest.
"""
_DIFFERENCES = {
    "brows_darker",
    "cheeks_differ",
    "chroma",
    "contrast",
    "fine_contrast",
    "halves_differ",
    "sides_differ",
    "spread_L",
}
_WITH_EXPOSURE = np.array(
    [
        k
        for k, name in enumerate(NAMES)
        if name in _DIFFERENCES or (name.endswith(("_L", "_a", "_b")) and not name.startswith("L_goes_with"))
    ]
)
"""Numbers that grow with exposure: lightness (with 16 added), chroma and their differences."""
_WITH_OFFSET = np.array([16.0 if n.endswith("_L") and not n.startswith("spread") else 0.0 for n in NAMES])[
    _WITH_EXPOSURE
]
_EVEN_L = 59.0
"""L* of the skin's middle to which exposure is evened."""
_MIDDLE_L = [NAMES.index(f"part_{k}_L") for k in (2, 3, 4, 5)]
_LIGHTEST, _DARKEST = 1.0, 6.0
"""No rater names a tone below the first. Beyond the second most readings of faces left out were too dark."""
_WIDTHS = ((1.0, 1.6, 2.5, 3.5), (1.3, 0.85, 0.9, 1.3))
"""Tones, and how much larger than the standard error of distance alone the errors there are."""
GAUSS_RATE, LAPLACE_RATE = 0.02, 0.1
"""Of the kernels: a length scale of 5 and of 10 standard deviations over all numbers together."""
_LEAST_B = 4.0
_LIGHTNESS = (15.0, 88.0)

Floats = NDArray[np.float32]


def tone_of(angle: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """ITA in degrees -> tone on the raters' scale, 0.5 to 6.5."""
    return np.interp(-np.asarray(angle), -ANGLES, TONES)


def angle_of(tone: float) -> float:
    """Tone on the raters' scale -> ITA in degrees, 73.5 to -70."""
    return float(np.interp(tone, TONES, ANGLES))


def degrees_per_class(tone: float) -> float:
    """How many degrees of ITA a class is wide at ``tone``: the slope of the scale, over half a class on both
    sides.
    """
    low, high = max(float(TONES[0]), tone - 0.5), min(float(TONES[-1]), tone + 0.5)
    return (angle_of(low) - angle_of(high)) / (high - low)


def lab_of(angle: float, seen: Lab) -> Lab:
    """The colour with an ITA of ``angle`` degrees that has the hue and the chroma seen as far as L* stays
    possible.

    Skin has L* of 15 to 88 in neutral light (the ends of Monk's scale and of rendered albedo): beyond, b*
    gives way.
    """
    b = max(seen[2], _LEAST_B)
    slope = math.tan(math.radians(angle))
    lightness = min(max(50 + slope * b, _LIGHTNESS[0]), _LIGHTNESS[1])
    if abs(slope) > 1e-6:
        b = (lightness - 50) / slope
    return lightness, seen[1], b


def evened(described: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """The same numbers as if the face had been exposed towards one lightness.

    In CIELAB, L* + 16, a* and b* all grow with the cube root of the light (CIE 15:2004), so a change of
    exposure multiplies them by one factor. Of the factor that would bring the middle of the skin to
    `_EVEN_L`, the power ``share`` is taken.

    Args:
        described: numbers of `appearance.describe`, (..., len(NAMES)).
        share: 0 leaves them as they are; at 1 exposure changes nothing.

    Returns:
        Numbers of the same shape.
    """
    middle = described[..., _MIDDLE_L].mean(axis=-1) + 16
    factor = (((_EVEN_L + 16) / middle) ** share)[..., None]
    even = np.array(described, dtype=np.float64)
    even[..., _WITH_EXPOSURE] = (even[..., _WITH_EXPOSURE] + _WITH_OFFSET) * factor - _WITH_OFFSET
    return even


def plain_tone(described: NDArray[np.float64]) -> NDArray[np.float64]:
    """The tone of the darker middle of the skin as it is, on the raters' scale; darker than what is named by
    the committee's mean `Member.level`.

    Args:
        described: numbers of `appearance.describe`, (..., len(NAMES)).
    """
    lightness, b = described[..., _PLAIN_L].mean(axis=-1), described[..., _PLAIN_B].mean(axis=-1)
    return tone_of(np.degrees(np.arctan2(lightness - 50, np.maximum(b, 1.0))))


def width_at(tone: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much errors at ``tone`` exceed what the distance from the rated faces says; see `_WIDTHS`."""
    return np.interp(tone, *_WIDTHS)


@dataclass(frozen=True)
class Judgement:
    """What an observer would name.

    Attributes:
        tone: on the raters' scale, 1 to 6.
        sigma: its standard error, in classes, > 0.
        nearness: how near the most alike rated faces are, 0 (nothing like it was rated: the plain reading is
            given) to 1.
    """

    tone: float
    sigma: float
    nearness: float


@dataclass(frozen=True, eq=False)
class RatedLooks:
    """The rated faces, each in several looks of one style.

    Attributes:
        points: their numbers, standardised, n x len(NAMES).
        mean, scale: of those numbers before.
        share: how far exposure was evened first, see `evened`.
    """

    points: Floats
    mean: Floats
    scale: Floats
    share: float


@dataclass(frozen=True, eq=False)
class Member:
    """One Gaussian process.

    Attributes:
        looks: what it was fitted on.
        columns: which of `appearance.NAMES` it looks at.
        kernel: squared-exponential (``"gauss"``) or exponential (``"laplace"``: less smooth, less certain of
            what lies between the rated faces).
        weights: of each point, n.
        level: mean of what it predicts: all that remains far from all points.
    """

    looks: RatedLooks
    columns: NDArray[np.int64]
    kernel: str
    weights: Floats
    level: float

    def predict(self, described: NDArray[np.float64]) -> tuple[float, float]:
        """The tone, and the squared distance of the nearest rated face."""
        looks, columns = self.looks, self.columns
        even = evened(described, looks.share)
        z = (even[columns] - looks.mean[columns]) / looks.scale[columns]
        squares = np.square(looks.points[:, columns] - z.astype(np.float32)).sum(axis=1)
        likeness = similarity(squares, self.kernel)
        correction = float((likeness * self.weights).sum(dtype=np.float64)) + self.level
        return float(plain_tone(even)) + correction, float(squares.min())


def similarity(squares: NDArray[Any], kernel: str) -> NDArray[Any]:
    """The kernel's values at squared distances of standardised numbers; from 1 at no distance towards 0."""
    if kernel == "laplace":
        return np.asarray(np.exp(-LAPLACE_RATE * np.sqrt(squares)))
    return np.asarray(np.exp(-GAUSS_RATE * squares))


class Observer:
    """The committee.

    Args:
        tensors: of ``observer.safetensors``, as `tools.reader.observe` writes them.
    """

    def __init__(self, tensors: dict[str, Any]) -> None:
        values = [float(v) for v in tensors["constants"]]
        self._centre, self._lighter, self._darker, self._move = values[:4]
        self._sigma_near, self._sigma_far, self._level = values[4:]
        looks = {
            name.split(".")[1]: RatedLooks(
                tensors[name].astype(np.float32),
                tensors[f"{name.removesuffix('points')}mean"].astype(np.float32),
                tensors[f"{name.removesuffix('points')}scale"].astype(np.float32),
                float(tensors[f"{name.removesuffix('points')}share"][0]),
            )
            for name in tensors
            if name.endswith(".points")
        }
        heads = sorted(name.removesuffix("columns") for name in tensors if name.endswith(".columns"))
        self._members = [
            Member(
                looks[head.split(".")[2]],
                tensors[f"{head}columns"].astype(np.int64),
                head.split(".")[3],
                tensors[f"{head}weights"].astype(np.float32),
                float(tensors[f"{head}level"][0]),
            )
            for head in heads
        ]

    def judge(self, described: NDArray[np.float64]) -> Judgement:
        """The tone of one face.

        Args:
            described: its numbers, from `appearance.describe`.
        """
        said = [member.predict(described) for member in self._members]
        nearness = float(np.mean([similarity(np.array(squares), "gauss") for _, squares in said]))
        # Far from all rated faces nothing is known of the exposure: there the colour counts as it is.
        known = min(1.0, 2 * nearness)
        plain = float(plain_tone(described)) + self._level
        judged = known * float(np.mean([tone for tone, _ in said])) + (1 - known) * plain
        # A regression pulls towards the middle of the scale; how much was measured on faces that it had not
        # seen.
        factor = self._lighter if judged < self._centre else self._darker
        widened = self._centre + (1 + (factor - 1) * known) * (judged - self._centre) + self._move * known
        tone = float(np.clip(widened, _LIGHTEST, _DARKEST))
        sigma = self._sigma_near + (1 - nearness) * self._sigma_far
        return Judgement(tone, sigma * float(width_at(tone)), nearness)


@cache
def fitted() -> Observer:
    """The observer that comes with the package (``observer.safetensors``)."""
    return Observer(load((files("skin_tone") / "observer.safetensors").read_bytes()))
