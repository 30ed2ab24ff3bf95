"""Pictures and readings of any kind -> what a monitor counts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairgen.errors import UserError

if TYPE_CHECKING:
    from skin_tone import ToneReading
    from skin_tone.pool import ToneReader


@dataclass(frozen=True)
class Tone:
    """What was read from one picture.

    Attributes:
        tone: class of its largest face; None: not read.
        abstained: reason code where nothing was read.
        estimate: the class that the other reader gives a picture that was not read, where it gives one.
        problem: why the file could not be opened; nothing else is set then.
    """

    tone: str | None = None
    abstained: str | None = None
    estimate: str | None = None
    problem: str | None = None


def tone_of(readings: Sequence[ToneReading], scale: str) -> Tone:
    """Of the largest face of a picture."""
    first = readings[0]
    if first.abstained is not None:
        return Tone(abstained=first.abstained)
    return Tone(tone=first.classes[scale])


class PictureReader:
    """Reads pictures. One that is not read goes to the second reader too, for the abstention rate by tone.

    Its models are loaded with the first picture, and freed by `close`.

    Args:
        reader: ``calibrated``, ``second``, or a reader of the user's own.
        scale: of the classes.
    """

    def __init__(self, reader: str | ToneReader, scale: str) -> None:
        from fairgen.scoring.verify import READERS

        if isinstance(reader, str) and reader not in READERS:
            raise UserError(f"--reader must be one of {', '.join(READERS)}, not {reader!r}.")
        self._reader, self._scale = reader, scale
        self._opened: dict[str, Any] = {}

    def read(self, picture: Any) -> Tone:
        """Read a Pillow picture, an array (uint8, H x W x 3, RGB), or a file.

        A file that cannot be opened is no error: see `Tone.problem`.
        """
        from skin_tone import PictureError
        from skin_tone.files import open_picture

        try:
            if isinstance(picture, str | os.PathLike):
                picture = open_picture(Path(picture))
            reader = self._open(self._reader) if isinstance(self._reader, str) else self._reader
            found = tone_of(reader.read(picture), self._scale)
        except PictureError as error:
            return Tone(problem=str(error))
        if self._reader != "calibrated" or found.tone is not None or found.abstained == "no_face":
            return found
        other = tone_of(self._open("second").read(picture), self._scale)
        return Tone(abstained=found.abstained, estimate=other.tone)

    def _open(self, name: str) -> ToneReader:
        from fairgen.scoring.verify import make_reader

        if name not in self._opened:
            self._opened[name] = make_reader(name)
        opened: ToneReader = self._opened[name]
        return opened

    def close(self) -> None:
        """Free the models. May be called twice."""
        for reader in self._opened.values():
            reader.close()
        self._opened.clear()
