"""Measures how dark each strength makes a model's pictures, and from which step on it may act."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fairgen._version import __version__
from fairgen.common.checks import between
from fairgen.common.files import now
from fairgen.errors import UserError
from fairgen.models.contract import Model
from fairgen.steering.base import Steering
from fairgen.steering.calibration import WORDS_MARGIN, Calibration, Dose, Start, Trial
from fairgen.steering.conditioning import ANCHORS
from fairgen.steering.prompt_variants import with_word
from fairgen.steering.reach import reach
from fairgen.steering.registry import continuous
from fairgen.steering.request import Request
from fairgen.steering.response import LIMIT, DoseResponse
from fairgen.steering.wordings import WORDINGS, Anchors
from skin_tone.pool import ToneReader
from skin_tone.scales import SCALES

if TYPE_CHECKING:
    from PIL import Image

    from skin_tone.faces import Face


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
_SCALE = "ita6"
"""A model that reaches every class of this scale follows the usual words well enough."""
_FURTHER = 1.15
"""Another path of tones is taken where its way is so many times as long as the usual one's."""
_WORDED = (-1.2, -0.6, 0.6, 1.2)
"""Strengths that are measured with words in the prompt too."""
_LOOKED_AT = 12
"""So many pictures without one reading end a calibration: the rest would show no face either."""


@dataclass(frozen=True)
class Plan:
    """How much is measured: prompts at every strength, seeds of each; ``starts`` at both ends. A model that
    follows the usual words poorly needs `more` pictures.
    """

    prompts: tuple[str, ...] = PROMPTS
    seeds: int = 4
    starts: tuple[float, ...] = STARTS
    start_seeds: int = 2

    @property
    def pictures(self) -> int:
        """Pictures that are made in all."""
        scan = len(self.starts) * len(_ENDS) + 1 if len(self.starts) > 1 else 0
        return len(self.prompts) * (len(STRENGTHS) * self.seeds + scan * self.start_seeds)

    @property
    def more(self) -> int:
        """Pictures at most beside these, where other words are tried."""
        tried = len(WORDINGS) * len(_ENDS) * self.start_seeds
        return len(self.prompts) * (tried + len(_WORDED) * self.seeds)


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

    If the usual path of tones does not reach every class of "ita6", a few others are tried
    (`fairgen.steering.wordings`), and then whether words in the prompt as well reach further.

    Args:
        technique: "embedding" or "semantic". batch_size: 1-64; default: the generator's.
        keep: given each picture of the dose-response with its strength.

    Raises:
        UserError: the model cannot be steered this way, or too few of its pictures can be read.
    """
    batch = between("batch size", generator.default_batch_size if batch_size is None else batch_size, 1, 64)
    # Refused before anything is sampled: with a model behind an API each picture may cost money.
    generator.check_techniques([technique] if technique in continuous() else continuous())
    measure = _Measurement(generator, reader, batch, seed)
    chosen = plan or Plan()
    if (each := len(chosen.prompts) * chosen.seeds) < _FEWEST:
        raise UserError(
            f"{each} {'picture is' if each == 1 else 'pictures are'} too few at each strength, for a curve "
            f"needs {_FEWEST}: use more --seeds or --prompts."
        )
    starts: tuple[Start, ...] = ()
    trials: tuple[Trial, ...] = ()
    if len(chosen.starts) > 1:
        starts, usual = yield from _scan(measure, technique, chosen)
        trials = yield from _trials(measure, technique, chosen, usual)
    start = max((s.start for s in starts if s.reach >= _REACH), default=chosen.starts[0])
    anchors = _furthest(trials)
    if anchors is not None:  # when these may start was not measured
        start = chosen.starts[0]
    steering = Steering(technique, start, anchors=anchors)
    rows = yield from measure(steering, chosen.prompts, STRENGTHS, chosen.seeds, keep)
    doses = tuple(_dose(strength, rows) for strength in STRENGTHS)
    curve = _curve(doses)
    if curve is None:
        read = sum(d.read for d in doses)
        raise UserError(
            f"Only {read} of {len(rows)} calibration pictures of {generator.info.name!r} could be read, so "
            f"its dose-response is not known (each strength needs {_FEWEST}): use more --seeds or --prompts, "
            "more --steps, or --steering prompt."
        )
    worded = yield from _worded(measure, steering, chosen, curve)
    from scipy.stats import spearmanr  # slow, and most commands come without it

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
        curve=curve,
        doses=doses,
        starts=starts,
        spearman=round(float(spearmanr(*zip(*measured, strict=True)).statistic), 4),
        prompts=chosen.prompts,
        seeds=chosen.seeds,
        fairgen=__version__,
        made_at=now(),
        anchors=anchors,
        trials=trials,
        worded=worded,
    )


def _curve(doses: Sequence[Dose], fewest: int = 4) -> DoseResponse | None:
    """The dose-response; None where fewer strengths than ``fewest`` were read often enough."""
    usable = [d for d in doses if d.strength != 0 and d.read >= _FEWEST and d.ita is not None]
    spreads = [d.spread for d in usable if d.spread is not None]
    if len(usable) < fewest or not spreads:
        return None
    pooled = float(np.mean(spreads))
    return DoseResponse(
        strengths=tuple(d.strength for d in usable),
        ita=tuple(round(d.ita or 0.0, 2) for d in usable),
        # Few pictures stand behind each spread: half of it is taken from all of them.
        spread=tuple(round(max(1.0, (pooled + (d.spread or pooled)) / 2), 2) for d in usable),
    )


def _trials(
    measure: _Measurement, technique: str, plan: Plan, usual: Trial
) -> Generator[int, None, tuple[Trial, ...]]:
    """How far other paths of tones go, where the usual one does not reach the ends of the scale."""
    if _reaches_the_ends(usual):
        return ()
    tried = [usual]
    for name, anchors in WORDINGS.items():
        try:
            measure.generator.check_prompts([with_word(p, word) for p in plan.prompts for _, word in anchors])
        except UserError:
            continue  # it would be cut off
        steering = Steering(technique, plan.starts[0], anchors=anchors)
        rows = yield from measure(steering, plan.prompts, _ENDS, plan.start_seeds)
        tried.append(_trial(name, anchors, rows))
    return tuple(tried)


def _reaches_the_ends(usual: Trial) -> bool:
    """Whether the largest strength, extrapolated from the measured ends, gives the scale's end classes."""
    if usual.light is None or usual.dark is None:
        return False
    middle, half = (usual.light + usual.dark) / 2, usual.way / 2 * LIMIT / _ENDS[1]
    borders = SCALES[_SCALE].borders
    return middle + half > borders[0] and middle - half <= borders[-1]


