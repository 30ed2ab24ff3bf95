"""Ways in which a stream of skin tones may leave its target, as a grid of distributions with weights."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from fairgen.stats.distances import Vector

Group = NDArray[np.bool_]

RADII = (0.1, 0.2, 0.4)
"""Total variation of the alternatives from the centre."""
_PART = {"tilt": 0.30, "bend": 0.05, "cut": 0.40, "band": 0.15, "other": 0.10}
"""Weight of each family. The scale is ordered: most of it is on shifts towards light or dark."""
_MOST_CLASSES = 7
"""Up to so many classes every group of classes is an alternative; beyond, groups of neighbours alone."""


def alternatives(centre: Vector) -> tuple[Vector, Vector]:
    """Distributions about ``centre``, shape (ways, k), and their weights, which sum to 1.

    *Tilts* multiply the shares by exp(theta * place) along the ordered scale, *bends* by its distance from
    the middle. A *cut* moves mass between the light side and the dark side of a border, a *band* into or out
    of neighbouring classes, the *others* into or out of any group; within the group and the rest shares keep
    their proportions.

    Args:
        centre: shape (k,), sums to 1; classes without a share keep none.
    """
    place = np.linspace(1.0, -1.0, len(centre))
    scores = {"tilt": place, "bend": np.abs(place) - np.abs(place).mean()}
    rows: dict[str, list[Vector]] = {name: [] for name in _PART}
    for radius in RADII:
        for name, score in scores.items():
            tilted = (_tilted(centre, s, radius) for s in (score, -score))
            rows[name] += [p for p in tilted if p is not None]
        for group in _groups(len(centre)):
            inside = float(centre[group].sum())
            if inside > 0 and inside + radius <= 1:
                grown, shrunk = (inside + radius) / inside, (1 - inside - radius) / (1 - inside)
                rows[_family(group)].append(np.where(group, centre * grown, centre * max(shrunk, 0.0)))
    filled = {name: found for name, found in rows.items() if found}
    if not filled:
        return np.empty((0, len(centre))), np.empty(0)
    weights = np.concatenate(
        [np.full(len(found), _PART[name] / len(found)) for name, found in filled.items()]
    )
    return np.concatenate([np.array(found) for found in filled.values()]), weights / weights.sum()


def _tilted(centre: Vector, scores: Vector, radius: float) -> Vector | None:
    """The exponential tilt at this total variation; None where there is none."""

    def at(theta: float) -> Vector:
        raw = np.where(centre > 0, centre * np.exp(theta * (scores - scores.max())), 0.0)
        return np.asarray(raw / raw.sum())

    def gap(theta: float) -> float:
        return 0.5 * float(np.abs(at(theta) - centre).sum()) - radius

    strongest = 60.0
    return at(brentq(gap, 0.0, strongest)) if gap(strongest) > 0 else None


def _groups(k: int) -> list[Group]:
    every = (np.array(bits, dtype=bool) for bits in itertools.product((False, True), repeat=k))
    proper = [group for group in every if 0 < group.sum() < k]
    return proper if k <= _MOST_CLASSES else [group for group in proper if _family(group) != "other"]


def _family(group: Group) -> str:
    borders = int(np.abs(np.diff(group.astype(int))).sum())
    if borders == 1:
        return "cut"
    return "band" if borders == 2 else "other"
