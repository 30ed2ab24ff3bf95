"""One session of a run -> its figures, and its pictures in a form small enough to keep thousands of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fairgen import stats
from fairgen.runs import PictureRecord, ReadingDocument, SessionRun
from fairgen.scoring.figures import ReportedSet
from fairgen.scoring.numbers import figures, redrawn, set_figures, vectors_of
from fairgen.stats.distances import Vector


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture without its pixels: where it lies, and what was read.

    ``certainty`` (0-1) is the reader's probability of the class that it named, ``colour`` the mean skin
    colour (``#rrggbb``), ``ita`` in degrees; None where it abstained.
    """

    file: str | None
    slot: int
    attempt: int
    seed: int
    fate: Fate
    wanted: str | None
    read_as: str | None
    reason: str | None
    certainty: float | None
    ita: float | None
    colour: str | None
    missing: str | None = None
    """The class that its place lacked, where it fills one after the tries ran out."""


@dataclass(frozen=True, slots=True)
class MeasuredSet:
    """The figures of one session, and what pages and comparisons need beside them."""

    figures: ReportedSet
    inside: tuple[Shot, ...]
    """The final set, in the order of its places."""
    outside: tuple[Shot, ...]
    """Discarded or not read, in the order of generation."""
    redrawn: Vector | None
    """TV in each redraw of the labels; None where nothing was read."""


def measure(session: SessionRun, arm: str, *, tolerance: float) -> MeasuredSet:
    """The figures of one session, finished or not, and its pictures.

    The tests are given where the pictures are independent draws (unsteered).
    """
    record, target = session.record, session.record.target
    final = session.final_set()
    counts = set_figures(session)
    inside = tuple(_shots(final, session, kept=True))
    outside = tuple(_shots(session.left_out(), session, kept=False))
    vectors = vectors_of(final, record.scale)
    sure = figures(
        counts.measured,
        target,
        vectors,
        independent=not record.steered,
        tolerance=tolerance,
        name=record.session,
    )
    angles = [shot.ita for shot in inside if shot.ita is not None]
    found = ReportedSet(
        **dict(counts) | dict(sure),
        arm=arm,
        session=record.session,
        finished=session.finished,
        steered=record.steered,
        first_pass_ranges=stats.simultaneous_intervals(counts.first_pass)
        if any(counts.first_pass.values())
        else {},
        mean_ita=float(np.mean(angles)) if angles else None,
        notes=session.summary.notes if session.summary else record.notes,
    )
    return MeasuredSet(found, inside, outside, redrawn(vectors, target, record.session))


def _shots(pictures: Sequence[PictureRecord], session: SessionRun, *, kept: bool) -> list[Shot]:
    missing = {fill.index: fill.missing for fill in session.fills}
    shots = []
    for p in pictures:
        reading: ReadingDocument = p.readings[0] if p.readings and p.measured is not None else {}
        chances = (reading.get("probabilities") or {}).get(session.record.scale) or {}
        lab, angle = reading.get("lab"), reading.get("ita")
        fate: Fate = "abstained" if p.measured is None else "kept" if kept else "discarded"
        shots.append(
            Shot(
                file=p.file,
                slot=p.slot,
                attempt=p.attempt,
                seed=p.seed,
                fate=fate,
                wanted=p.wanted,
                read_as=p.measured,
                reason=p.abstained,
                certainty=chances.get(p.measured or ""),
                ita=angle,
                colour=None if lab is None else lab_to_hex(lab),
                missing=missing.get(p.index) if kept else None,
            )
        )
    return shots


Fate = Literal["kept", "abstained", "discarded"]


def lab_to_hex(lab: Iterable[float]) -> str:
    """CIELAB (D65) -> ``#rrggbb``, clipped to the sRGB gamut."""
    from skimage.color import lab2rgb

    rgb = lab2rgb([[list(lab)]], illuminant="D65")[0][0]
    return "#" + "".join(f"{round(255 * min(max(float(v), 0.0), 1.0)):02x}" for v in rgb)
