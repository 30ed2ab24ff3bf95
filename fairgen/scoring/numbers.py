"""Counts -> figures: the one place where the distances and tests of a set are computed (`fairgen.stats`).

Summaries, reports, tables, commands and the web app all take their figures from here.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fairgen import stats
from fairgen.runs import Distances, PictureRecord, SessionRun, SetFigures
from fairgen.scoring.figures import Figures
from fairgen.stats.distances import Vector

MEETS_WITHIN = 0.1
"""Total variation within which a set counts as meeting its target, unless a run says otherwise."""


@dataclass(frozen=True)
class Bar:
    """One class of one arm: whole count and share (0-1)."""

    count: int
    share: float


def bars(counts: Mapping[str, int]) -> dict[str, Bar]:
    """Count and share of every class (0 for all where nothing was counted)."""
    total = sum(counts.values())
    return {key: Bar(count, count / total if total else 0.0) for key, count in counts.items()}


def chance_band(target: Mapping[str, float], n: int) -> dict[str, tuple[float, float]]:
    """Class -> (low, high) share: where nine of ten independent samples of ``n`` pictures land.

    The central 90 % of the binomial distribution with ``n`` draws and the declared share.
    """
    from scipy.stats import binom

    found = {key: binom.interval(0.9, n, share) for key, share in target.items()}
    return {key: (float(low) / n, float(high) / n) for key, (low, high) in found.items()}


def counts_of(classes: Iterable[str], found: Iterable[str | None]) -> dict[str, int]:
    """Class -> how often it was found, zeros included; None (a picture without a reading) is left out."""
    counted = Counter(found)
    return {name: counted[name] for name in classes}


def distances(measured: Mapping[str, int], target: Mapping[str, float]) -> Distances:
    """How far counts are from a target.

    Args:
        measured: class -> pictures of the set.
        target: class -> share, the same classes.
    """
    kept = sum(measured.values())
    divergence = stats.kl(measured, target) if kept else math.inf
    return Distances(
        measured=dict(measured),
        kept=kept,
        tv=stats.total_variation(measured, target) if kept else None,
        alignment_error=stats.alignment_error(measured, target) if kept else None,
        fd=stats.fd(measured, target) if kept else None,
        kl=divergence if math.isfinite(divergence) else None,
        noise_floor_tv=stats.noise_floor(target, kept) if kept else None,
    )


def vectors_of(pictures: Iterable[PictureRecord], scale: str) -> list[Mapping[str, float]]:
    """The reader's probabilities, class -> probability, of every picture with a reading."""
    return [p.readings[0]["probabilities"][scale] for p in pictures if p.measured is not None]


def redrawn(
    vectors: Sequence[Mapping[str, float]], target: Mapping[str, float], name: str = ""
) -> Vector | None:
    """TV in each of 2,000 redraws of the labels from the reader's probabilities; None without a picture.

    Args:
        vectors: class -> probability, one a picture.
        name: of the set. Each gets a seed of its own: means over sets need redraws that are independent.
    """
    if not vectors:
        return None
    return stats.redrawn_tv(vectors, target, seed=zlib.crc32(name.encode()))


def figures(
    measured: Mapping[str, int],
    target: Mapping[str, float],
    vectors: Sequence[Mapping[str, float]],
    *,
    independent: bool,
    tolerance: float = MEETS_WITHIN,
    name: str = "",
) -> Figures:
    """Distances of a set, and how sure they are.

    Args:
        measured: class -> pictures of the set.
        target: class -> share, the same classes.
        vectors: the reader's probabilities of the counted pictures.
        independent: whether the pictures are independent draws; only then are there p-values.
        tolerance: TV of the equivalence test.
        name: of the set (see `redrawn`).
    """
    tested = independent and any(measured.values())
    drawn = redrawn(vectors, target, name)
    return Figures(
        **dict(distances(measured, target)),
        tv_read=None if drawn is None else stats.central(drawn, 0.95),
        p_differs=stats.multinomial_test(measured, target) if tested else None,
        p_meets=stats.equivalence_test(measured, target, tolerance) if tested else None,
    )


def set_figures(session: SessionRun, *, seconds: float | None = None) -> SetFigures:
    """The figures of one session, finished or not.

    Args:
        seconds: its time; default: that of its summary, else the sum over its pictures.
    """
    record, pictures = session.record, session.pictures
    found = distances(counts_of(record.classes, (p.measured for p in session.final_set())), record.target)
    first = [p for p in pictures if p.attempt == 0]
    first_pass = counts_of(record.classes, (p.measured for p in first))
    unread = Counter(str(p.abstained) for p in pictures if p.abstained is not None)
    asked = [p for p in pictures if p.wanted is not None and p.measured is not None]
    if seconds is None:
        seconds = session.summary.seconds if session.summary else math.fsum(p.seconds for p in pictures)
    return SetFigures(
        **dict(found),
        count=record.count,
        first_pass=first_pass,
        first_pass_abstained=sum(p.abstained is not None for p in first),
        first_pass_tv=distances(first_pass, record.target).tv,
        generated=len(pictures),
        discarded=sum(p.measured is not None for p in pictures) - found.kept,
        abstained=unread.total(),
        abstentions=dict(unread),
        filled=sum(fill.measured is not None for fill in session.fills),
        missing=record.count - found.kept,
        asked=len(asked),
        hits=sum(p.measured == p.wanted for p in asked),
        seconds=seconds,
    )
