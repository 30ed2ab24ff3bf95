"""From a quota to whole pictures: what to ask for next, and what to keep.

Everything here is arithmetic on counts, and nothing is random. Classes are strings; the order of a quota's
keys is the order of the scale, light to dark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fairgen.quota import TIE_DIGITS

__all__ = ["Ask", "Controller", "ResponseModel", "is_open", "nearest_open", "next_tone", "open_classes"]

_HIT, _WEIGHT = 0.7, 6.0
"""What is believed of requests beforehand (see `ResponseModel`)."""


def is_open(quota: Mapping[str, int], kept: Mapping[str, int], measured: str) -> bool:
    """The keep rule: keep a picture whenever its *measured* class is still wanted, whatever was asked for."""
    return kept.get(measured, 0) < quota[measured]


def open_classes(quota: Mapping[str, int], kept: Mapping[str, int]) -> list[str]:
    """The classes that still want pictures, in the order of the scale."""
    return [name for name in quota if is_open(quota, kept, name)]


def nearest_open(quota: Mapping[str, int], kept: Mapping[str, int], measured: str) -> str | None:
    """The open class fewest steps along the scale from ``measured``; None when no class is open.

    Of two at the same distance, the one with the larger deficit; if these are equal too, the lighter.
    """
    place = {name: i for i, name in enumerate(quota)}
    candidates = open_classes(quota, kept)
    if not candidates:
        return None
    here = place[measured]
    return min(
        candidates,
        key=lambda name: (abs(place[name] - here), kept.get(name, 0) - quota[name], place[name]),
    )


def next_tone(
    quota: Mapping[str, int],
    kept: Mapping[str, int],
    pending: Mapping[str, int] | None = None,
    response: ResponseModel | None = None,
) -> str:
    """The tone to ask for next.

    Without a response model: the class with the largest deficit ``quota - kept - pending``. With one (R, the
    probability that a request for i is measured as j): the request whose *outcome* is expected in the
    largest deficit, ``argmax_i sum_j R_ij max(0, d_j)`` with ``d = quota - kept - pending R``. So a request
    counts also for the neighbours that it may land on, and a tone that only comes out when a darker one is
    asked for gets asked for that way. Ties go to the lighter class.

    Args:
        quota: class -> wanted count, in the order of the scale.
        kept: class -> measured pictures kept so far.
        pending: class -> *requests* that have not been measured yet.
        response: what requests turned into so far, for the classes of ``quota``.

    Raises:
        ValueError: every class is full.
    """
    names = list(quota)
    if not open_classes(quota, kept):
        raise ValueError("every class is full: there is nothing left to ask for")
    missing = np.array([quota[name] - kept.get(name, 0) for name in names], dtype=float)
    asked = np.array([(pending or {}).get(name, 0) for name in names], dtype=float)
    matrix = np.eye(len(names)) if response is None else response.matrix()
    expected = missing - asked @ matrix
    score = matrix @ np.maximum(expected, 0.0)
    if score.max() <= 0.0:
        # The requests in flight should fill everything already: insure the least covered open class.
        score = np.where(missing > 0, expected, -np.inf)
    return names[int(np.argmax(np.round(score, TIE_DIGITS)))]


class ResponseModel:
    """How often a request for one class is measured as another, learnt while the run goes on.

    Row i of the matrix is the posterior mean of a Dirichlet: ``(weight * prior_i + counts_i) /
    (weight + sum counts_i)``. The prior is worth `_WEIGHT` observations. It says that a request hits with
    probability `_HIT` and otherwise lands one class to either side (at an end of the scale the outward half
    counts as a hit).

    Args:
        classes: the scale, light to dark.
        prior: in place of that one: class asked for -> class -> probability.
    """

    def __init__(
        self, classes: Sequence[str], prior: Mapping[str, Mapping[str, float]] | None = None
    ) -> None:
        self._place = {name: i for i, name in enumerate(classes)}
        k = len(classes)
        belief = _HIT * np.eye(k)
        for i in range(k):
            for j in (i - 1, i + 1):
                belief[i, min(max(j, 0), k - 1)] += (1.0 - _HIT) / 2.0
        if prior is not None:
            # A hundredth of the plain belief keeps every neighbour possible.
            given = np.array([[prior[a][b] for b in classes] for a in classes])
            belief = 0.99 * given + 0.01 * belief
        self._mass = _WEIGHT * belief

    def observe(self, requested: str, measured: str) -> None:
        """Count one request and what was measured in its picture."""
        self._mass[self._place[requested], self._place[measured]] += 1.0

    def matrix(self) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        """P(measured j | requested i), k x k, rows sum to 1, in the order of the scale."""
        return np.asarray(self._mass / self._mass.sum(axis=1, keepdims=True), dtype=np.float64)


@dataclass(frozen=True)
class Ask:
    """One picture to make, of class ``tone``: attempt ``attempt`` (from 1) for place ``slot`` (from 0)."""

    slot: int
    attempt: int
    tone: str


@dataclass
class Controller:
    """Fills a quota picture by picture: asks for the largest deficit, keeps what fits, retries what does not.

    A measured picture takes its place at once if its class is open (see :func:`is_open`). Otherwise the place
    is tried again, asking afresh for what is missing by then, up to ``max_tries`` pictures in all; after that
    the attempt that was measured nearest to an open class is kept, so that the set always reaches its size.
    A picture without a reading (abstained) is tried again too, and only kept where no attempt was readable.

    Args:
        quota: class -> wanted count, in the order of the scale.
        max_tries: most pictures made for one place, 1 or more; 1 means no extra pictures.
        response: starting belief about hits; default :class:`ResponseModel` of the quota's classes.

    Raises:
        ValueError: ``max_tries`` is below 1, or a wanted count is negative.
    """

    quota: dict[str, int]
    max_tries: int = 1
    response: ResponseModel | None = None
    kept: Counter[str] = field(default_factory=Counter, init=False)
    """class -> pictures kept with that measured class"""
    abstained: int = field(default=0, init=False)
    """Places whose kept picture could not be read."""

    def __post_init__(self) -> None:
        if self.max_tries < 1 or any(count < 0 for count in self.quota.values()):
            raise ValueError(f"max_tries >= 1 and counts >= 0 are needed, got {self.max_tries}, {self.quota}")
        self._model = self.response or ResponseModel(list(self.quota))
        self._waiting = list(range(sum(self.quota.values())))
        self._flying: dict[int, Ask] = {}
        self._tried: dict[int, list[tuple[Ask, str | None]]] = {}

    @property
    def done(self) -> bool:
        """Whether every place has its picture."""
        return not self._waiting and not self._flying

    def ask(self, count: int) -> list[Ask]:
        """Up to ``count`` pictures to make next, the earliest places first; empty when none is waiting."""
        asks: list[Ask] = []
        for slot in self._waiting[:count]:
            pending = Counter(ask.tone for ask in self._flying.values())
            tone = next_tone(self.quota, self.kept, pending, self._model)
            ask = Ask(slot, len(self._tried.get(slot, ())) + 1, tone)
            self._flying[slot] = ask
            asks.append(ask)
        del self._waiting[: len(asks)]
        return asks

    def record(self, ask: Ask, measured: str | None) -> Ask | None:
        """Take in the class that was measured in the picture for ``ask`` (None: the reader abstained).

        Returns:
            The attempt that now takes the place, which may be an earlier one; None: it is to be tried again.

        Raises:
            ValueError: ``ask`` is not in flight, or ``measured`` is no class of the quota.
        """
        if self._flying.get(ask.slot) != ask:
            raise ValueError(f"{ask} was not asked for, or is already recorded")
        if measured is not None and measured not in self.quota:
            raise ValueError(f"{measured!r} is no class of this quota ({', '.join(self.quota)})")
        del self._flying[ask.slot]
        if measured is not None:
            self._model.observe(ask.tone, measured)
        tried = [*self._tried.pop(ask.slot, []), (ask, measured)]
        if measured is not None and is_open(self.quota, self.kept, measured):
            return self._settle(tried, len(tried) - 1)
        if len(tried) < self.max_tries:
            self._tried[ask.slot] = tried
            self._waiting.append(ask.slot)
            self._waiting.sort()
            return None
        return self._settle(tried, min(range(len(tried)), key=lambda i: self._regret(tried[i][1], i)))

    def _regret(self, measured: str | None, attempt: int) -> tuple[int, int, int]:
        """Sort key of an attempt that fits nowhere: unreadable last, then by distance to what is missing."""
        if measured is None:
            return (1, 0, -attempt)
        place = list(self.quota)
        goal = nearest_open(self.quota, self.kept, measured)
        return (0, 0 if goal is None else abs(place.index(goal) - place.index(measured)), attempt)

    def _settle(self, tried: list[tuple[Ask, str | None]], choice: int) -> Ask:
        ask, measured = tried[choice]
        if measured is None:
            self.abstained += 1
        else:
            self.kept[measured] += 1
        return ask
