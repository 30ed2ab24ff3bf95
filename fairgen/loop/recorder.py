"""Keeps what a session makes: pictures in its folder, records in the run file, the same in memory."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fairgen._version import __version__
from fairgen.common.files import disk_errors, now, replacing
from fairgen.errors import UserError
from fairgen.loop.controller import nearest_open, next_tone
from fairgen.loop.events import Filled, Finished, PictureDone, Replayed
from fairgen.provenance.block import Provenance, digest
from fairgen.provenance.png import write_png
from fairgen.runs import (
    RUN_FILE,
    Decision,
    FillRecord,
    Past,
    PictureRecord,
    RecordWriter,
    RunWriter,
    SessionRecord,
    Summary,
    file_is_whole,
    pixels_hash,
    require_same,
    session_names,
)
from fairgen.scoring.sets import summarise
from fairgen.steering import Steered

if TYPE_CHECKING:
    from PIL import Image

    from fairgen.provenance.signing import PictureSigner
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
    """Writes one session. Used in a ``with`` block; without a folder it only keeps the records.

    Pictures of the set lie at ``<session>/<slot>_<class>.png``, the others at
    ``<session>/discarded/<index>_<class or reason>.png``. A picture is written before its record, so a record
    without its picture means that the machine stopped before the disk had caught up.

    Args:
        signer: signs the pictures; it is the one that the session's record names.
        writer: an open run file that several sessions share; default: one for this session alone.
        past: what an interrupted run left of the session; that is checked against, and not written again.
    """

    def __init__(
        self,
        record: SessionRecord,
        out_dir: Path | None,
        signer: PictureSigner | None = None,
        *,
        writer: RecordWriter | None = None,
        past: Past | None = None,
    ) -> None:
        self.record = record
        self.out_dir = out_dir
        self.signer = signer
        self.past = past
        self.pictures: list[PictureRecord] = []
        self.fills: list[FillRecord] = []
        self.notes: list[str] = []
        """Sentences for the summary, beside those of the session's header."""
        self.seconds = 0.0
        """Time spent on the session's pictures: sampling, reading and writing."""
        self._weights = digest(record.model.weights)
        self._writer = writer
        self._own_writer: RunWriter | None = None
        self._unsynced: list[Path] = []

    def __enter__(self) -> Self:
        if self._writer is None and self.out_dir is not None:
            self._writer = self._own_writer = RunWriter(self.out_dir, fairgen_version=__version__)
        if self.past is None:
            self._write(self.record)
            self.sync()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._own_writer is not None:
            self._own_writer.close()

    def sync(self) -> None:
        """Force what was recorded to the disk."""
        if self._writer is not None:
            self._writer.sync()

    def _write(self, record: SessionRecord | PictureRecord | FillRecord | Summary) -> None:
        if self._writer is not None:
            self._writer.write(record)

    def replayed(self, job: Job) -> tuple[Made, bool] | None:
        """The picture for ``job`` if an earlier run recorded it, and whether its file is whole."""
        from skin_tone import ToneReading

        old = self.past.picture(job.slot, job.attempt) if self.past else None
        if old is None or self.past is None:
            return None
        readings = [ToneReading.model_validate(reading) for reading in old.readings]
        made = Made(job, None, readings, old.measured, old.abstained, old.seconds)
        return made, self.out_dir is None or self.past.where(old) is not None

    def picture(self, made: Made, decision: Decision, done: int) -> PictureDone | Replayed:
        """Write a picture, then its record. ``done``: places of the set that are filled by now."""
        clock = time.perf_counter()
        job, record = made.job, self.record
        index = len(self.pictures)
        wanted = job.steered.wanted if job.steered else None
        file = f"{record.session}/discarded/{index:04d}_{made.measured or made.abstained}.png"
        if decision == "kept" or not record.steered:
            file = self._place(job.slot, made.measured, made.abstained)
        picture = PictureRecord(
            session=record.session,
            index=index,
            slot=job.slot,
            attempt=job.attempt,
            round=job.round,
            seed=job.seed,
            prompt=job.prompt,
            wanted=wanted,
            word=job.steered.word if job.steered else None,
            steering=dict(job.steered.detail) if job.steered else {},
            measured=made.measured,
            abstained=made.abstained,
            decision=decision,
            file=None if self.out_dir is None else file,
            pixels=None if made.image is None else pixels_hash(made.image),
            seconds=made.seconds,
            readings=[reading.model_dump(mode="json") for reading in made.readings],
        )
        old = self.past.at(index) if self.past else None
        if old is not None:
            self._require_same_picture(picture, old)
            picture = old
        path = None if self.out_dir is None else self.out_dir / file
        if path is not None and made.image is not None:
            write_png(made.image, path, self._provenance(job, wanted), self.signer)
            self._unsynced.append(path)
        self.pictures.append(picture)
        if old is None:
            self._write(picture)
        self.seconds += made.seconds + time.perf_counter() - clock
        if old is not None or made.image is None:
            return Replayed(picture, path, done, record.count)
        return PictureDone(picture, made.image, path, done, record.count)

    def _require_same_picture(self, fresh: PictureRecord, old: PictureRecord) -> None:
        what = f"Picture {old.index} of session {old.session}"
        require_same(fresh, old, what)
        if None not in (fresh.pixels, old.pixels) and fresh.pixels != old.pixels:
            raise UserError(
                f"{what} lost its file and was sampled again, but came out otherwise: this machine does not "
                "compute as the one that began the run. Go on there, or begin a new run."
            )

    def fill(self, picture: PictureRecord, kept: Mapping[str, int]) -> Filled:
        """Put a picture that did not fit into its slot after all.

        ``kept``: class -> pictures of the set before. The file is copied, the record written, and only then
        the file left behind removed, so that a stop in between loses nothing.
        """
        requested = self.record.requested
        nearest = None
        if picture.measured is not None:
            nearest = nearest_open(requested, kept, picture.measured)
        place = self._place(picture.slot, picture.measured, picture.abstained)
        moved = self.out_dir is not None and picture.file is not None
        fill = FillRecord(
            session=self.record.session,
            index=picture.index,
            slot=picture.slot,
            missing=nearest or next_tone(requested, kept),
            measured=picture.measured,
            file=place if moved else None,
        )
        old = new = None
        if self.out_dir is not None and picture.file is not None:
            old, new = self.out_dir / picture.file, self.out_dir / place
            recorded = self.past is not None and self.past.fill(picture.index) is not None
            if not recorded or not file_is_whole(new, picture.pixels):
                _copy(old, new)
                self._unsynced.append(new)
        self.fills.append(fill)
        past = self.past.fill(picture.index) if self.past else None
        if past is None:
            self._write(fill)
        else:
            require_same(fill, past, f"The fill of slot {past.slot} of session {past.session}")
        if old is not None:
            old.unlink(missing_ok=True)
        return Filled(fill, new)

    def finish(self, seconds: float | None = None) -> Finished:
        """Sum up and close the session. ``seconds``: its time; default: that spent on its pictures."""
        out = None if self.out_dir is None else str(self.out_dir)
        spent = self.seconds if seconds is None else seconds
        summary = summarise(self.record, self.pictures, self.fills, seconds=spent, out=out, notes=self.notes)
        old = self.past.run.summary if self.past else None
        self._sync_pictures()
        if old is None:
            self._write(summary)
        self.sync()
        return Finished(old or summary)

    def _sync_pictures(self) -> None:
        """Force the session's pictures to the disk, so that a finished session has lost none."""
        for path in self._unsynced:
            # A filled slot's picture has moved, and its copy is in the list too.
            if path.exists():
                with disk_errors(path), path.open("rb") as file:
                    os.fsync(file.fileno())
        self._unsynced.clear()

    def _place(self, slot: int, measured: str | None, abstained: str | None) -> str:
        return f"{self.record.session}/{slot:03d}_{measured or abstained}.png"

    def _provenance(self, job: Job, wanted: str | None) -> Provenance:
        record = self.record
        return Provenance(
            fairgen=__version__,
            created_at=now(),
            # A picture travels further than the run folder: the path of a user's folder stays out of it.
            model=Path(record.model.name).name if record.model.source == "folder" else record.model.name,
            weights=self._weights,
            pipeline=record.model.pipeline,
            seed=job.seed,
            prompt=job.prompt,
            steps=record.model.steps,
            guidance_scale=record.model.guidance_scale,
            spec=str(record.spec["name"]),
            spec_hash=record.spec_hash,
            steering=record.steering if record.steered else "none",
            wanted=wanted,
            session=record.session,
            versions=record.model.versions,
        )


def _copy(old: Path, new: Path) -> None:
    with disk_errors(new), replacing(new) as made:
        shutil.copyfile(old, made)
