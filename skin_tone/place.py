"""Where a face lies in its picture: what a mesh that is laid afresh begins with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels; x1 and y1 are exclusive."""

_EYES = (33, 263)
"""The outer corners of the person's right and left eye, among 468 landmarks."""


@dataclass(frozen=True)
class Place:
    """The box around a face's landmarks, and how the face is turned.

    Attributes:
        x, y: the box's middle, in pixels.
        width, height: of the box, in pixels.
        angle: of the line from the right eye to the left one, clockwise, in radians.
    """

    x: float
    y: float
    width: float
    height: float
    angle: float

    @classmethod
    def of(cls, landmarks: NDArray[np.float64]) -> Place:
        """The place of a face with these landmarks, (468, 2) x, y in pixels."""
        low, high = landmarks.min(axis=0), landmarks.max(axis=0)
        across, down = landmarks[_EYES[1]] - landmarks[_EYES[0]]
        x, y = (low + high) / 2
        width, height = high - low
        return cls(float(x), float(y), float(width), float(height), math.atan2(down, across))

    @classmethod
    def between(cls, places: Sequence[Place]) -> Place:
        """The mean of places, one at least."""
        x, y, width, height, _ = np.mean([astuple(place) for place in places], axis=0)
        # A plain mean of angles fails for faces that stand on their heads.
        turn = sum(complex(math.cos(place.angle), math.sin(place.angle)) for place in places)
        return cls(float(x), float(y), float(width), float(height), math.atan2(turn.imag, turn.real))

    @property
    def side(self) -> float:
        """The longer side of the box, in pixels."""
        return max(self.width, self.height)

    def moved(self, x: float, y: float) -> Place:
        """The place in a picture whose origin lies ``x`` and ``y`` pixels to the left and above."""
        return Place(self.x + x, self.y + y, self.width, self.height, self.angle)

    def mirrored(self, width: int) -> Place:
        """The place in the mirror image of a picture of ``width`` pixels."""
        return Place(width - 1 - self.x, self.y, self.width, self.height, -self.angle)
