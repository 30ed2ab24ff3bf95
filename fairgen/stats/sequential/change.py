"""Evidence, at every moment, that a stream changed, whatever its shares are."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from fairgen.stats.distances import Vector
from fairgen.stats.sequential.box import ShareBox
from fairgen.stats.sequential.eprocess import EProcess, Plan

_PLAN = Plan(learning=0.0, from_start=0.0)
"""A change has no meaning before there is something to change from: nothing is bet on the first picture."""


def change_bins(target: Vector) -> Vector:
    """Widths of the bins of ranks that fit a stream with the target's shares, shape (bins,); they sum to 1.

    The declared classes that have a share, or six even bins where there is only one.
    """
    widths = target[target > 0]
    return np.asarray(widths / widths.sum()) if len(widths) > 1 else np.full(6, 1 / 6)


class ChangeProcess:
    """A test of "all pictures come from one and the same distribution", which need not be known.

    The rank of a picture's class among all so far, light before dark, ties broken at random, is uniform on
    (0, 1) and independent of the earlier ranks as long as the pictures are exchangeable (Vovk, Gammerman &
    Shafer, "Algorithmic Learning in a Random World", 2nd ed. 2022, chapter 8: conformal test martingales;
    Vovk et al., "Retrain or not retrain", COPA 2021). Ranks are put into bins, and an `EProcess` tests that
    the bins have their widths as shares. So the chance that it ever reaches 1 / alpha without a change is at
    most alpha. A reader's errors do not matter as long as they stay the same.

    After a change the picture's new shares slowly become the usual ones, so a change that was not found soon
    is not found at all: that is the other test's part.

    Args:
        bins: widths, shape (bins,), sum to 1; see `change_bins`. Any widths are valid; those of the stream's
            usual shares find most.
        classes: how many classes there are.
        streams: how many streams are followed side by side.
    """

    def __init__(self, bins: Vector, classes: int, *, streams: int = 1) -> None:
        self._edges = np.cumsum(bins)[:-1]
        self._test = EProcess(ShareBox.point(bins), streams=streams, plan=_PLAN)
        self._counts = np.zeros((streams, classes))

    @property
    def values(self) -> Vector:
        """Evidence so far, shape (streams,)."""
        return self._test.values

    def update(self, classes: NDArray[np.int64], ties: Vector) -> Vector:
        """Take in the next picture of every stream; the evidence after it.

        Args:
            classes: shape (streams,), 0 (lightest) to k - 1.
            ties: independent uniform numbers on [0, 1), shape (streams,); see `tie_breaker`.
        """
        rows = np.arange(len(classes))
        self._counts[rows, classes] += 1
        upto = np.cumsum(self._counts, axis=1)[rows, classes]
        here = self._counts[rows, classes]
        ranks = (upto - here + ties * here) / (self._test.seen + 1)
        return self._test.update(np.searchsorted(self._edges, ranks, side="right"))

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Go on with some of the streams alone.

        Args:
            rows: which, shape (streams,).
        """
        self._counts = self._counts[rows]
        self._test.keep(rows)

    def state(self) -> bytes:
        """All that it has learnt, to be put back by `restore`."""
        return self._counts.astype("<f8").tobytes() + self._test.state()

    def restore(self, state: bytes) -> None:
        """Go on from what `state` gave, with the same bins.

        Raises:
            ValueError: it is the state of another process.
        """
        size = self._counts.size * 8
        self._test.restore(state[size:])
        self._counts = np.frombuffer(state[:size], dtype="<f8").reshape(self._counts.shape).copy()


def tie_breaker(seed: str, number: int) -> float:
    """The uniform number on [0, 1) of a stream's picture: the same when a monitor is started again.

    Args:
        seed: of the stream, unlike any other's.
        number: of the picture, from 0 on.
    """
    digest = hashlib.blake2b(f"{seed}\0{number}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53
