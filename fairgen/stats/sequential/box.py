"""The null hypothesis of a stream: which shares its readings may have."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from fairgen.stats.distances import Vector


@dataclass(frozen=True, eq=False)
class ShareBox:
    """All distributions over k classes whose shares lie between bounds.

    Attributes:
        low: least share of each class, shape (k,), 0 to 1.
        high: greatest share of each class, shape (k,), 0 to 1.

    Raises:
        ValueError: no distribution lies between the bounds.
    """

    low: Vector
    high: Vector

    def __post_init__(self) -> None:
        bad = (self.low < 0).any() or (self.high > 1 + 1e-12).any() or (self.low > self.high).any()
        if self.low.shape != self.high.shape or self.low.ndim != 1 or bad:
            raise ValueError("bounds of shares are from 0 to 1, the lower ones not above the upper ones")
        if self.low.sum() > 1 + 1e-9 or self.high.sum() < 1 - 1e-9:
            raise ValueError("no shares between these bounds sum to 1")

    @classmethod
    def point(cls, shares: Vector) -> ShareBox:
        """One distribution alone, shape (k,)."""
        exact = np.asarray(shares / shares.sum(), dtype=np.float64)
        return cls(exact, exact)

    @property
    def is_point(self) -> bool:
        """Whether it holds one distribution alone."""
        return bool((self.low == self.high).all())

    @property
    def centre(self) -> Vector:
        """The distribution in its middle, shape (k,)."""
        return self.project((self.low + self.high) / (self.low + self.high).sum())

    def holds(self, shares: Vector) -> bool:
        """Whether a distribution, shape (k,), lies within the bounds."""
        return bool(((self.low - 1e-12 <= shares) & (shares <= self.high + 1e-12)).all())

    def farthest(self, shares: Vector) -> float:
        """The largest total variation of any distribution in the box from one, shape (k,), 0 to 1.

        TV is the largest excess r(A) - q(A) over groups A of classes, and the largest r(A) in the box is the
        smaller of A's upper bounds and what the lower bounds of the others leave.
        """
        groups = np.array(list(itertools.product((False, True), repeat=len(shares))))
        most = np.minimum(groups @ self.high, 1 - ~groups @ self.low)
        return float(max((most - groups @ shares).max(), 0.0))

    def project(self, shares: Vector) -> Vector:
        """The distribution r in the box with the least KL(p || r), for each p in ``shares``.

        Where the likelihood ratio p / r is taken as a bet, its expectation is at most 1 under *every*
        distribution in the box, since the box is convex: the reverse information projection (Grünwald, de
        Heide & Koolen, "Safe testing", JRSS B 2024, theorem 1). By the conditions of Karush, Kuhn and Tucker
        r_i = clip(s p_i, low_i, high_i) with the s at which they sum to 1, which is found exactly: the sum is
        piecewise linear in s.

        Args:
            shares: distributions, shape (..., k).
        """
        p = np.atleast_2d(np.asarray(shares, dtype=np.float64))
        if self.is_point:
            return np.broadcast_to(self.low, np.shape(shares)).copy()
        found = p.copy()
        outside = ((p < self.low) | (p > self.high)).any(axis=1)
        if outside.any():
            found[outside] = self._nearest(p[outside])
        return np.asarray(found.reshape(np.shape(shares)))

    def _nearest(self, p: Vector) -> Vector:
        """The projection of rows that are not in the box, shape (n, k)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            bends = np.concatenate([self.low / p, self.high / p], axis=-1)
        bends = np.sort(np.where(np.isfinite(bends), bends, 0.0), axis=-1)
        sums = np.clip(bends[..., None] * p[:, None, :], self.low, self.high).sum(axis=-1)
        after = np.clip((sums < 1).sum(axis=-1), 1, bends.shape[-1] - 1)
        rows = np.arange(len(p))
        s0, s1 = bends[rows, after - 1], bends[rows, after]
        g0, g1 = sums[rows, after - 1], sums[rows, after]
        part = np.divide(1 - g0, g1 - g0, out=np.zeros_like(g0), where=g1 > g0)
        found = np.clip((s0 + np.clip(part, 0, 1) * (s1 - s0))[:, None] * p, self.low, self.high)
        # Classes that p never shows take what is left, as far as they may: the bet never looks at them.
        left = np.maximum(1 - found.sum(axis=-1, keepdims=True), 0)
        room = np.where(p > 0, 0.0, self.high - found)
        total = room.sum(axis=-1, keepdims=True)
        return np.asarray(found + np.divide(room * left, total, out=np.zeros_like(room), where=total > 0))
