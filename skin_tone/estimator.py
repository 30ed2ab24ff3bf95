"""The calibrated estimate: features of a face -> its skin's colour in neutral, well-exposed light.

A small committee of multilayer perceptrons, fitted on renders of known albedo under many lights and cameras
(`python -m tools.reader fit`). What it says is a correction to the colour that was seen, and how sure of it
one may be.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .colour import Lab, ita

FAR = 4.0
"""Features beyond this many standard deviations of those fitted on are pulled back to it."""


@dataclass(frozen=True)
class Estimate:
    """``lab``: D65, neutral light; ``sigma``: standard error of its ITA, degrees, > 0."""

    lab: Lab
    sigma: float


class Estimator:
    """Numpy only; made from the JSON document that the fit writes.

    Args:
        document: keys ``features``, ``mean``, ``scale``, ``networks`` (each a list of [weights, biases]),
            ``width`` (one network), as in ``calibration.json``.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.features: tuple[str, ...] = tuple(document["features"])
        self._mean = np.asarray(document["mean"], dtype=np.float64)
        self._scale = np.asarray(document["scale"], dtype=np.float64)
        self._networks = [_network(layers) for layers in document["networks"]]
        self._width = _network(document["width"])

    def estimate(self, features: NDArray[np.float64], seen: Lab) -> Estimate:
        """The neutral colour of a face.

        Args:
            features: as `skin_tone.features.measure` gives them, then `skin_tone.pixels.Network.gains`.
            seen: the plain reading's L*, a*, b*.
        """
        lab, known = self.parts(features, seen)
        return Estimate(lab, math.exp(float(_forward(self._width, known)[0])))

    def parts(self, features: NDArray[np.float64], seen: Lab) -> tuple[Lab, NDArray[np.float64]]:
        """The estimate, and what its standard error is judged by: the standardised features, the networks'
        own statement, how far they lie apart, the size of the correction, and the estimated ITA.
        """
        z = np.clip((features - self._mean) / self._scale, -FAR, FAR)
        # Each network: change of L*, a*, b* in tens, log of the standard error of the ITA in tens of degrees.
        out = np.stack([_forward(network, z) for network in self._networks])
        middle = out.mean(axis=0)
        apart = float(np.std([ita(np.asarray(seen) + 10 * o[:3]) for o in out]))
        own = float(np.mean([math.exp(min(2.0, max(-3.0, o[3]))) for o in out])) * 10
        change = abs(ita(np.asarray(seen) + 10 * middle[:3]) - ita(seen))
        lab = (
            float(np.clip(seen[0] + 10 * middle[0], 0.0, 100.0)),
            float(seen[1] + 10 * middle[1]),
            float(seen[2] + 10 * middle[2]),
        )
        judged = [math.log(own), math.log1p(apart), math.log1p(change), ita(lab) / 50]
        return lab, np.concatenate([z, judged])


_Layers = list[tuple[NDArray[np.float64], NDArray[np.float64]]]


def _network(layers: list[Any]) -> _Layers:
    return [(np.asarray(w, dtype=np.float64), np.asarray(b, dtype=np.float64)) for w, b in layers]


def _forward(network: _Layers, z: NDArray[np.float64]) -> NDArray[np.float64]:
    for weights, biases in network[:-1]:
        z = weights @ z + biases
        z = z / (1 + np.exp(-np.clip(z, -60, 60)))  # SiLU
    weights, biases = network[-1]
    return np.asarray(weights @ z + biases)


@cache
def calibrated() -> Estimator:
    """The estimator that comes with the package (``calibration.json``)."""
    return Estimator(json.loads((files("skin_tone") / "calibration.json").read_text(encoding="utf-8")))
