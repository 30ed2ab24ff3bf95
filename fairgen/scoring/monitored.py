"""Figures of a stream of pictures that is watched: the one home of what monitor, page and metrics say."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fairgen import stats
from fairgen.stats.sequential import ChangeProcess, EProcess, ShareBox, change_bins, share_sequence
from fairgen.stats.sequential.change import tie_breaker

Test = str
"""``target``: the stream is off target; ``change``: the stream changed."""


@dataclass(frozen=True)
class Levels:
    """How the chance of a false alarm is shared out.

    Attributes:
        level: chance that a monitor of streams on target ever alarms, in (0, 1).
    """

    level: float = 0.05

    @property
    def change(self) -> float:
        """For "the stream changed"."""
        return 0.1 * self.level

    @property
    def reader(self) -> float:
        """For "the reader's errors are not what its validation says"."""
        return 0.1 * self.level

    def target(self, *, exact: bool) -> float:
        """For "the stream is off target"; the reader's part is free where readings count as they are."""
        return self.level - self.change - (0.0 if exact else self.reader)


class _Figures(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TestFigures(_Figures):
    """Evidence of one test in one context.

    Attributes:
        evidence: the e-value so far, 0 or more; on target its mean is at most 1.
        alone: where it counts for this context by itself.
        line: where it counts over all contexts together: the alarm. None: this context cannot alarm.
    """

    __test__ = False  # no class of tests

    evidence: float
    alone: float
    line: float | None

    @property
    def state(self) -> str:
        """``quiet``, ``warning`` (for this context by itself), or ``alarm`` (over all contexts together)."""
        if self.line is not None and self.evidence >= self.line:
            return "alarm"
        return "warning" if self.evidence >= self.alone else "quiet"


class ContextFigures(_Figures):
    """All figures of one context at one moment."""

    context: str
    target: dict[str, float] = Field(description="class -> declared share; classes light to dark")
    allowed: dict[str, tuple[float, float]] = Field(
        description="class -> share of readings that pictures on target may have, given the reader's errors"
    )
    offered: int = Field(description="pictures seen, sampled or not")
    read: int = Field(description="pictures whose tone was read")
    counts: dict[str, int]
    intervals: dict[str, tuple[float, float]] = Field(
        description="class -> share of readings; hold for all classes and all moments together"
    )
    tv: float | None = Field(
        description="total variation of the readings from the declared target; None: none"
    )
    tv_allowed: float = Field(
        description="largest TV of readings that pictures on target may have, given the reader's errors: a "
        "smaller departure cannot be told from them"
    )
    noise_floor_tv: float | None = Field(description="mean TV of as many independent draws from the target")
    abstained: dict[str, int] = Field(description="reason code -> pictures")
    abstained_by_tone: dict[str, tuple[int, int]] = Field(
        description="class -> pictures not read that another reader put into it; those and all read there"
    )
    unreadable: int = Field(description="files that could not be opened as a picture")
    tests: dict[Test, TestFigures]


class History:
    """A curve of evidence over a stream of any length in bounded memory: where it is full, every second point
    goes.
    """

    MOST = 240

    def __init__(self) -> None:
        self.step, self.points = 1, list[tuple[int, float, float]]()
        self._written = b""

    def add(self, number: int, target: float, change: float) -> None:
        """Evidence after picture ``number`` (1 and up)."""
        if number % self.step:
            return
        self.points.append((number, target, change))
        if len(self.points) >= self.MOST:
            self.step *= 2
            self.points = [p for p in self.points if p[0] % self.step == 0]
        self._written = b""

    def state(self) -> bytes:
        """The curve, to be put back by `restore`."""
        if not self._written:
            self._written = zlib.compress(json.dumps([self.step, self.points]).encode(), 1)
        return self._written

    def restore(self, state: bytes) -> None:
        """Go on from what `state` gave."""
        self.step, points = json.loads(zlib.decompress(state))
        self.points = [(int(n), float(a), float(b)) for n, a, b in points]
        self._written = state


class ContextWatch:
    """Follows one context: both tests, the counts, and what was not read.

    Args:
        context: its name.
        target: class -> declared share; classes light to dark.
        box: shares of readings that pictures on target may have.
        levels: for the whole monitor.
        weight: part of the level that this context may use, 0 (it warns, but cannot alarm) to 1.
    """

    def __init__(
        self, context: str, target: dict[str, float], box: ShareBox, *, levels: Levels, weight: float
    ) -> None:
        self.context, self.target, self.box, self.levels, self.weight = context, target, box, levels, weight
        self._place = {name: k for k, name in enumerate(target)}
        self._off = EProcess(box)
        self._changed = ChangeProcess(change_bins(box.centre), len(target))
        self.history = History()
        self.offered = self.unreadable = 0
        self._abstained: dict[str, int] = {}
        self._unread_tones: dict[str, int] = {}

    @property
    def read(self) -> int:
        """Pictures whose tone was read."""
        return self._off.seen

    def observe(self, tone: str) -> None:
        """Take in a picture whose tone was read. Raises KeyError where the class is not in the target."""
        number = self._number(tone)
        off = self._off.update(number)[0]
        tie = tie_breaker(self.context, self._off.seen - 1)
        changed = self._changed.update(number, np.array([tie]))[0]
        self.history.add(self._off.seen, float(off), float(changed))

    def abstain(self, reason: str, estimate: str | None = None) -> None:
        """Take in a picture that was not read; ``estimate``: the class that another reader put it into."""
        self._abstained[reason] = self._abstained.get(reason, 0) + 1
        if estimate is not None:
            self._number(estimate)
            self._unread_tones[estimate] = self._unread_tones.get(estimate, 0) + 1

    def _number(self, tone: str) -> NDArray[np.int64]:
        return np.array([self._place[tone]])

    def tests(self) -> dict[Test, TestFigures]:
        """Both tests as they stand."""
        both = {
            "target": (self._off.values[0], self.levels.target(exact=self.box.is_point)),
            "change": (self._changed.values[0], self.levels.change),
        }
        return {
            name: TestFigures(
                evidence=float(value),
                alone=1 / level,
                line=1 / (level * self.weight) if self.weight > 0 else None,
            )
            for name, (value, level) in both.items()
        }

    def figures(self) -> ContextFigures:
        """All figures as they stand."""
        counts = {name: int(n) for name, n in zip(self.target, self._off.counts[0], strict=True)}
        unread = {name: self._unread_tones.get(name, 0) for name in self.target}
        shares = np.array(list(self.target.values()))
        edges = zip(self.target, self.box.low, self.box.high, strict=True)
        return ContextFigures(
            context=self.context,
            target=self.target,
            allowed={name: (float(low), float(high)) for name, low, high in edges},
            offered=self.offered,
            read=self.read,
            counts=counts,
            intervals=share_sequence(counts, level=1 - self.levels.level),
            tv=stats.total_variation(counts, self.target) if self.read else None,
            tv_allowed=self.box.farthest(shares / shares.sum()),
            noise_floor_tv=stats.noise_floor(self.target, self.read) if self.read else None,
            abstained=dict(self._abstained),
            abstained_by_tone={name: (n, counts[name] + n) for name, n in unread.items()},
            unreadable=self.unreadable,
            tests=self.tests(),
        )

    def state(self) -> bytes:
        """All that it has learnt, to be put back by `restore`."""
        off, changed = self._off.state(), self._changed.state()
        rest = {
            "offered": self.offered,
            "unreadable": self.unreadable,
            "abstained": self._abstained,
            "unread_tones": self._unread_tones,
        }
        parts = json.dumps(rest).encode(), self.history.state(), off, changed
        return b"".join(len(part).to_bytes(4, "little") + part for part in parts)

    def restore(self, state: bytes) -> None:
        """Go on from what `state` gave, with the same target, box and levels.

        Raises:
            ValueError: it is the state of another watch.
        """
        parts, at = [], 0
        while at < len(state):
            size = int.from_bytes(state[at : at + 4], "little")
            parts.append(state[at + 4 : at + 4 + size])
            at += 4 + size
        if len(parts) != 4:
            raise ValueError("the state is cut short")
        rest = json.loads(parts[0])
        self.history.restore(parts[1])
        self._off.restore(parts[2])
        self._changed.restore(parts[3])
        self.offered, self.unreadable = rest["offered"], rest["unreadable"]
        self._abstained, self._unread_tones = rest["abstained"], rest["unread_tones"]