def _trial(name: str, anchors: Anchors, rows: Sequence[_Row]) -> Trial:
    light, dark = (_dose(end, rows).ita for end in _ENDS)
    return Trial(name=name, anchors=anchors, light=light, dark=dark)


def _furthest(trials: Sequence[Trial]) -> Anchors | None:
    """The path that goes clearly further than the usual one, which is the first; None: that one stays."""
    best = max(trials, key=lambda trial: trial.way, default=None)
    if best is None or best is trials[0] or best.way <= _FURTHER * max(trials[0].way, 5.0):
        return None
    return best.anchors


def _worded(
    measure: _Measurement, steering: Steering, plan: Plan, curve: DoseResponse
) -> Generator[int, None, DoseResponse | None]:
    """The dose-response with the words of the path's end in the prompt, where that reaches further."""
    alone = reach(curve, _SCALE)
    if all(one.reached for one in alone):
        return None
    path = steering.anchors or ANCHORS
    words = {strength: path[0 if strength < 0 else -1][1] for strength in _WORDED}
    try:
        ends = [with_word(prompt, word) for prompt in plan.prompts for word in set(words.values())]
        measure.generator.check_prompts([with_word(end, word) for end in ends for _, word in path])
    except UserError:
        return None
    rows = yield from measure(steering, plan.prompts, _WORDED, plan.seeds, words=words)
    made = _curve([_dose(strength, rows) for strength in _WORDED], fewest=2)
    if made is None:
        return None
    both = zip(alone, reach(made, _SCALE), strict=True)
    further = any(b.chance > a.chance + WORDS_MARGIN for a, b in both if not a.reached)
    return made if further else None


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
        words: Mapping[float, str] | None = None,
    ) -> Generator[int, None, list[_Row]]:
        # The same seeds at every strength: the difference is the strength's alone.
        jobs = [
            (
                prompt,
                Request(with_word(prompt, words[strength]) if words else prompt, seed, strength=strength),
            )
            for strength in strengths
            for place, prompt in enumerate(prompts)
            for seed in range(self.seed + 1000 * place, self.seed + 1000 * place + seeds)
        ]
        rows = []
        for begin in range(0, len(jobs), self.batch):
            batch = jobs[begin : begin + self.batch]
            made = self.generator.generate([job for _, job in batch], steering)
            for (prompt, job), picture in zip(batch, made, strict=True):
                ita = self.reader.read(picture)[0].ita
                rows.append(_Row(job.strength, prompt, ita, picture if keep is None else None))
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
    """What the rows of one strength show."""
    rows = [row for row in rows if row.strength == strength]
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


def _scan(
    measure: _Measurement, technique: str, plan: Plan
) -> Generator[int, None, tuple[tuple[Start, ...], Trial]]:
    """How far each start still reaches, against the earliest; and both ends with that one."""
    from skin_tone.faces import FaceFinder

    plain = yield from measure(Steering(technique), plan.prompts, (0.0,), plan.start_seeds)
    ways, elsewhere = [], []
    with FaceFinder(1) as finder:
        faces = [finder.find(np.asarray(row.picture)) for row in plain]
        for start in plan.starts:
            rows = yield from measure(Steering(technique, start), plan.prompts, _ENDS, plan.start_seeds)
            if start == plan.starts[0]:
                usual = _trial("usual", ANCHORS, rows)
            ends = [[row.ita for row in rows if row.strength == end and row.ita is not None] for end in _ENDS]
            ways.append(float(np.mean(ends[0]) - np.mean(ends[1])) if all(ends) else 0.0)
            elsewhere.append(_elsewhere(rows, plain * len(_ENDS), faces * len(_ENDS)))
    found = tuple(
        Start(start=start, reach=round(way / ways[0], 3) if ways[0] > 0 else 0.0, elsewhere=change)
        for start, way, change in zip(plan.starts, ways, elsewhere, strict=True)
    )
    return found, usual


def _elsewhere(rows: Sequence[_Row], plain: Sequence[_Row], faces: Sequence[Sequence[Face]]) -> float | None:
    from fairgen.scoring.twins import elsewhere_difference

    changes = [
        elsewhere_difference(row.picture, twin.picture, found[0].landmarks)
        for row, twin, found in zip(rows, plain, faces, strict=True)
        if found and row.picture and twin.picture
    ]
    return round(float(np.median(changes)), 3) if changes else None
