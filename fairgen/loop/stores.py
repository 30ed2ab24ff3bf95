"""Where a session's pictures and records go: nowhere, into a folder, or beside what a stopped run left there.

`fairgen.loop.recorder.Recorder` says what is kept; a store keeps it. The three differ in nothing else.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fairgen._version import __version__
from fairgen.common.files import disk_errors, now, replacing
from fairgen.errors import UserError
from fairgen.provenance.block import Provenance
from fairgen.provenance.png import write_png
from fairgen.runs import (
    RUN_FILE,
    FillRecord,
    Past,
    PictureRecord,
    RecordWriter,
    RunWriter,
    SessionRecord,
    Summary,
    file_is_whole,
    read_run,
    require_same,
    session_names,
)

if TYPE_CHECKING:
    from PIL import Image

    from fairgen.provenance.signing import PictureSigner

__all__ = ["Folder", "Kept", "Memory", "Resumed", "place_file", "with_file"]


def place_file(picture: PictureRecord) -> str:
    """The file of a picture of the set; its name says the class, or why none was read."""
    return f"{picture.session}/{picture.slot:03d}_{picture.measured or picture.abstained}.png"


def with_file(picture: PictureRecord, *, steered: bool) -> PictureRecord:
    """The picture's record with its file: in its place, or where it does not fit, beside the set."""
    file = place_file(picture)
    if steered and picture.decision != "kept":
        shows = picture.measured or picture.abstained
        file = f"{picture.session}/discarded/{picture.index:04d}_{shows}.png"
    return picture.model_copy(update={"file": file})


@dataclass(frozen=True)
class Kept:
    """What became of a picture: its record as it stands, and where its file is (None: in no file)."""

    record: PictureRecord
    path: Path | None
    replayed: bool = False
    """Whether an earlier run recorded it."""


class Memory:
    """Keeps nothing: what the recorder holds is all there is. Used in a ``with`` block, like the others."""

    out: str | None = None
    """The run folder, as the summary names it."""
    past: Past | None = None
    """What an interrupted run left."""

    def open(self, session: SessionRecord) -> Self:
        """Begin a session."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Close what was opened."""

    def sync(self) -> None:
        """Force what was kept to the disk."""

    def whole(self, picture: PictureRecord) -> bool:
        """Whether a picture that an earlier run recorded need not be written again."""
        return True

    def picture(self, record: PictureRecord, image: Image.Image | None) -> Kept:
        """Keep a picture. ``image``: None where its file is there already."""
        return Kept(record.model_copy(update={"file": None}), None)

    def fill(self, fill: FillRecord, picture: PictureRecord) -> tuple[FillRecord, Path | None]:
        """Keep that a picture takes a place of the set after all; its file moves there."""
        return fill.model_copy(update={"file": None}), None

    def finish(self, summary: Summary) -> Summary:
        """Close the session; what comes back is the summary that counts."""
        return summary


