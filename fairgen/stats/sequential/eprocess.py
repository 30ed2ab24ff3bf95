"""Evidence, at every moment, that a stream of classes does not have the shares that it should have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairgen.stats.distances import Vector
from fairgen.stats.sequential.alternatives import alternatives
from fairgen.stats.sequential.box import ShareBox

_MOST = 1e120
"""Evidence is not counted beyond: no level asks for it, and eight pictures later it is still no overflow."""
_NEVER = 1e12
"""What a class multiplies evidence by that the null hypothesis says never comes."""


@dataclass(frozen=True)
class Plan:
    """How the first unit of money is spread over bets.

    Attributes:
        learning: share that follows the pictures seen so far (a Dirichlet mixture), 0 to 1. It finds any
            lasting departure in the end, however small.
        concentration: of that Dirichlet law, in pictures, > 0.
        from_start: share of the rest that bets from the first picture on, 0 to 1; what is left bets on a
            later change.
        patience: pictures, > 0, over which the later money is spent: after t pictures
            (1 + t / patience) ** -``tail`` of it is left.
        tail: > 0.
    """

    learning: float = 0.1
    concentration: float = 30.0
    from_start: float = 0.6
    patience: float = 500.0
    tail: float = 0.5

    def unspent(self, t: int) -> float:
        """Share of the money for the grid that is not bet yet after ``t`` pictures."""
        return float((1 - self.from_start) * (1 + t / self.patience) ** -self.tail)

    def begins(self, t: int) -> float:
        """Share of the money for the grid that begins to bet with picture t (0, 1, ...)."""
        return self.from_start if t == 0 else self.unspent(t - 1) - self.unspent(t)


class EProcess:
    """A martingale test of "the shares lie in this box", for one stream or many side by side.

    Its value begins at 1, and under every distribution in the box its expectation stays at most 1 at any
    moment, whenever one chooses to look (it is an e-process). So by Ville's inequality the chance that it
    *ever* reaches 1 / alpha is at most alpha.

    It is a mixture of bets against the box. One part learns: it bets on the posterior mean of a Dirichlet
    prior, as in the Dirichlet mixture of multinomials of Lindon & Malek ("Anytime-valid inference for
    multinomial count data", NeurIPS 2022). The other part bets on a grid of alternatives, some from the first
    picture on, the rest from any later picture on: the recursion of Shiryaev and Roberts with prior weights
    on the moment of the change (as in the e-detectors of Shin, Ramdas & Rinaldo, NEJSDS 2024), which here sum
    to 1, so that the chance of a false alarm is bounded over the whole life of the stream. Each bet on a
    distribution p multiplies its money by p(x) / r(x), where r is the projection of p on the box
    (`ShareBox.project`).

    The value depends on the order of the pictures, for a change has a moment.

    Args:
        box: the null hypothesis over k classes.
        streams: how many streams are followed side by side, 1 or more.
        plan: how the money is spread.
    """

    def __init__(self, box: ShareBox, *, streams: int = 1, plan: Plan | None = None) -> None:
        self.box, self.plan, self.seen = box, plan or Plan(), 0
        middle = box.centre
        ways, weights = alternatives(middle)
        # What the box allows is no alternative: its bet could win nothing.
        useful = np.array([not box.holds(p) for p in ways], dtype=bool)
        self._weights = weights[useful] / max(weights[useful].sum(), 1e-300)
        self._unbacked = np.where(box.high <= 0, _NEVER, 0.0)
        bets = _ratio(ways[useful], box.project(ways[useful]), self._unbacked)
        self._ratios = np.ascontiguousarray(bets.T)
        k = len(middle)
        self._prior = self.plan.concentration * (0.98 * middle + 0.02 / k)
        self._wealth = np.zeros((streams, len(self._weights)))
        self._bets = np.empty_like(self._wealth)
        self._counts = np.zeros((streams, k))
        self._learning = np.ones(streams)

    @property
    def counts(self) -> Vector:
        """Pictures of each class, shape (streams, k)."""
        return self._counts

    @property
    def values(self) -> Vector:
        """Evidence so far, shape (streams,), 0 or more."""
        plan = self.plan
        grid = np.ones(len(self._wealth))
        if self.seen and self._weights.size:
            grid = plan.unspent(self.seen - 1) + self._wealth @ self._weights
        return np.asarray(np.minimum(plan.learning * self._learning + (1 - plan.learning) * grid, _MOST))

    def update(self, classes: NDArray[np.int64]) -> Vector:
        """Take in the next picture of every stream; the evidence after it.

        Args:
            classes: number of the class of each stream's picture, shape (streams,), 0 to k - 1.
        """
        rows = np.arange(len(classes))
        self._wealth += self.plan.begins(self.seen)
        if self._bets.shape != self._wealth.shape:
            self._bets = np.empty_like(self._wealth)
        # In place: most of the time is here.
        np.take(self._ratios, classes, axis=0, out=self._bets, mode="clip")
        self._wealth *= self._bets
        if self.plan.learning:
            guess = (self._prior + self._counts) / (self._prior.sum() + self.seen)
            mean, null = guess[rows, classes], self.box.project(guess)[rows, classes]
            self._learning *= _ratio(mean, null, self._unbacked[classes])
            np.minimum(self._learning, _MOST, out=self._learning)
        if self.seen % 8 == 0:
            np.minimum(self._wealth, _MOST, out=self._wealth)
        self._counts[rows, classes] += 1
        self.seen += 1
        return self.values

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Go on with some of the streams alone.

        Args:
            rows: which, shape (streams,).
        """
        self._wealth, self._counts = self._wealth[rows], self._counts[rows]
        self._learning = self._learning[rows]

    def state(self) -> bytes:
        """All that it has learnt, to be put back by `restore`; a few kilobytes a stream."""
        parts = (self._counts, self._learning[:, None], self._wealth)
        table: bytes = np.concatenate(parts, axis=1).astype("<f8").tobytes()
        return self.seen.to_bytes(8, "little") + table

    def restore(self, state: bytes) -> None:
        """Go on from what `state` gave, with the same box and plan.

        Raises:
            ValueError: it is the state of another process.
        """
        k = self._counts.shape[1]
        width = k + 1 + self._wealth.shape[1]
        if len(state) != 8 + 8 * width * len(self._wealth):
            raise ValueError("the state belongs to a process with other classes or bets")
        table = np.frombuffer(state, dtype="<f8", offset=8).reshape(-1, width)
        self.seen = int.from_bytes(state[:8], "little")
        self._counts, self._learning = table[:, :k].copy(), table[:, k].copy()
        self._wealth = table[:, k + 1 :].copy()


def _ratio(p: Vector, r: Vector, unbacked: Vector) -> Vector:
    """p / r, and ``unbacked`` where r is 0. A class that the box rules out costs no expectation, whatever it
    wins; one that the box allows, and on which neither p nor r counts, may win nothing.
    """
    return np.asarray(np.divide(p, r, out=np.broadcast_to(unbacked, p.shape).copy(), where=r > 0))
