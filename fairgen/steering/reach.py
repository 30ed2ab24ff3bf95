"""Which classes of a scale a model reaches by a dose-response curve, and how surely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairgen.steering.response import LIMIT, DoseResponse, PromptResponse
from skin_tone.scales import SCALES


@dataclass(frozen=True)
class Reach:
    """One class of a scale.

    Attributes:
        tone: the class.
        strength: the one that most likely gives it.
        chance: how likely that is, 0-1.
        reached: whether the mean ITA of some strength lies within the class.
    """

    tone: str
    strength: float
    chance: float
    reached: bool


def reach(curve: DoseResponse, scale: str, limit: float = LIMIT) -> tuple[Reach, ...]:
    """Every class, light to dark.

    Args:
        curve: the model's.
        scale: a key of `skin_tone.SCALES`.
        limit: largest strength that is asked for.
    """
    response = PromptResponse(curve, scale, limit)
    means = curve.mean(response.strengths)
    borders = [np.inf, *SCALES[scale].borders, -np.inf]
    found = []
    for place, tone in enumerate(SCALES[scale].classes):
        strength, chance = response.strength(tone)
        inside = (means <= borders[place]) & (means > borders[place + 1])
        # Between two strengths that are a hundredth apart, a steep curve may step over a narrow class.
        passed = bool(means.max() > borders[place + 1] and means.min() <= borders[place])
        found.append(Reach(tone, strength, round(chance, 3), bool(inside.any()) or passed))
    return tuple(found)