class Folder(Memory):
    """Writes pictures and the run file.

    A picture is written before its record, so a record without its picture means that the machine stopped
    before the disk had caught up.

    Args:
        folder: the run folder; made where it is missing.
        signer: signs the pictures; it is the one that the session's record names.
        writer: an open run file that several sessions share; default: one for this session alone.
    """

    def __init__(
        self, folder: Path, signer: PictureSigner | None = None, writer: RecordWriter | None = None
    ) -> None:
        self.folder = folder
        self.out = str(folder)
        self._signer = signer
        self._shared = writer
        self._own: RunWriter | None = None
        self._unsynced: list[Path] = []

    @property
    def _writer(self) -> RecordWriter:
        writer = self._shared or self._own
        if writer is None:
            raise RuntimeError("the store is used before its session was opened")
        return writer

    def open(self, session: SessionRecord) -> Self:
        """Begin a session: open the run file, and write the header."""
        self._session = session
        self._weights = session.model.fingerprint
        if self._shared is None:
            self._own = RunWriter(self.folder, fairgen_version=__version__)
            try:
                self._require_unchanged()
            except BaseException:
                self._own.close()
                raise
        self._begin()
        return self

    def _require_unchanged(self) -> None:
        """Raise `UserError` where another process took the name before the file was locked."""
        if self._session.session in session_names(self.folder / RUN_FILE):
            raise UserError(
                f"{self.folder} got a session {self._session.session!r} from another fairgen meanwhile: "
                "run the command again, or choose another --out."
            )

    def _begin(self) -> None:
        self._writer.write(self._session)
        self.sync()

    def __exit__(self, *exc: object) -> None:
        if self._own is not None:
            self._own.close()

    def sync(self) -> None:
        self._writer.sync()

    def picture(self, record: PictureRecord, image: Image.Image | None) -> Kept:
        """Write the picture, then its record."""
        path = self._draw(record, image)
        self._writer.write(record)
        return Kept(record, path)

    def _draw(self, record: PictureRecord, image: Image.Image | None) -> Path:
        assert record.file is not None
        path = self.folder / record.file
        if image is not None:
            write_png(image, path, self._provenance(record), self._signer)
            self._unsynced.append(path)
        return path

    def fill(self, fill: FillRecord, picture: PictureRecord) -> tuple[FillRecord, Path | None]:
        """Copy the file, write the record, and only then remove the file left behind: a stop in between
        loses nothing.
        """
        assert picture.file is not None
        assert fill.file is not None
        old, new = self.folder / picture.file, self.folder / fill.file
        if not self._recorded(fill) or not file_is_whole(new, picture.pixels):
            with disk_errors(new), replacing(new) as made:
                shutil.copyfile(old, made)
            self._unsynced.append(new)
        self._write_fill(fill)
        old.unlink(missing_ok=True)
        return fill, new

    def _recorded(self, fill: FillRecord) -> bool:
        return False

    def _write_fill(self, fill: FillRecord) -> None:
        self._writer.write(fill)

    def finish(self, summary: Summary) -> Summary:
        """Force the session's pictures to the disk, so that a finished session has lost none, and write the
        summary.
        """
        for path in self._unsynced:
            # A filled place's picture has moved, and its copy is in the list too.
            if path.exists():
                with disk_errors(path), path.open("rb") as file:
                    os.fsync(file.fileno())
        self._unsynced.clear()
        self._write_summary(summary)
        self.sync()
        return summary

    def _write_summary(self, summary: Summary) -> None:
        self._writer.write(summary)

    def _provenance(self, picture: PictureRecord) -> Provenance:
        session, model = self._session, self._session.model
        return Provenance(
            fairgen=__version__,
            created_at=now(),
            # A picture travels further than the run folder: the path of a user's folder stays out of it.
            model=model.short_name,
            weights=self._weights,
            pipeline=model.pipeline,
            seed=picture.seed,
            prompt=picture.prompt,
            steps=model.steps,
            guidance_scale=model.guidance_scale,
            spec=str(session.spec["name"]),
            spec_hash=session.spec_hash,
            steering=session.steering if session.steered else "none",
            wanted=picture.wanted,
            session=session.session,
            versions=model.versions,
        )


class Resumed(Folder):
    """Goes on with what an interrupted run left: what is recorded is checked, and not written again.

    Args:
        past: the session's records.

    Raises:
        UserError: (later) what comes out is not what was recorded.
    """

    def __init__(
        self,
        folder: Path,
        past: Past,
        signer: PictureSigner | None = None,
        writer: RecordWriter | None = None,
    ) -> None:
        super().__init__(folder, signer, writer)
        self.past: Past = past

    def _begin(self) -> None:
        """The header is there."""

    def _require_unchanged(self) -> None:
        name = self.past.record.session
        if read_run(self.folder).sessions.get(name) != self.past.run:
            raise UserError(
                f"Session {name} in {self.folder} was gone on with by another fairgen meanwhile: "
                "open it again."
            )

    def whole(self, picture: PictureRecord) -> bool:
        """Whether the picture's file is there, and shows what was recorded."""
        return self.past.where(picture) is not None

    def picture(self, record: PictureRecord, image: Image.Image | None) -> Kept:
        """Check the picture against its record; write what is new, or whose file is lost."""
        old = self.past.at(record.index)
        if old is None:
            return super().picture(record, image)
        what = f"Picture {old.index} of session {old.session}"
        require_same(record, old, what)
        if None not in (record.pixels, old.pixels) and record.pixels != old.pixels:
            raise UserError(
                f"{what} lost its file and was sampled again, but came out otherwise: this machine does not "
                "compute as the one that began the run. Go on there, or begin a new run."
            )
        return Kept(old, self._draw(record, image), replayed=True)

    def _recorded(self, fill: FillRecord) -> bool:
        return self.past.fill(fill.index) is not None

    def _write_fill(self, fill: FillRecord) -> None:
        old = self.past.fill(fill.index)
        if old is None:
            super()._write_fill(fill)
        else:
            require_same(fill, old, f"The fill of place {old.slot} of session {old.session}")

    def finish(self, summary: Summary) -> Summary:
        """As a folder does; a summary that was written already counts."""
        super().finish(summary)
        return self.past.run.summary or summary

    def _write_summary(self, summary: Summary) -> None:
        if self.past.run.summary is None:
            super()._write_summary(summary)
