"""What an interrupted run left of a session, so that it goes on as if it had never stopped.

The session is run again from its start, but a picture that has a record is not sampled: its record stands for
it, and brings controller and technique to where they were. What comes out must agree with what was recorded;
where it does not, the run was made by other software, and going on is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from fairgen.errors import UserError
from fairgen.runs.reader import SessionRun
from fairgen.runs.records import FillRecord, ModelInfo, PictureRecord, SessionRecord

if TYPE_CHECKING:
    from PIL import Image

_NOT_COMPARED = frozenset({"started_at", "seconds", "notes", "pixels", "model", "out"})
"""Fields that hold times, or are compared in another way."""


def pixels_hash(image: Image.Image) -> str:
    """'sha256:<hex>' of a picture's mode, size and pixels: the same however the file is packed or marked."""
    held = hashlib.sha256(f"{image.mode} {image.width}x{image.height}\n".encode())
    held.update(image.tobytes())
    return f"sha256:{held.hexdigest()}"


def file_is_whole(
    path: Path, pixels: str | None, saw: Callable[[Path, Image.Image], None] | None = None
) -> bool:
    """Whether the file is there, can be decoded to its end, and shows the pixels that were recorded (None:
    whatever it shows). A FIFO or a device is no picture, and is not opened: that may wait for ever.

    Args:
        saw: is given the decoded picture of a whole file.
    """
    from PIL import Image

    try:
        if not path.is_file():
            return False
        with Image.open(path) as image:
            image.load()
            if pixels is not None and pixels_hash(image) != pixels:
                return False
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    if saw is not None:
        saw(path, image)
    return True


def sweep(folder: Path) -> None:
    """Delete temporary files that a killed run left in a session's folder."""
    for left in folder.rglob(".*.tmp"):
        left.unlink(missing_ok=True)


def require_same(fresh: BaseModel, recorded: BaseModel, what: str) -> None:
    """Raise `UserError` where a record would now read otherwise than it was written, times aside."""
    now, then = fresh.model_dump(mode="json"), recorded.model_dump(mode="json")
    for key, value in then.items():
        if key not in _NOT_COMPARED and not _agrees(now.get(key), value):
            raise UserError(
                f"{what} cannot be continued: its {key} was {_short(value)} and would now be "
                f"{_short(now.get(key))}. Go on with the version of fairgen, the model and the calibration "
                "that began it, or begin a new run."
            )


def _agrees(now: object, then: object) -> bool:
    """Whether a value says what was recorded; fields that came later, with nothing in them, do not count."""
    if isinstance(now, dict) and isinstance(then, dict):
        later = now.keys() - then.keys()
        return then.keys() <= now.keys() and all(
            now[key] is None if key in later else _agrees(now[key], then[key]) for key in now
        )
    if isinstance(now, list) and isinstance(then, list):
        return len(now) == len(then) and all(map(_agrees, now, then))
    return now == then


def require_same_model(fresh: ModelInfo, recorded: ModelInfo, what: str) -> list[str]:
    """Raise `UserError` where files or settings differ; versions that differ come back in words."""
    changed = fresh.changed_files(recorded)
    if changed:
        kind = "weights" if changed[0] in fresh.weights | recorded.weights else "files"
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise UserError(
            f"{what} was begun with another model: its {kind} differ ({', '.join(changed[:3])}{more}). Go on "
            "with the model that began it, or begin a new run."
        )
    for key in type(recorded).model_fields:
        now, then = getattr(fresh, key), getattr(recorded, key)
        if key == "name" and fresh.short_name == recorded.short_name:
            continue  # the same files in another folder
        if key not in ("versions", "weights", "files") and now != then:
            raise UserError(
                f"{what} was begun with another model: its {key} was {_short(then)}, now {_short(now)}. "
                "Go on with the model and device that began it, or begin a new run."
            )
    names = sorted({*fresh.versions, *recorded.versions})
    return [
        f"{name} {fresh.versions.get(name, 'missing')} instead of {recorded.versions.get(name, 'none')}"
        for name in names
        if fresh.versions.get(name) != recorded.versions.get(name)
    ]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class Past:
    """The records of one session, looked up while it is run again.

    Args:
        run: the session as read back. folder: the run folder.
    """

    def __init__(self, run: SessionRun, folder: Path) -> None:
        self.run = run
        self.record: SessionRecord = run.record
        self.folder = folder
        self._fills = {fill.index: fill for fill in run.fills}
        self._pictures = {(p.slot, p.attempt): p for p in run.pictures}

    def picture(self, slot: int, attempt: int) -> PictureRecord | None:
        """The record of an attempt; None where it was not made yet."""
        return self._pictures.get((slot, attempt))

    def at(self, index: int) -> PictureRecord | None:
        """The picture that was made as number ``index``."""
        return self.run.pictures[index] if index < len(self.run.pictures) else None

    def fill(self, index: int) -> FillRecord | None:
        """The record that put the picture ``index`` into its slot after all."""
        return self._fills.get(index)

    def where(
        self, picture: PictureRecord, saw: Callable[[Path, Image.Image], None] | None = None
    ) -> Path | None:
        """The picture's whole file, wherever it lies by now; None where there is none. ``saw`` is given it
        decoded.
        """
        fill = self._fills.get(picture.index)
        for file in (fill.file if fill else None, picture.file):
            if file is not None and file_is_whole(self.folder / file, picture.pixels, saw):
                return self.folder / file
        return None


def damaged(
    run: SessionRun,
    folder: Path,
    saw: Callable[[PictureRecord, Path, Image.Image], None] | None = None,
    threads: Executor | None = None,
) -> list[tuple[PictureRecord, str]]:
    """Pictures of a session whose files are gone or broken, each with the file that it should have.

    Args:
        saw: is given every whole picture, decoded, with its record and its file.
        threads: to look at several at once.
    """
    past = Past(run, folder)
    moved = {fill.index: fill.file for fill in run.fills}

    def is_lost(picture: PictureRecord) -> bool:
        if picture.file is None:
            return False
        return past.where(picture, None if saw is None else partial(saw, picture)) is None

    looked = (map if threads is None else threads.map)(is_lost, run.pictures)
    lost = [picture for picture, gone in zip(run.pictures, looked, strict=True) if gone]
    return [(picture, moved.get(picture.index) or str(picture.file)) for picture in lost]
