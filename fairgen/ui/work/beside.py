"""Two runs beside each other, as pictures."""

from __future__ import annotations

from dataclasses import dataclass

from fairgen.report.load import tone_classes
from fairgen.report.view import ToneClass
from fairgen.runs import SessionRun, read_run
from fairgen.scoring.compare import Comparison
from fairgen.ui.work.live import LiveSet
from fairgen.ui.work.visits import UserRun

_PICTURES = 6
"""Of one set."""
_SETS = 24
"""That are shown of each run."""


@dataclass(frozen=True)
class SeenSet:
    """One set: its first pictures and all its tones."""

    pictures: tuple[tuple[str, str], ...]
    """(address, label of the class) of the first ones."""
    counts: dict[str, int]
    """Class -> pictures."""
    total: int
    """Pictures that were read."""


@dataclass(frozen=True)
class SeenPair:
    """One prompt under one arm, in both runs."""

    prompt: str
    arm: str
    classes: tuple[ToneClass, ...]
    target: dict[str, float]
    sets: tuple[SeenSet, SeenSet]


def seen_beside(found: Comparison, first: UserRun, second: UserRun) -> list[SeenPair]:
    """The sets that were compared, as pictures; at most 24 of them. Raises `UserError`."""
    ones, others = _sessions(first), _sessions(second)
    pairs = []
    for row in found.sets[:_SETS]:
        one, other = ones.get((row.prompt, row.arm)), others.get((row.prompt, row.arm))
        if one is not None and other is not None:
            classes, target = tone_classes(one.record.scale, one.record.target), dict(one.record.target)
            sets = _seen(first, one), _seen(second, other)
            pairs.append(SeenPair(row.prompt, row.arm, classes, target, sets))
    return pairs


def _sessions(run: UserRun) -> dict[tuple[str, str], SessionRun]:
    """(prompt, arm) -> set; the arm is called as comparisons call it."""
    sessions = read_run(run.folder).sessions.values()
    return {(session.record.prompt, session.record.steering): session for session in sessions}


def _seen(run: UserRun, session: SessionRun) -> SeenSet:
    live = LiveSet.restored(run, session)
    labels = {c.key: c.label for c in live.classes}
    counts = live.counts()
    views = [live.card(p).view for p in live.inside()[:_PICTURES]]
    pictures = tuple((view.image, labels.get(view.read_as or "", "not read")) for view in views)
    return SeenSet(pictures, counts, sum(counts.values()))
