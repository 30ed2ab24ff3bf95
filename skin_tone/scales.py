"""The scales: six ITA classes, Monk's ten, and light/medium/dark. All three are cut out of one axis, the ITA.

Classes run from light to dark. A scale of K classes has K-1 falling borders in degrees of ITA: an ITA above a
border is in a lighter class, an ITA on it or below in a darker one (as in Chardon 1991).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from .colour import hex_to_lab, ita

_MONK_SWATCHES = (
    "#f6ede4", "#f3e7db", "#f7ead0", "#eadaba", "#d7bd96",
    "#a07e56", "#825c43", "#604134", "#3a312a", "#292420",
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """One scale of skin tone.

    Attributes:
        name: key in :data:`SCALES`.
        classes: class names, light to dark.
        labels: class -> words for people.
        swatches: class -> ``#rrggbb``, a colour that stands for the class in legends (not used for reading).
        borders: ITA in degrees between neighbouring classes, strictly falling, one fewer than the classes.
        source: where classes and borders come from.
    """

    name: str
    classes: tuple[str, ...]
    labels: dict[str, str]
    swatches: dict[str, str]
    borders: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        if len(self.borders) != len(self.classes) - 1:
            raise ValueError(
                f"scale {self.name}: {len(self.classes)} classes need {len(self.classes) - 1} borders"
            )
        if any(low >= high for high, low in pairwise(self.borders)):
            raise ValueError(f"scale {self.name}: borders must fall strictly")
        if set(self.labels) != set(self.classes) or set(self.swatches) != set(self.classes):
            raise ValueError(f"scale {self.name}: labels and swatches must name every class")

    def classify(self, angle: float) -> str:
        """The class of an ITA in degrees. Raises ValueError when ``angle`` is not finite."""
        if not math.isfinite(angle):
            raise ValueError(f"ITA must be a finite angle in degrees, got {angle}")
        return self.classes[sum(angle <= border for border in self.borders)]

    def probabilities(self, angle: float, sigma: float) -> dict[str, float]:
        """Class -> probability, if the true ITA is normal about ``angle`` with deviation ``sigma`` (degrees).

        The end classes take the tails. Sums to 1. ``sigma`` = 0 puts everything on :meth:`classify`'s class.
        Raises ValueError when ``angle`` is not finite or ``sigma`` is negative or not finite.
        """
        if not math.isfinite(sigma) or sigma < 0:
            raise ValueError(f"sigma must be a finite number of degrees >= 0, got {sigma}")
        if sigma < 1e-6:  # below any meaning, and dividing by it may overflow
            certain = self.classify(angle)
            return {name: float(name == certain) for name in self.classes}
        if not math.isfinite(angle):
            raise ValueError(f"ITA must be a finite angle in degrees, got {angle}")
        # above[k]: probability of being lighter than border k; differences of neighbours are the classes'
        # shares.
        above = [
            0.0,
            *(0.5 * math.erfc((border - angle) / (sigma * math.sqrt(2.0))) for border in self.borders),
            1.0,
        ]
        return {name: max(0.0, above[k + 1] - above[k]) for k, name in enumerate(self.classes)}


def _midpoints(swatches: tuple[str, ...]) -> tuple[float, ...]:
    angles = [ita(hex_to_lab(swatch)) for swatch in swatches]
    return tuple((lighter + darker) / 2.0 for lighter, darker in pairwise(angles))


_ITA6 = Scale(
    name="ita6",
    classes=("very_light", "light", "intermediate", "tan", "brown", "dark"),
    labels={
        "very_light": "very light",
        "light": "light",
        "intermediate": "intermediate",
        "tan": "tan",
        "brown": "brown",
        "dark": "dark",
    },
    # The colours at ITA 65, 48, 34.5, 19, -10 and -50, with about the chroma and hue of photographed skin.
    swatches={
        "very_light": "#dcbeab",
        "light": "#cda68c",
        "intermediate": "#c19677",
        "tan": "#af8363",
        "brown": "#8e6650",
        "dark": "#6a4f43",
    },
    borders=(55.0, 41.0, 28.0, 10.0, -30.0),
    source="Chardon, Cretois & Hourseau (1991), Int. J. Cosmetic Science 13, 191-208; sixth class below -30",
)

_LMD3 = Scale(
    name="lmd3",
    classes=("light", "medium", "dark"),
    labels={"light": "light", "medium": "medium", "dark": "dark"},
    swatches={"light": "#d5b29c", "medium": "#b78b6c", "dark": "#7e5c4d"},
    borders=(41.0, 10.0),
    source="the classes of ita6 in pairs: very light and light, intermediate and tan, brown and dark",
)

_MONK10 = Scale(
    name="monk10",
    classes=tuple(f"monk_{k}" for k in range(1, 11)),
    labels={f"monk_{k}": f"Monk {k}" for k in range(1, 11)},
    swatches={f"monk_{k}": swatch for k, swatch in enumerate(_MONK_SWATCHES, start=1)},
    # Not the nearest swatch: skin in photographs lies off the swatches (more chroma at both ends), and
    # distance in colour space then drops nearly everything into classes 5 and 6. The swatches' ITA falls
    # strictly from 1 to 10, so the scale's order is kept on the ITA axis: each border lies halfway between
    # the ITA of two neighbours.
    borders=_midpoints(_MONK_SWATCHES),
    source="Monk Skin Tone Scale, E. Monk (2019): swatches as published; borders halfway between their ITA",
)

SCALES: dict[str, Scale] = {scale.name: scale for scale in (_ITA6, _MONK10, _LMD3)}
"""Name -> scale."""
