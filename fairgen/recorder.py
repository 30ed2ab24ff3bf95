"""Keeps what a session makes: pictures in its folder, records in the run file, the same in memory."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import fairgen
from fairgen import plan
from fairgen.errors import UserError
from fairgen.events import Filled, Finished, PictureDone
from fairgen.provenance import Provenance, digest, write_png
from fairgen.runfile import (
    RUN_FILE,
    Decision,
    FillRecord,
    PictureRecord,
    RunWriter,
    SessionRecord,
    Summary,
    disk_errors,
    now,
    read_run,
)
from fairgen.steering import Steered
from fairgen.summary import summarise

if TYPE_CHECKING:
    from PIL import Image

    from fairgen.contentcredentials import PictureSigner
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
    """One picture that was made and read."""

    job: Job
    image: Image.Image
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
        taken = set(read_run(out_dir).sessions)
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

    ``signer`` signs the pictures; it is the one that the session's record names.

    Pictures of the set lie at ``<session>/<slot>_<class>.png``, the others at
    ``<session>/discarded/<index>_<class or reason>.png``.
    """

    def __init__(
        self, record: SessionRecord, out_dir: Path | None, signer: PictureSigner | None = None
    ) -> None:
        self.record = record
        self.out_dir = out_dir
        self.signer = signer
        self.pictures: list[PictureRecord] = []
        self.fills: list[FillRecord] = []
        self._weights = digest(record.model.weights)
        self._writer: RunWriter | None = None

    def __enter__(self) -> Self:
        if self.out_dir is not None:
            self._writer = RunWriter(self.out_dir, fairgen_version=fairgen.__version__)
        self._write(self.record)
        self.sync()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def sync(self) -> None:
        """Force what was recorded to the disk."""
        if self._writer is not None:
            self._writer.sync()

    def _write(self, record: SessionRecord | PictureRecord | FillRecord | Summary) -> None:
        if self._writer is not None:
            self._writer.write(record)

    def picture(self, made: Made, decision: Decision, done: int) -> PictureDone:
        """Write a picture, then its record. ``done``: places of the set that are filled by now."""
        job, record = made.job, self.record
        index = len(self.pictures)
        wanted = job.steered.wanted if job.steered else None
        file = f"{record.session}/discarded/{index:04d}_{made.measured or made.abstained}.png"
        if decision == "kept" or not record.steered:
            file = self._place(job.slot, made.measured, made.abstained)
        path = None
        if self.out_dir is not None:
            path = self.out_dir / file
            write_png(made.image, path, self._provenance(job, wanted), self.signer)
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
            file=None if path is None else file,
            seconds=made.seconds,
            readings=[reading.model_dump(mode="json") for reading in made.readings],
        )
        self.pictures.append(picture)
        self._write(picture)
        return PictureDone(picture, made.image, path, done, record.count)

    def fill(self, picture: PictureRecord, kept: Mapping[str, int]) -> Filled:
        """Put a picture that did not fit into its slot after all.

        ``kept``: class -> pictures of the set before. The file is copied, the record written, and only then
        the file left behind removed, so that a stop in between loses nothing.
        """
        requested = self.record.requested
        nearest = None
        if picture.measured is not None:
            nearest = plan.nearest_open(requested, kept, picture.measured)
        place = self._place(picture.slot, picture.measured, picture.abstained)
        old = new = None
        if self.out_dir is not None and picture.file is not None:
            old, new = self.out_dir / picture.file, self.out_dir / place
            temporary = new.with_name(f".{new.name}.tmp")
            with disk_errors(new):
                shutil.copyfile(old, temporary)
                temporary.replace(new)
        fill = FillRecord(
            session=self.record.session,
            index=picture.index,
            slot=picture.slot,
            missing=nearest or plan.next_tone(requested, kept),
            measured=picture.measured,
            file=None if new is None else place,
        )
        self.fills.append(fill)
        self._write(fill)
        if old is not None:
            old.unlink()
        return Filled(fill, new)

    def finish(self, seconds: float) -> Finished:
        """Sum up and close the session. ``seconds``: its wall time."""
        out = None if self.out_dir is None else str(self.out_dir)
        summary = summarise(self.record, self.pictures, self.fills, seconds=seconds, out=out)
        self._write(summary)
        self.sync()
        return Finished(summary)

    def _place(self, slot: int, measured: str | None, abstained: str | None) -> str:
        return f"{self.record.session}/{slot:03d}_{measured or abstained}.png"

    def _provenance(self, job: Job, wanted: str | None) -> Provenance:
        record = self.record
        return Provenance(
            fairgen=fairgen.__version__,
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
