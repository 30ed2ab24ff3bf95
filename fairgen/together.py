"""Runs one set, or several that share batches, round by round: sample -> read -> hand back.

A picture's last bits hang on the batch that it is sampled in. So what shares a batch follows from the rounds
alone, and a batch of which an interrupted run recorded only a part is sampled again as a whole: its recorded
pictures stay what they are, and the rest comes out as it would have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from fairgen.events import Event, Started
from fairgen.generator import FLAGGED, Request
from fairgen.recorder import Job, Made, Recorder
from fairgen.rounds import Rounds
from fairgen.steering import Steering, Technique
from fairgen.summary import SAFETY_CHECKER

if TYPE_CHECKING:
    from PIL import Image

    from skin_tone import ToneReading


class Sampler(Protocol):
    """What sampling needs of a generator."""

    def generate(
        self, requests: Sequence[Request], steering: Steering | None = None
    ) -> list[Image.Image]: ...


class ToneReader(Protocol):
    """What a session needs of a reader; `skin_tone.SkinToneReader` is one. One that can also `start` a batch
    (`fairgen.reading.ReaderPool`) is given whole batches, and reads them as it sees fit.
    """

    def read(self, image: Image.Image) -> Sequence[ToneReading]: ...


Readings = Sequence[Sequence["ToneReading"]]


@dataclass
class RunningSet:
    """One set in the making: its rounds, where they are kept, and how they are steered."""

    rounds: Rounds
    recorder: Recorder
    technique: Technique | None
    closed: bool = field(default=False, init=False)

    @property
    def steering(self) -> Steering | None:
        return self.technique.steering if self.technique else None


def run_together(
    sets: Sequence[RunningSet], sampler: Sampler, reader: ToneReader, batch_size: int
) -> Iterator[Event]:
    """Run sets to their ends, their rounds side by side in batches of at most ``batch_size``.

    The recorders must be entered already; each set's events come in its own order. The batches of a round
    need nothing of each other, so a reader that reads in the background has its time while the next one is
    sampled.

    Raises:
        UserError: the disk is full, or what an interrupted run recorded does not fit.
    """
    ahead = bool(getattr(reader, "background", False))
    for one in sets:
        yield Started(one.recorder.record)
    while running := [one for one in sets if not one.closed]:
        asked = [(one, job) for one in running for job in one.rounds.ask()]
        waiting: _Batch | None = None
        for jobs in _batches(asked, batch_size):
            try:
                sampled = _sampled(jobs, sampler, reader)
            except KeyboardInterrupt:
                if waiting is not None:
                    yield from _recorded(waiting)
                raise
            ready, waiting = (waiting, sampled) if ahead else (sampled, None)
            if ready is not None:
                yield from _recorded(ready)
        if waiting is not None:
            yield from _recorded(waiting)
        for one in running:
            one.recorder.sync()
            if one.rounds.done:
                one.closed = True
                yield one.recorder.finish()


def _batches(asked: Sequence[tuple[RunningSet, Job]], size: int) -> Iterator[list[tuple[RunningSet, Job]]]:
    """What is sampled at once: jobs that are steered in the same way, in their order."""
    by_steering: dict[Steering | None, list[tuple[RunningSet, Job]]] = {}
    for one, job in asked:
        by_steering.setdefault(one.steering, []).append((one, job))
    for jobs in by_steering.values():
        for start in range(0, len(jobs), size):
            yield jobs[start : start + size]


@dataclass
class _Batch:
    """One batch that was sampled, or replayed, and is being read."""

    jobs: Sequence[tuple[RunningSet, Job]]
    images: Sequence[Image.Image | None]
    recorded: Sequence[tuple[Made, bool] | None]
    readings: Callable[[], Readings]
    seconds: float
    """Spent on sampling each picture."""


def _sampled(jobs: Sequence[tuple[RunningSet, Job]], sampler: Sampler, reader: ToneReader) -> _Batch:
    recorded = [one.recorder.replayed(job) for one, job in jobs]
    if all(found is not None and found[1] for found in recorded):
        return _Batch(jobs, [None] * len(jobs), recorded, lambda: (), 0.0)
    clock = time.perf_counter()
    requests = [
        Request(job.prompt, job.seed, strength=job.steered.strength if job.steered else 0.0)
        for _, job in jobs
    ]
    images = sampler.generate(requests, jobs[0][0].steering)
    seconds = (time.perf_counter() - clock) / len(jobs)
    unread = [image for image, found in zip(images, recorded, strict=True) if found is None]
    start = getattr(reader, "start", None)
    readings = start(unread) if start else partial(_read_all, reader, unread)
    return _Batch(jobs, images, recorded, readings, seconds)


def _read_all(reader: ToneReader, images: Sequence[Image.Image]) -> Readings:
    return [reader.read(image) for image in images]


def _recorded(batch: _Batch) -> Iterator[Event]:
    """Wait for the readings, and hand each picture back to its set."""
    clock = time.perf_counter()
    found = batch.readings()
    seconds = batch.seconds + (time.perf_counter() - clock) / max(len(found), 1)
    readings = iter(found)
    for (one, job), image, old in zip(batch.jobs, batch.images, batch.recorded, strict=True):
        if old is None and image is not None:
            made = _concluded(one, job, image, next(readings), seconds)
        elif old is not None:
            made, whole = old
            if not whole:
                # Its neighbours were sampled for its sake, or it for theirs: kept where its file is lost.
                made = replace(made, image=image)
        else:
            raise RuntimeError("a picture was neither sampled nor recorded")
        yield from one.rounds.record(made)


def _concluded(
    one: RunningSet, job: Job, image: Image.Image, readings: Sequence[ToneReading], seconds: float
) -> Made:
    largest = readings[0]
    reason = SAFETY_CHECKER if image.info.get(FLAGGED) else largest.abstained
    measured = None if reason else largest.classes[one.recorder.record.scale]
    return Made(job, image, readings, measured, reason, seconds)
