"""The uniform target: every class of a scale has the same share."""

from __future__ import annotations

from datetime import date

from fairgen.errors import UserError
from fairgen.targets import FairnessSpec
from skin_tone.scales import SCALES

__all__ = ["uniform_spec"]

_ABOUT = (
    "An ideal in skin-tone space, and no population: each class of the scale is to be seen equally often."
)
_WHY = (
    "It needs no evidence about people and gives each tone the same visibility. That is a choice: "
    "the classes are cut by a colour scale, hold unequal numbers of people in every country, "
    "and another scale cuts otherwise."
)


def uniform_spec(scale: str = "ita6") -> FairnessSpec:
    """A uniform spec on ``scale`` (ita6, monk10, lmd3), named ``uniform-<scale>``; fairgen declares it today.

    Raises:
        UserError: the scale is unknown.
    """
    if scale not in SCALES:
        raise UserError(f"There is no scale {scale!r}: choose one of {', '.join(SCALES)}.")
    classes = SCALES[scale].classes
    return FairnessSpec.model_validate(
        {
            "name": f"uniform-{scale}",
            "version": 1,
            "scale": scale,
            "target": dict.fromkeys(classes, 1 / len(classes)),
            "source": "uniform",
            "about": _ABOUT,
            "why": _WHY,
            "mapping": "None: no groups of people were turned into skin tones.",
            "declared_by": "fairgen",
            "declared_on": date.today(),
        }
    )
