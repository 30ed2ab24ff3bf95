"""Runs one set, or several that share batches, round by round: sample -> read -> hand back.

A picture's last bits depend on the batch that it is sampled in. So what shares a batch follows from the
rounds alone, and a batch of which an interrupted run recorded only a part is sampled again as a whole:
its recorded pictures stay what they are, and the rest comes out as it would have.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from fairgen.loop.events import Event, Started
from fairgen.loop.recorder import Job, Made, Recorder
from fairgen.loop.rounds import Rounds
from fairgen.models.contract import FLAGGED, Model
from fairgen.scoring.sets import SAFETY_CHECKER
from fairgen.steering import Steering, Technique
from fairgen.steering.request import Request
from skin_tone.pool import ToneReader

if TYPE_CHECKING:
    from PIL import Image

    from skin_tone import ToneReading


Readings = Sequence[Sequence["ToneReading"]]


@dataclass(frozen=True)
class Sampled:
    """A batch that was made."""

    images: Sequence[Image.Image]
    readings: Readings
    """Of the pictures that were to be read, in their order."""
    seconds: float
    """Spent on each picture, sampling and reading."""


class BatchMaker(Protocol):
    """Where batches are sampled and read: here, or on a worker."""

    @property
    def ahead(self) -> int:
        """Batches of a round, at least 1, that are started before the first of them is waited for."""

    def start(
        self, requests: Sequence[Request], steering: Steering | None, unread: Sequence[int]
    ) -> Callable[[], Sampled]:
        """Begin a batch, and return what waits for it. ``unread``: places of the pictures to be read."""


@dataclass(frozen=True)
class Here:
    """Makes batches in this process. A reader that reads in the background has its time while the next batch
    is sampled.
    """

    model: Model
    reader: ToneReader

    @property
    def ahead(self) -> int:
        return 2 if getattr(self.reader, "background", False) else 1

    def start(
        self, requests: Sequence[Request], steering: Steering | None, unread: Sequence[int]
    ) -> Callable[[], Sampled]:
        """Sample a batch; its readings are what is waited for."""
        clock = time.perf_counter()
        images = self.model.generate(requests, steering)
        sampling = (time.perf_counter() - clock) / len(requests)
        to_read = [images[place] for place in unread]
        start = getattr(self.reader, "start", None)
        readings: Callable[[], Readings] = (
            start(to_read) if start else lambda: [self.reader.read(image) for image in to_read]
        )

        def wait() -> Sampled:
            clock = time.perf_counter()
            found = readings()
            reading = (time.perf_counter() - clock) / max(len(found), 1)
            return Sampled(images, found, sampling + reading)

        return wait


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


def run_together(sets: Sequence[RunningSet], maker: BatchMaker, batch_size: int) -> Iterator[Event]:
    """Run sets to their ends, their rounds side by side in batches of at most ``batch_size``.

    The recorders must be entered already; each set's events come in its own order.

    Raises:
        UserError: the disk is full, or what an interrupted run recorded does not fit.
    """
    for one in sets:
        yield Started(one.recorder.record)
    while running := [one for one in sets if not one.closed]:
        asked = [(one, job) for one in running for job in one.rounds.ask()]
        for one, made in _in_order(_batches(asked, batch_size), maker):
            yield from one.rounds.record(made)
        for one in running:
            one.recorder.store.sync()
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


def _in_order(
    batches: Iterator[list[tuple[RunningSet, Job]]], maker: BatchMaker
) -> Iterator[tuple[RunningSet, Made]]:
    """The pictures of a round, in the order of its batches."""
    started: deque[Callable[[], Iterator[tuple[RunningSet, Made]]]] = deque()
    for batch in batches:
        try:
            started.append(_started(batch, maker))
        except KeyboardInterrupt:
            while started:
                yield from started.popleft()()
            raise
        if len(started) >= maker.ahead:
            yield from started.popleft()()
    while started:
        yield from started.popleft()()


def _started(
    batch: Sequence[tuple[RunningSet, Job]], maker: BatchMaker
) -> Callable[[], Iterator[tuple[RunningSet, Made]]]:
    """Begin a batch, unless an earlier run recorded all of it; what is returned waits for its pictures."""
    recorded = [one.recorder.replayed(job) for one, job in batch]
    known = [found[0] for found in recorded if found is not None and found[1]]
    if len(known) == len(batch):
        return lambda: zip([one for one, _ in batch], known, strict=True)
    requests = [
        Request(job.prompt, job.seed, strength=job.steered.strength if job.steered else 0.0)
        for _, job in batch
    ]
    unread = [place for place, found in enumerate(recorded) if found is None]
    wait = maker.start(requests, batch[0][0].steering, unread)
    return lambda: _made(batch, recorded, wait())


def _made(
    batch: Sequence[tuple[RunningSet, Job]], recorded: Sequence[tuple[Made, bool] | None], sampled: Sampled
) -> Iterator[tuple[RunningSet, Made]]:
    all_readings = iter(sampled.readings)
    for (one, job), image, found in zip(batch, sampled.images, recorded, strict=True):
        if found is None:
            readings = next(all_readings)
            reason = SAFETY_CHECKER if image.info.get(FLAGGED) else readings[0].abstained
            measured = None if reason else readings[0].classes[one.recorder.record.scale]
            yield one, Made(job, image, readings, measured, reason, sampled.seconds)
        else:
            made, whole = found
            # Sampled again for its neighbours' sake: kept only where its own file is lost.
            yield one, made if whole else replace(made, image=image)
