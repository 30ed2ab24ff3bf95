"""Says what a session keeps: a record for each picture, each fill, and the summary."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fairgen.errors import UserError
from fairgen.loop.controller import nearest_open, next_tone
from fairgen.loop.events import Filled, Finished, PictureDone, Replayed
from fairgen.loop.stores import Memory, place_file, with_file
from fairgen.runs import (
    RUN_FILE,
    Decision,
    FillRecord,
    PictureRecord,
    SessionRecord,
    pixels_hash,
    reading_document,
    session_names,
)
from fairgen.scoring.sets import summarise
from fairgen.steering.base import Steered

if TYPE_CHECKING:
    from PIL import Image

    from skin_tone import ToneReading

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Job:
    """One picture to make."""

    slot: int
    attempt: int
    seed: int
    round: int
    prompt: str
    steered: Steered | None


@dataclass(frozen=True)
class Made:
    """One picture that was made and read; without ``image``, one whose record and file are there already."""

    job: Job
    image: Image.Image | None
    readings: Sequence[ToneReading]
    measured: str | None
    abstained: str | None
    seconds: float


def session_name(out_dir: Path | None, name: str | None, default: str) -> str:
    """The session's id: the name, if it is free and fit for a folder, else the default, numbered. Raises
    `UserError`.
    """
    taken: set[str] = set()
    if out_dir is not None and (out_dir / RUN_FILE).is_file():
        taken = set(session_names(out_dir / RUN_FILE))
    if name is None:
        numbered = (default if number == 1 else f"{default}-{number}" for number in range(1, len(taken) + 2))
        return next(candidate for candidate in numbered if candidate not in taken)
    if not _NAME.fullmatch(name) or name in taken:
        raise UserError(
            f"The session name {name!r} is taken or not usable as a folder name: use letters, digits, '-', "
            "'_', '.'."
        )
    return name


class Recorder:
    """Keeps one session. Used in a ``with`` block.

    Pictures of the set lie at ``<session>/<slot>_<class>.png``, the others at
    ``<session>/discarded/<index>_<class or reason>.png``.

    Args:
        record: the session's header.
        store: where all of it goes.
    """

    def __init__(self, record: SessionRecord, store: Memory) -> None:
        self.record = record
        self.store = store
        self.pictures: list[PictureRecord] = []
        self.fills: list[FillRecord] = []
        self.notes: list[str] = []
        """Sentences for the summary, beside those of the session's header."""
        self.seconds = 0.0
        """Time spent on the session's pictures: sampling, reading and writing."""

    def __enter__(self) -> Self:
        self.store.open(self.record)
        return self

    def __exit__(self, *exc: object) -> None:
        self.store.__exit__(*exc)

    def replayed(self, job: Job) -> tuple[Made, bool] | None:
        """The picture for ``job`` if an earlier run recorded it, and whether its file is whole."""
        from skin_tone import ToneReading

        old = self.store.past.picture(job.slot, job.attempt) if self.store.past else None
        if old is None:
            return None
        readings = [ToneReading.model_validate(reading) for reading in old.readings]
        return Made(job, None, readings, old.measured, old.abstained, old.seconds), self.store.whole(old)

    def picture(self, made: Made, decision: Decision, done: int) -> PictureDone | Replayed:
        """Keep a picture.

        Args:
            decision: what becomes of it for now.
            done: places of the set that are filled by now.
        """
        clock = time.perf_counter()
        job, session = made.job, self.record
        fresh = PictureRecord(
            session=session.session,
            index=len(self.pictures),
            slot=job.slot,
            attempt=job.attempt,
            round=job.round,
            seed=job.seed,
            prompt=job.prompt,
            wanted=job.steered.wanted if job.steered else None,
            word=job.steered.word if job.steered else None,
            steering=dict(job.steered.detail) if job.steered else {},
            measured=made.measured,
            abstained=made.abstained,
            decision=decision,
            file=None,
            pixels=None if made.image is None else pixels_hash(made.image),
            seconds=made.seconds,
            readings=[reading_document(reading) for reading in made.readings],
        )
        kept = self.store.picture(with_file(fresh, steered=session.steered), made.image)
        self.pictures.append(kept.record)
        self.seconds += made.seconds + time.perf_counter() - clock
        if kept.replayed or made.image is None:
            return Replayed(kept.record, kept.path, done, session.count)
        return PictureDone(kept.record, made.image, kept.path, done, session.count)

    def fill(self, picture: PictureRecord, kept: Mapping[str, int]) -> Filled:
        """Put a picture that did not fit into its place after all. ``kept``: class -> pictures of the set
        before.
        """
        requested, measured = self.record.requested, picture.measured
        nearest = None if measured is None else nearest_open(requested, kept, measured)
        fill = FillRecord(
            session=self.record.session,
            index=picture.index,
            slot=picture.slot,
            missing=nearest or next_tone(requested, kept),
            measured=measured,
            file=place_file(picture),
        )
        fill, path = self.store.fill(fill, picture)
        self.fills.append(fill)
        return Filled(fill, path)

    def finish(self) -> Finished:
        """Sum up and close the session."""
        summary = summarise(
            self.record, self.pictures, self.fills, seconds=self.seconds, out=self.store.out, notes=self.notes
        )
        return Finished(self.store.finish(summary))
