"""From a wanted class to a strength: a model's dose-response, and what a session learns of its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator, model_validator
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression
from scipy.special import ndtr

from fairgen.common.documents import Part
from fairgen.steering.conditioning import RAMP
from skin_tone.scales import SCALES

Floats = NDArray[np.float64]

LIMIT = 1.3
"""Largest strength that is asked for: beyond, the embedding leaves what the model knows."""
LEAST_LIMIT = 0.1
_GRID = np.concatenate([-np.arange(LIMIT, RAMP - 0.005, -0.01), np.arange(RAMP, LIMIT + 0.005, 0.01)])
_OFFSETS = np.linspace(-0.6, 0.6, 49)
_PRIOR = 0.12
"""Standard deviation of a prompt's offset, in strength."""
_LEAST_SPREAD = 3.0
"""Degrees of ITA; keeps a curve that was measured on few pictures from claiming certainty."""
_ENOUGH = 0.98
"""Strengths whose chance of a hit is this share of the best one's or more are as good as that one."""
_NO_CHANCE = 0.02
_OTHER_EYES = 10.0
"""Degrees of ITA, standard deviation: how far another reader of the same picture may be from ours.

The second reader was 8 off on average, with a deviation of 11, on 200 pictures of the embedded model. Of the
good strengths one is taken that is good for such a reader too: at the edge of a class, what one reader calls
dark the next one calls brown.
"""
_NEARLY_ALL = 0.995
"""As `_ENOUGH`, for such a reader. Of what is left, the strength nearest to 0 changes the picture least."""


class DoseResponse(Part):
    """Strength -> ITA, as measured.

    Attributes:
        strengths: rising, without 0 (there the prompt's own bias rules). ita: mean ITA in degrees at each.
        spread: standard deviation of the ITA within one prompt, degrees, > 0.
    """

    strengths: tuple[float, ...]
    ita: tuple[float, ...]
    spread: tuple[float, ...]

    @field_validator("strengths")
    @classmethod
    def _rising(cls, values: tuple[float, ...]) -> tuple[float, ...]:
        if len(values) < 2 or list(values) != sorted(set(values)) or 0 in values:
            raise ValueError("strengths must rise, be two at least, and leave out 0")
        return values

    @model_validator(mode="after")
    def _same_length(self) -> DoseResponse:
        if not len(self.strengths) == len(self.ita) == len(self.spread) or min(self.spread) <= 0:
            raise ValueError("each strength needs an ITA and a spread above 0")
        return self

    @cached_property
    def _curve(self) -> PchipInterpolator:
        falling = isotonic_regression(np.array(self.ita), increasing=False).x
        with np.errstate(over="ignore"):  # slopes that are hardly numbers count as none
            return PchipInterpolator(self.strengths, falling, extrapolate=False)

    def mean(self, strength: Floats) -> Floats:
        """ITA in degrees: monotone through the measurements (isotonic regression, then Fritsch & Carlson's
        monotone cubic), straight beyond them.
        """
        low, high = self.strengths[0], self.strengths[-1]
        inside = np.asarray(self._curve(np.clip(strength, low, high)), dtype=np.float64)
        slope = self._curve.derivative()
        past = np.minimum(strength - low, 0) * float(slope(low))
        past = past + np.maximum(strength - high, 0) * float(slope(high))
        return np.asarray(inside + past)

    def deviation(self, strength: Floats) -> Floats:
        """Standard deviation of the ITA in degrees, interpolated."""
        return np.maximum(np.interp(strength, self.strengths, self.spread), _LEAST_SPREAD)


