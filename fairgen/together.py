"""Runs one set, or several that share batches, round by round: sample -> read -> hand back.

A picture's last bits hang on the batch that it is sampled in. So what shares a batch follows from the rounds
alone, and a batch of which an interrupted run recorded only a part is sampled again as a whole: its recorded
pictures stay what they are, and the rest comes out as it would have.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
    """What a session needs of a reader; `skin_tone.SkinToneReader` is one. One that also has ``read_all``
    (see `fairgen.reading.ReaderPool`) is given whole batches.
    """

    def read(self, image: Image.Image) -> Sequence[ToneReading]: ...


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

    The recorders must be entered already; each set's events come in its own order.

    Raises:
        UserError: the disk is full, or what an interrupted run recorded does not fit.
    """
    for one in sets:
        yield Started(one.recorder.record)
    while running := [one for one in sets if not one.closed]:
        asked = [(one, job) for one in running for job in one.rounds.ask()]
        for batch in _batches(asked, batch_size):
            for one, made in _made(batch, sampler, reader):
                yield from one.rounds.record(made)
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


def _made(
    batch: Sequence[tuple[RunningSet, Job]], sampler: Sampler, reader: ToneReader
) -> Iterator[tuple[RunningSet, Made]]:
    recorded = [one.recorder.replayed(job) for one, job in batch]
    known = [found[0] for found in recorded if found is not None and found[1]]
    if len(known) == len(batch):
        yield from zip([one for one, _ in batch], known, strict=True)
        return
    clock = time.perf_counter()
    requests = [
        Request(job.prompt, job.seed, strength=job.steered.strength if job.steered else 0.0)
        for _, job in batch
    ]
    images = sampler.generate(requests, batch[0][0].steering)
    unread = [image for image, found in zip(images, recorded, strict=True) if found is None]
    readings = iter(_read(reader, unread))
    share = (time.perf_counter() - clock) / max(len(unread), 1)
    for (one, job), image, found in zip(batch, images, recorded, strict=True):
        if found is None:
            yield one, _concluded(one, job, image, next(readings), share)
        else:
            made, whole = found
            # Sampled again for its neighbours' sake: kept only where its own file is lost.
            yield (
                one,
                made
                if whole
                else Made(job, image, made.readings, made.measured, made.abstained, made.seconds),
            )


def _read(reader: ToneReader, images: Sequence[Image.Image]) -> Sequence[Sequence[ToneReading]]:
    many = getattr(reader, "read_all", None)
    return many(images) if many is not None else [reader.read(image) for image in images]


def _concluded(
    one: RunningSet, job: Job, image: Image.Image, readings: Sequence[ToneReading], seconds: float
) -> Made:
    largest = readings[0]
    reason = SAFETY_CHECKER if image.info.get(FLAGGED) else largest.abstained
    measured = None if reason else largest.classes[one.recorder.record.scale]
    return Made(job, image, readings, measured, reason, seconds)
