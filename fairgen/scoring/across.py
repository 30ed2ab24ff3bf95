"""Sets of many prompts -> the figures of each arm, each group, and each arm against the unsteered one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from fairgen import stats
from fairgen.runs import SessionRecord
from fairgen.scoring.arms import mean, mean_figures
from fairgen.scoring.figures import (
    Comparison,
    GroupArm,
    GroupFigures,
    MeanFigures,
    Range,
    ReportedArm,
    ReportedSet,
)
from fairgen.scoring.measure import MeasuredSet
from fairgen.stats.distances import Vector

UNSTEERED = "none"
"""The arm that the others are compared with."""

FEWEST_OF_INTERVAL = 10
"""Prompts that an interval over prompts is given for; with fewer it is too wide to tell anything."""
_TV, _TV_GAP, _ITA = (0.0, 1.0), (-1.0, 1.0), (-90.0, 90.0)
"""Least and largest possible value."""
_NO_DRAW = np.zeros(1)
"""Sums of draws begin with it, and add set by set: of 10,000 sets a copy of all would take 160 MB."""


@dataclass(frozen=True)
class Case:
    """One prompt with its sets, arm -> set; ``record`` is that of the first one."""

    name: str
    group: str | None
    record: SessionRecord
    sets: dict[str, MeasuredSet] = field(default_factory=dict)

    def complete(self, arms: Sequence[str]) -> bool:
        """Whether every arm has a finished set of it."""
        return all(arm in self.sets and self.sets[arm].figures.finished for arm in arms)


def arm_figures(cases: Sequence[Case], arms: Sequence[str], *, tolerance: float) -> list[ReportedArm]:
    """One entry an arm. ``cases`` are complete, so that every mean is over the same prompts."""
    return [_arm(cases, arm, tolerance) for arm in arms]


def _arm(cases: Sequence[Case], arm: str, tolerance: float) -> ReportedArm:
    sets = [case.sets[arm] for case in cases]
    drawn = [s.redrawn for s in sets if s.redrawn is not None]
    return ReportedArm(
        **dict(_means(cases, arm, tolerance)),
        arm=arm,
        tv_range=interval_over([s.figures.tv for s in sets if s.figures.tv is not None], _TV),
        tv_read=stats.central(sum(drawn, _NO_DRAW) / len(drawn), 0.95) if drawn else None,
        beyond_chance=_beyond_chance([s.figures for s in sets]),
    )


def _means(cases: Sequence[Case], arm: str, tolerance: float) -> MeanFigures:
    return mean_figures([(case.record.prompt, case.sets[arm].figures) for case in cases], tolerance)


def _beyond_chance(figures: Sequence[ReportedSet]) -> int | None:
    """Prompts whose test against the target rejects at 5 % after Holm's correction for their number."""
    values = [f.p_differs for f in figures if f.p_differs is not None]
    if not values or any(f.steered for f in figures):
        return None
    return sum(value <= 0.05 for value in stats.holm(values))


def comparisons(cases: Sequence[Case], arms: Sequence[str]) -> list[Comparison]:
    """Every other arm against the unsteered one, over the complete cases that both have a reading of."""
    if UNSTEERED not in arms:
        return []
    found = []
    for arm in arms:
        pairs = [(c.sets[arm], c.sets[UNSTEERED]) for c in cases]
        known = [(a, b) for a, b in pairs if a.redrawn is not None and b.redrawn is not None]
        if arm == UNSTEERED or not known:
            continue
        of_arm, of_other = ([s.figures.tv or 0.0 for s in side] for side in zip(*known, strict=True))
        gaps = np.subtract(of_arm, of_other)
        paired = stats.paired_difference(of_other, of_arm) if len(known) > 1 else None
        closer = sum((np.asarray(_redrawn(a) < _redrawn(b), dtype=np.float64) for a, b in known), _NO_DRAW)
        found.append(
            Comparison(
                arm=arm,
                against=UNSTEERED,
                prompts=len(known),
                closer=int((gaps < -1e-9).sum()),
                further=int((gaps > 1e-9).sum()),
                difference=float(gaps.mean()),
                difference_range=interval_over(gaps.tolist(), _TV_GAP),
                p_value=paired.p_value if paired else None,
                closer_read=stats.central(closer, 0.95),
            )
        )
    return found


def _redrawn(found: MeasuredSet) -> Vector:
    assert found.redrawn is not None
    return found.redrawn


def groups(cases: Sequence[Case], arms: Sequence[str], *, tolerance: float) -> list[GroupFigures]:
    """One entry a group, in the order of first appearance; empty where no prompt has a mark."""
    names = list(dict.fromkeys(case.group for case in cases))
    if names in ([], [None]):
        return []
    return [_group(name, [c for c in cases if c.group == name], arms, tolerance) for name in names]


def _group(name: str | None, cases: Sequence[Case], arms: Sequence[str], tolerance: float) -> GroupFigures:
    scales = {case.record.scale for case in cases}
    classes = list(cases[0].record.target) if len(scales) == 1 else []
    return GroupFigures(
        group=name,
        prompts=len(cases),
        scale=scales.pop() if len(scales) == 1 else None,
        target={key: float(np.mean([case.record.target[key] for case in cases])) for key in classes},
        arms={arm: _group_arm(cases, arm, classes, tolerance) for arm in arms},
    )


def _group_arm(cases: Sequence[Case], arm: str, classes: Sequence[str], tolerance: float) -> GroupArm:
    figures = [case.sets[arm].figures for case in cases]
    angles = [f.mean_ita for f in figures if f.mean_ita is not None]
    return GroupArm(
        **dict(_means(cases, arm, tolerance)),
        measured={key: sum(f.measured[key] for f in figures) for key in classes},
        mean_ita=mean(angles),
        mean_ita_range=interval_over(angles, _ITA),
    )


def interval_over(values: Sequence[float], bounds: tuple[float, float]) -> Range | None:
    """The 95 % interval of a mean over prompts; None for fewer than `FEWEST_OF_INTERVAL`."""
    if len(values) < FEWEST_OF_INTERVAL:
        return None
    found = stats.bounded_mean_interval(values, bounds)
    return found.low, found.high