class PromptResponse:
    """A dose-response curve, corrected for one prompt by what its pictures showed.

    A prompt's own bias is taken for a shift of the curve along the strength: ``ITA = f(s + b) + noise``. The
    posterior of ``b`` (normal prior, values on a grid) follows every reading; a class's probability at a
    strength is averaged over it.

    Args:
        curve: the model's. scale: a key of `skin_tone.SCALES`. limit: largest strength that is asked for,
            `LEAST_LIMIT` to `LIMIT`.
    """

    def __init__(self, curve: DoseResponse, scale: str, limit: float = LIMIT) -> None:
        self.curve = curve
        self.scale = SCALES[scale]
        self.strengths: Floats = _GRID[np.abs(_GRID) < limit + 0.005]
        """All strengths that may be asked for, rising."""
        self._log_weight = -0.5 * np.square(_OFFSETS / _PRIOR)
        at = self.strengths[:, None] + _OFFSETS
        self._means, self._deviations = curve.mean(at), curve.deviation(at)
        edges = np.array([np.inf, *self.scale.borders, -np.inf])
        # Strengths x offsets x classes; the borders fall, so the upper edge comes first.
        self._chances = self._within(edges, self._deviations)
        self._seen_by_others = self._within(edges, np.hypot(self._deviations, _OTHER_EYES))

    def _within(self, edges: Floats, deviations: Floats) -> Floats:
        below = ndtr((edges - self._means[..., None]) / deviations[..., None])
        return np.asarray(below[..., :-1] - below[..., 1:])

    @property
    def offset(self) -> float:
        """Mean of the posterior of ``b``, in strength."""
        return float(self._weights() @ _OFFSETS)

    def _weights(self) -> Floats:
        weights = np.exp(self._log_weight - self._log_weight.max())
        return np.asarray(weights / weights.sum())

    def observe(self, strength: float, ita: float, sigma: float) -> None:
        """Take in a picture made with ``strength`` and read as ``ita`` +- ``sigma`` degrees."""
        at = strength + _OFFSETS
        width = np.hypot(self.curve.deviation(at), min(sigma, 10.0) / 2)
        # Student's t with 4 degrees of freedom: one strange picture must not move the curve far.
        error = (ita - self.curve.mean(at)) / width
        self._log_weight = self._log_weight - 2.5 * np.log1p(np.square(error) / 4) - np.log(width)

    def chances(self) -> Floats:
        """(strengths, classes): probability of each class at each of `strengths`."""
        return self._averaged(self._chances)

    def _averaged(self, chances: Floats) -> Floats:
        return np.asarray(np.einsum("sbc,b->sc", chances, self._weights()))

    def strength(self, wanted: str) -> tuple[float, float]:
        """A strength that gives the class as likely as any does, for other readers too; and its chance."""
        place = self.scale.classes.index(wanted)
        chance = self.chances()[:, place]
        if chance.max() <= _NO_CHANCE:
            best = self._nearest(place)
        else:
            good = chance >= _ENOUGH * chance.max()
            # Past the toned prompts themselves (1) only as far as our own reader needs it.
            reach = max(1.0, np.abs(self.strengths[good]).min())
            others = self._averaged(self._seen_by_others)[:, place]
            others[~good | (np.abs(self.strengths) > reach + 0.005)] = 0
            good_for_both = np.flatnonzero(others >= _NEARLY_ALL * others.max())
            best = int(good_for_both[np.argmin(np.abs(self.strengths[good_for_both]))])
        return round(float(self.strengths[best]), 2), float(chance[best])

    def _nearest(self, place: int) -> int:
        """Where no strength reaches the class: the one whose mean ITA comes nearest to it."""
        edges = [90.0, *self.scale.borders, -90.0]
        means = self._means @ self._weights()
        gap = np.maximum(means - edges[place], 0) + np.maximum(edges[place + 1] - means, 0)
        return int(np.argmin(gap))

    def matrix(self) -> Floats:
        """P(read as j | asked for i) over the classes, light to dark, rows sum to 1."""
        chances = self.chances()
        rows: Sequence[Floats] = [
            chances[int(np.argmin(np.abs(self.strengths - self.strength(name)[0])))]
            for name in self.scale.classes
        ]
        return np.stack(rows)
