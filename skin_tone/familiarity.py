"""Whether a face looks like the renders on which the light estimator was fitted.

The estimator of `estimator.py` tells a dark tone in good light from a light one in bad, on renders and on
pictures of the embedded model. On faces of other generators its corrections are four times as wide, and
wrong. So it is asked only as far as a face looks more like those renders than like photographs and other
generators' faces, and lies among the renders.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

Floats = NDArray[np.float64]

FARTHEST = 5.0
"""Standard deviations to which each number is bounded before it is weighed."""


@dataclass(frozen=True, eq=False)
class Familiarity:
    """A logistic regression between renders and other faces, and the renders' cloud.

    Attributes:
        mean: of the numbers of `appearance.NAMES`, over both kinds.
        scale: their standard deviations.
        weights: of each standardised number, then of each one's square less 1.
        bias: added to the weighed sum; above 0 a face looks more like a render.
        centre: mean over the renders.
        whiten: matrix that turns differences from it into uncorrelated numbers of variance 1.
        among: distance, in standard deviations per number, that 99 of 100 renders stay below.
    """

    mean: Floats
    scale: Floats
    weights: Floats
    bias: float
    centre: Floats
    whiten: Floats
    among: float

    @classmethod
    def of(cls, tensors: dict[str, Any]) -> Familiarity:
        """From tensors with the attributes' names."""
        held = {name: tensors[name].astype(np.float64) for name in cls.__annotations__}
        return cls(**held | {"bias": float(held["bias"][0]), "among": float(held["among"][0])})

    def evidence(self, described: Floats) -> float:
        """Log odds that a face is a render; 0 is undecided."""
        z = np.clip((described - self.mean) / self.scale, -FARTHEST, FARTHEST)
        return float((np.concatenate([z, z * z - 1]) * self.weights).sum()) + self.bias

    def distance(self, described: Floats) -> float:
        """From the middle of the renders, in standard deviations per number: about 1 for a render."""
        # No product through BLAS: what is read must not depend on the number of threads.
        white = (self.whiten * (described - self.centre)).sum(axis=1)
        return float(np.sqrt(np.square(white).mean()))

    def likeness(self, described: Floats) -> float:
        """1 for a face that looks like the renders, 0 for one that does not, falling evenly between: over one
        unit of `evidence` below .25, and from one and a half to two and a half times the distance `among`.
        """
        by_evidence = self.evidence(described) + 0.75
        by_distance = 2.5 - self.distance(described) / self.among
        return float(np.clip(min(by_evidence, by_distance), 0.0, 1.0))


@cache
def renders() -> Familiarity:
    """The renders of the calibration split (``familiarity.safetensors``)."""
    return Familiarity.of(load((files("skin_tone") / "familiarity.safetensors").read_bytes()))
