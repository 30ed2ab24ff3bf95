"""Reads pictures that a visitor brings, and holds them against a spec; shared by page and API."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from fairgen.common.files import disk_errors
from fairgen.errors import UserError
from fairgen.report.load import picture_view
from fairgen.report.verified import write_verification
from fairgen.runs import reading_document
from fairgen.scoring.verify import PictureResult, Verification, verify_pictures
from fairgen.targets import FairnessSpec
from fairgen.ui.work.jobs import Services
from fairgen.ui.work.live import Card, evidence_of, reading_parts
from fairgen.ui.work.visits import UserRun
from skin_tone.drawing import draw_readings

if TYPE_CHECKING:
    from skin_tone import ToneReading
    from skin_tone.pool import ToneReader

NO_UPLOAD = "no-upload"
"""Name of the empty file that stands for what is no upload of this server."""
_DRAWN = 12
"""Faces on the sheet that shows what was read from each."""
_SHOWN = 1024
"""Longest side of what the page shows of a picture, in pixels."""


@dataclass(frozen=True)
class Checked:
    """The state of a check: what was read so far."""

    run: UserRun
    done: Verification
    total: int
    cards: tuple[Card, ...]
    stopped: bool = False

    @property
    def running(self) -> bool:
        """Whether more may come."""
        return not self.stopped and len(self.done.results) < self.total


def uploaded(given: Any, services: Services) -> list[Path]:
    """The uploads that a visitor named, if they are uploads of this server and not too many.

    Args:
        given: paths, or Gradio's file objects as JSON.

    Raises:
        UserError: there is none, there are too many, or one is no upload.
    """
    limits = services.limits
    if not isinstance(given, list) or not given:
        raise UserError("There are no pictures to read: add some first.")
    if len(given) > limits.uploads:
        raise UserError(f"{len(given)} pictures are too many at once: at most {limits.uploads} are read.")
    folder = Path(os.environ["GRADIO_TEMP_DIR"]).resolve()
    found = []
    for entry in given:
        name = entry.get("path") if isinstance(entry, dict) else entry
        path = Path(name).resolve() if isinstance(name, str) and "\0" not in name else folder
        if not (path.is_relative_to(folder) and path.is_file()) or path.name == NO_UPLOAD:
            raise UserError("One of the files is no upload to this server: add the pictures again.")
        if path.stat().st_size > limits.upload_bytes:
            raise UserError(f"{path.name[:80]} is larger than {limits.upload_bytes // 1_000_000} MB.")
        found.append(path)
    return found


def check_pictures(
    services: Services, run: UserRun, files: Sequence[Path], spec: FairnessSpec
) -> Iterator[Checked]:
    """Read each file, show it, and write the report into the run's folder.

    Yields the state after each picture. A file that cannot be opened is a result, not an error. Raises
    `UserError` where the folder cannot be written.
    """
    reader = _Remembering(services.engine.reader())
    folder = run.folder / "pictures"
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    results: list[PictureResult] = []
    cards: list[Card] = []
    stopped = False
    for number, source in enumerate(files, 1):
        file = folder / f"{number:03d} {_plain_name(source.name)}"
        with disk_errors(file):
            if source.stat().st_dev == folder.stat().st_dev:
                file.hardlink_to(source)
            else:
                file.write_bytes(source.read_bytes())
        result = next(iter(verify_pictures([file], spec, reader)))
        results.append(result)
        if result.unreadable is None:
            cards.append(_card(run, number, result, spec, reader))
        stopped = run.stop.is_set()
        if stopped or number == len(files):
            break
        yield Checked(run, Verification(spec, tuple(results)), len(files), tuple(cards))
    done = Verification(spec, tuple(results))
    write_verification(done, run.folder)
    yield Checked(run, done, len(files), tuple(cards), stopped)


class _Remembering:
    """A reader that keeps the picture that it read last, with everything that was read: results keep less."""

    def __init__(self, reader: ToneReader) -> None:
        self._reader = reader
        self.picture = Image.new("RGB", (1, 1))
        self.readings: Sequence[ToneReading] = ()

    def read(self, image: Image.Image) -> Sequence[ToneReading]:
        self.picture, self.readings = image, self._reader.read(image)
        return self.readings


def _plain_name(name: str) -> str:
    """A file's name for a folder and a page: letters, digits and a few marks, at most 80 characters."""
    return re.sub(r"[^\w. ()-]+", "_", name).strip(". ")[-80:] or "picture"


def own_name(file: Path) -> str:
    """The name of a checked file without the number that `check_pictures` puts before it."""
    return file.name.split(" ", 1)[1]


def _card(run: UserRun, number: int, result: PictureResult, spec: FairnessSpec, reader: _Remembering) -> Card:
    picture, size = reader.picture, reader.picture.size
    _save(picture, run.folder / f"shown-{number:03d}.jpg")
    readings = [reading_document(reading) for reading in reader.readings]
    sheet = None
    if any(reading.box for reading in reader.readings):
        drawn = draw_readings(picture, reader.readings[:_DRAWN])
        _save(drawn, run.folder / f"faces-{number:03d}.jpg")
        sheet = run.url(f"faces-{number:03d}.jpg")
    view = picture_view(
        image=run.url(f"shown-{number:03d}.jpg"),
        file=own_name(result.file),
        fate="kept" if result.measured else "abstained",
        scale=spec.scale,
        measured=result.measured,
        abstained=result.abstained,
        readings=readings,
    )
    parts, evidence = reading_parts(readings, spec.scale), evidence_of(readings, size)
    return Card(view, number, size, *parts, sheet=sheet, evidence=evidence)


def _save(picture: Image.Image, path: Path) -> None:
    small = picture.copy()
    small.thumbnail((_SHOWN, _SHOWN))
    with disk_errors(path):
        small.save(path, "JPEG", quality=88)
