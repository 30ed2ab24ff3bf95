"""Measures how dark each strength makes a model's pictures, and from which step on it may act."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

from fairgen.common.files import now
from fairgen.errors import UserError
from fairgen.models.contract import Model
from fairgen.steering.base import Steering
from fairgen.steering.calibration import Calibration, Dose, Start
from fairgen.steering.response import DoseResponse
from skin_tone.pool import ToneReader

if TYPE_CHECKING:
    from PIL import Image


STRENGTHS = (-1.2, -0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.9, 1.2)

PROMPTS = (
    "a portrait of a person",
    "a portrait of a librarian",
    "a portrait of a banker",
    "a portrait of a mechanic",
    "a portrait of a student",
    "a portrait of a gardener",
)

STARTS = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5)

_ENDS = (-0.9, 0.9)

_REACH = 0.97
"""Share of the full way from light to dark that a later start must still go."""

_FEWEST = 3
"""Readings that a strength needs to be used for the curve."""
_LOOKED_AT = 12
"""So many pictures without one reading end a calibration: the rest would show no face either."""


@dataclass(frozen=True)
class Plan:
    """How much is measured: prompts at every strength, seeds of each; ``starts`` at both ends."""

    prompts: tuple[str, ...] = PROMPTS
    seeds: int = 4
    starts: tuple[float, ...] = STARTS
    start_seeds: int = 2

    @property
    def pictures(self) -> int:
        """Pictures that are made in all."""
        scan = len(self.starts) * len(_ENDS) + 1 if len(self.starts) > 1 else 0
        return len(self.prompts) * (len(STRENGTHS) * self.seeds + scan * self.start_seeds)


SHORT = Plan(prompts=PROMPTS[:3], seeds=2, starts=(0.0, 0.05, 0.1, 0.2), start_seeds=1)
"""What a session does for a model that has none."""


def calibrate(
    generator: Model,
    reader: ToneReader,
    technique: str,
    *,
    plan: Plan | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    keep: Callable[[float, Image.Image], object] = lambda _strength, _picture: None,
) -> Generator[int, None, Calibration]:
    """Measure a model. Yields after each batch how many pictures it had; returns the calibration.

    Args:
        technique: "embedding" or "semantic". batch_size: 1-64; default: the generator's.
        keep: given each picture of the dose-response with its strength.

    Raises:
        UserError: the model cannot be steered this way, or too few of its pictures can be read.
    """
    from fairgen._version import __version__

    batch = generator.default_batch_size if batch_size is None else batch_size
    if not 1 <= batch <= 64:
        raise UserError(f"The batch size must be a whole number from 1 to 64, not {batch}.")
    measure = _Measurement(generator, reader, batch, seed)
    chosen = plan or Plan()
    if (each := len(chosen.prompts) * chosen.seeds) < _FEWEST:
        raise UserError(
            f"{each} {'picture' if each == 1 else 'pictures'} at each strength are too few, for a curve "
            f"needs {_FEWEST}: use more --seeds or --prompts."
        )
    starts = (yield from _scan(measure, technique, chosen)) if len(chosen.starts) > 1 else ()
    start = max((s.start for s in starts if s.reach >= _REACH), default=chosen.starts[0])
    rows = yield from measure(Steering(technique, start), chosen.prompts, STRENGTHS, chosen.seeds, keep)
    doses = tuple(
        _dose(strength, [row for row in rows if row.strength == strength]) for strength in STRENGTHS
    )
    usable = [d for d in doses if d.strength != 0 and d.read >= _FEWEST and d.ita is not None]
    spreads = [d.spread for d in usable if d.spread is not None]
    if len(usable) < 4 or not spreads:
        read = sum(d.read for d in doses)
        raise UserError(
            f"Only {read} of {len(rows)} calibration pictures of {generator.info.name!r} could be read, so "
            f"its dose-response is not known (each strength needs {_FEWEST}): use more --seeds or --prompts, "
            "more --steps, or --steering prompt."
        )
    pooled = float(np.mean(spreads))
    measured = [(d.strength, d.ita) for d in doses if d.ita is not None]
    info = generator.info
    return Calibration(
        model=info.short_name,
        pipeline=info.pipeline,
        weights=info.fingerprint,
        scheduler=info.scheduler,
        technique=technique,
        steps=info.steps,
        guidance_scale=info.guidance_scale,
        height=info.height,
        width=info.width,
        start=start,
        stop=1.0,
        curve=DoseResponse(
            strengths=tuple(d.strength for d in usable),
            ita=tuple(round(d.ita or 0.0, 2) for d in usable),
            # Few pictures stand behind each spread: half of it is taken from all of them.
            spread=tuple(round(max(1.0, (pooled + (d.spread or pooled)) / 2), 2) for d in usable),
        ),
        doses=doses,
        starts=starts,
        spearman=round(float(spearmanr(*zip(*measured, strict=True)).statistic), 4),
        prompts=chosen.prompts,
        seeds=chosen.seeds,
        fairgen=__version__,
        made_at=now(),
    )


@dataclass(frozen=True)
class _Row:
    strength: float
    prompt: str
    ita: float | None
    picture: Image.Image | None
    """Kept only where it is compared with its twin."""


@dataclass(frozen=True)
class _Measurement:
    generator: Model
    reader: ToneReader
    batch: int
    seed: int
    seen: list[bool] = field(default_factory=list)
    """Of every picture so far, whether a tone was read in it."""

    def __call__(
        self,
        steering: Steering,
        prompts: Sequence[str],
        strengths: Sequence[float],
        seeds: int,
        keep: Callable[[float, Image.Image], object] | None = None,
    ) -> Generator[int, None, list[_Row]]:
        from fairgen.steering.request import Request

        # The same seeds at every strength: the difference is the strength's alone.
        jobs = [
            Request(prompt, self.seed + 1000 * place + k, strength=strength)
            for strength in strengths
            for place, prompt in enumerate(prompts)
            for k in range(seeds)
        ]
        rows = []
        for begin in range(0, len(jobs), self.batch):
            batch = jobs[begin : begin + self.batch]
            for job, picture in zip(batch, self.generator.generate(batch, steering), strict=True):
                ita = self.reader.read(picture)[0].ita
                rows.append(_Row(job.strength, job.prompt, ita, picture if keep is None else None))
                self.seen.append(ita is not None)
                if keep is not None:
                    keep(job.strength, picture)
            yield len(batch)
            if len(self.seen) >= _LOOKED_AT and not any(self.seen):
                raise UserError(
                    f"No skin tone could be read in the first {len(self.seen)} calibration pictures of "
                    f"{self.generator.info.name!r}: look at what it makes, take more --steps, or use "
                    "--steering prompt."
                )
        return rows


def _dose(strength: float, rows: Sequence[_Row]) -> Dose:
    by_prompt: dict[str, list[float]] = {}
    for row in rows:
        if row.ita is not None:
            by_prompt.setdefault(row.prompt, []).append(row.ita)
    values = [value for group in by_prompt.values() for value in group]
    inside = [value - float(np.mean(group)) for group in by_prompt.values() for value in group]
    free = len(values) - len(by_prompt)
    return Dose(
        strength=strength,
        read=len(values),
        not_read=len(rows) - len(values),
        ita=round(float(np.mean(values)), 2) if values else None,
        spread=round(float(np.sqrt(np.sum(np.square(inside)) / free)), 2) if free > 0 else None,
    )


def _scan(measure: _Measurement, technique: str, plan: Plan) -> Generator[int, None, tuple[Start, ...]]:
    """How far each start still reaches, against the earliest."""
    from skin_tone.faces import FaceFinder

    plain = yield from measure(Steering(technique), plan.prompts, (0.0,), plan.start_seeds)
    ways, elsewhere = [], []
    with FaceFinder(1) as finder:
        faces = [finder.find(np.asarray(row.picture)) for row in plain]
        for start in plan.starts:
            rows = yield from measure(Steering(technique, start), plan.prompts, _ENDS, plan.start_seeds)
            ends = [[row.ita for row in rows if row.strength == end and row.ita is not None] for end in _ENDS]
            ways.append(float(np.mean(ends[0]) - np.mean(ends[1])) if all(ends) else 0.0)
            elsewhere.append(_elsewhere(rows, plain * len(_ENDS), faces * len(_ENDS)))
    return tuple(
        Start(start=start, reach=round(way / ways[0], 3) if ways[0] > 0 else 0.0, elsewhere=change)
        for start, way, change in zip(plan.starts, ways, elsewhere, strict=True)
    )


def _elsewhere(
    rows: Sequence[_Row], plain: Sequence[_Row], faces: Sequence[Sequence[object]]
) -> float | None:
    from fairgen.scoring.twins import elsewhere_difference
    from skin_tone.faces import Face

    changes = [
        elsewhere_difference(row.picture, twin.picture, found[0].landmarks)
        for row, twin, found in zip(rows, plain, faces, strict=True)
        if found and isinstance(found[0], Face) and row.picture and twin.picture
    ]
    return round(float(np.median(changes)), 3) if changes else None
