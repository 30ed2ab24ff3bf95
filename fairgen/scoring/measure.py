"""One session of a run -> its figures, and its pictures in a form small enough to keep thousands of them."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fairgen import stats
from fairgen.runs import PictureRecord, SessionRun
from fairgen.scoring.figures import SetFigures
from fairgen.stats.distances import Vector

REDRAWS = 2_000


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

    figures: SetFigures
    target: dict[str, float]
    inside: tuple[Shot, ...]
    """The final set, in the order of its places."""
    outside: tuple[Shot, ...]
    """Discarded or not read, in the order of generation."""
    redrawn: Vector | None
    """TV in each redraw of the labels; None where nothing was read."""


def measure(session: SessionRun, arm: str, *, tolerance: float) -> MeasuredSet:
    """Counts, distances and tests of one session (`fairgen.stats`), finished or not.

    Where the pictures are independent draws (unsteered) the tests are of the first pass, which is the set.
    """
    record, target = session.record, session.record.target
    final = session.final_set()
    first = [p for p in session.pictures if p.attempt == 0]
    measured, first_pass = _counts(record.classes, final), _counts(record.classes, first)
    n, n_first = sum(measured.values()), sum(first_pass.values())
    inside = tuple(_shots(final, session, kept=True))
    outside = tuple(_shots(session.left_out(), session, kept=False))
    unread = Counter(str(p.abstained) for p in session.pictures if p.abstained is not None)
    asked = [p for p in session.pictures if p.wanted is not None and p.measured is not None]
    redrawn = None
    if n:
        vectors = [p.readings[0]["probabilities"][record.scale] for p in final if p.measured is not None]
        # A seed of its own for each set: means over many sets need redraws that are independent.
        seed = zlib.crc32(record.session.encode())
        redrawn = stats.redrawn_tv(vectors, target, draws=REDRAWS, seed=seed)
    divergence = stats.kl(measured, target) if n else math.inf
    tested = n_first > 0 and not record.steered
    angles = [shot.ita for shot in inside if shot.ita is not None]
    figures = SetFigures(
        arm=arm,
        session=record.session,
        finished=session.finished,
        steered=record.steered,
        wanted=record.count,
        generated=len(session.pictures),
        counted=n,
        discarded=sum(p.measured is not None for p in session.pictures) - n,
        not_read=unread.total(),
        reasons=dict(unread),
        filled=sum(fill.measured is not None for fill in session.fills),
        asked=len(asked),
        hits=sum(p.measured == p.wanted for p in asked),
        measured=measured,
        first_pass=first_pass,
        first_pass_ranges=stats.simultaneous_intervals(first_pass) if n_first else {},
        tv=stats.total_variation(measured, target) if n else None,
        tv_read=None if redrawn is None else stats.central(redrawn, 0.95),
        first_pass_tv=stats.total_variation(first_pass, target) if n_first else None,
        chance_tv=stats.noise_floor(target, n) if n else None,
        alignment_error=stats.alignment_error(measured, target) if n else None,
        kl=divergence if math.isfinite(divergence) else None,
        p_differs=stats.multinomial_test(first_pass, target) if tested else None,
        p_meets=stats.equivalence_test(first_pass, target, tolerance) if tested else None,
        mean_ita=float(np.mean(angles)) if angles else None,
        notes=session.summary.notes if session.summary else record.notes,
    )
    return MeasuredSet(figures, target, inside, outside, redrawn)


def _counts(classes: Sequence[str], pictures: Sequence[PictureRecord]) -> dict[str, int]:
    counted = Counter(p.measured for p in pictures)
    return {name: counted[name] for name in classes}


def _shots(pictures: Sequence[PictureRecord], session: SessionRun, *, kept: bool) -> list[Shot]:
    missing = {fill.index: fill.missing for fill in session.fills}
    shots = []
    for p in pictures:
        reading: Mapping[str, Any] = p.readings[0] if p.readings and p.measured is not None else {}
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
                certainty=chances.get(p.measured),
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
