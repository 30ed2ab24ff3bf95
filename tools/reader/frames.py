"""The frames that one face is seen in: a picture cropped into it, a mesh that lies a little off.

Neither changes the skin, so every frame of a face keeps its rating. Without these an observer takes a
forehead that is out of the picture, or a mesh that lies half a cell lower, for another face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skin_tone.views import View

_CROPPED = 0.6
"""Share of frames that are cut into the face."""
_TIGHTEST = 0.3
"""Most that they take away of its width and height."""
_OFF = 0.04
"""Most that their middle is off, as a share of the face's size."""
_TURN = 0.12
"""Standard deviation of the angle between frame and face, in radians."""
_MOVED, _GROWN = 0.4, 0.012
"""Standard deviations of how far a mesh is off, in cells, and of its size, as a share."""


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        share: of the face's width and height that is cut away, 0-1.
        off: x, y of the frame's middle from the face's, as shares of its size.
        turn: clockwise angle of the frame against the upright face, in radians.
        moved: x, y by which the mesh is off, in cells.
        grown: factor by which the mesh is too large.
    """

    share: float
    off: tuple[float, float]
    turn: float
    moved: tuple[float, float]
    grown: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Frame:
        """A frame by chance."""
        share = rng.uniform(0, _TIGHTEST) if rng.random() < _CROPPED else 0.0
        off = rng.uniform(-_OFF, _OFF, 2)
        turn = rng.normal(0, _TURN)
        moved = rng.normal(0, _MOVED, 2)
        return cls(
            float(share),
            (off[0], off[1]),
            float(turn),
            (moved[0], moved[1]),
            float(1 + rng.normal(0, _GROWN)),
        )

    def mirrored(self) -> Frame:
        """The same frame in the mirror image."""
        return Frame(
            self.share, (-self.off[0], self.off[1]), -self.turn, (-self.moved[0], self.moved[1]), self.grown
        )

    def around(self, view: View) -> View:
        """A view of a face as this frame shows it; as its mirror image does, where the view is mirrored."""
        if view.mirrored:
            return self.mirrored()._laid(view)
        return self._laid(view)

    def _laid(self, view: View) -> View:
        points = view.landmarks
        centre = points.mean(axis=0)
        laid = (points - centre) * self.grown + centre + self.moved
        return view._replace(inside=view.inside & self._holds(view.inside.shape, points), landmarks=laid)

    def _holds(self, shape: tuple[int, ...], points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """The cells that lie in the frame."""
        if self.share == 0:
            return np.ones(shape, dtype=bool)
        low, high = points.min(axis=0), points.max(axis=0)
        across, down = (high - low) / 2 * (1 - self.share)
        x, y = (low + high) / 2 + np.array(self.off) * (high - low)
        rows, columns = np.mgrid[: shape[0], : shape[1]]
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        right = cosine * (columns - x) + sine * (rows - y)
        below = cosine * (rows - y) - sine * (columns - x)
        return np.asarray((np.abs(right) <= across) & (np.abs(below) <= down))
