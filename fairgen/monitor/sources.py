"""Where pictures come from: a folder as it fills, a run, JSON lines. Each is a stream of `Offer`."""

from __future__ import annotations

import json
import os
import stat
import time
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fairgen.common.text import readable
from fairgen.errors import UserError
from fairgen.monitor.reading import Tone

_LONGEST = 100_000
SETTLED = 1.0
"""Seconds since its last change after which a file counts as whole."""


@dataclass(frozen=True)
class Offer:
    """A picture to look at.

    Attributes:
        id: unlike any other's; None: nothing tells it from others.
        path: its file, or None.
        tone: what was read from it already, or None.
        context: name of its stream, or None.
        prompt: what it was made of, or None.
        waiting: pictures that wait behind it, as far as is known; of lines, about as many as the pipe holds.
    """

    id: str | None
    path: Path | None = None
    tone: Tone | None = None
    context: str | None = None
    prompt: str | None = None
    waiting: int = 0


def folder_offers(
    folder: Path, known: Callable[[str], bool], *, by_folder: bool, clock: Callable[[], float] = time.time
) -> Iterator[Offer]:
    """Pictures of a folder that are whole and were not seen, oldest first; one look.

    A picture is its path, size and time of last change: a file written again under the same name is another
    one. Hidden files and folders are left out: a product may write under a name with a dot and rename.

    Args:
        folder: searched all the way down.
        known: whether the picture of an id was seen.
        by_folder: the first folder below is the context.
        clock: the time, for tests.

    Raises:
        UserError: the folder cannot be listed.
    """
    from skin_tone.files import pictures_in

    found = []
    try:
        for file in pictures_in(folder):
            try:
                said = file.stat()
            except FileNotFoundError:
                continue  # gone between listing and looking
            inside = file.relative_to(folder)
            identity = f"{readable(inside.as_posix())}:{said.st_size}:{said.st_mtime_ns}"
            if clock() - said.st_mtime >= SETTLED and not known(identity):
                found.append((said.st_mtime_ns, inside, identity))
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be listed ({error.strerror}): check its permissions."
        ) from error
    found.sort()
    for number, (_, inside, identity) in enumerate(found):
        context = readable(inside.parts[0]) if by_folder and len(inside.parts) > 1 else None
        yield Offer(identity, folder / inside, context=context, waiting=len(found) - number - 1)


def run_offers(folder: Path, known: Callable[[str], bool], scale: str) -> Iterator[Offer]:
    """First attempts of a run that were not seen, in the order of its run file; one look. Its readings count.

    Later attempts depend on what was read before, and are no independent draws. The technique is the context.

    Raises:
        UserError: the run file is damaged, or has another scale.
    """
    from fairgen.runs import RUN_FILE, PictureRecord, SessionRecord
    from fairgen.runs.lines import examined

    sessions: dict[str, SessionRecord] = {}
    with (folder / RUN_FILE).open("rb") as file:
        for line in examined(file):
            record = line.record
            if line.faults:
                raise UserError(f"{folder / RUN_FILE}: line {line.number} {line.faults[0]}.")
            if isinstance(record, SessionRecord):
                if record.scale != scale:
                    raise UserError(
                        f"{folder} has the scale {record.scale}, and the spec {scale}: give a spec of the "
                        "run's scale."
                    )
                sessions[record.session] = record
            elif isinstance(record, PictureRecord) and record.attempt == 0:
                identity = f"{record.session}/{record.slot}"
                session = sessions[record.session]
                if known(identity):
                    continue
                tone = Tone(record.measured, None if record.measured else record.abstained or "not_read")
                path = folder / record.file if record.file else None
                yield Offer(identity, path, tone, session.steering, session.prompt)


class _Line(BaseModel):
    """One JSON line: a picture's file, or what was read from it."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    context: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    prompt: Annotated[str, Field(min_length=1, max_length=10_000)] | None = None
    picture: Path | None = None
    tone: str | None = None
    abstained: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    estimate: str | None = None


def line_offers(lines: IO[bytes], classes: list[str]) -> Iterator[Offer]:
    """One picture a line; empty lines count for nothing.

    Raises:
        UserError: a line is not as docs/monitoring.md says; it names the line.
    """
    for number, raw in enumerate(iter(lambda: lines.readline(_LONGEST + 2), b""), 1):
        if not raw.strip():
            continue
        if len(raw.removesuffix(b"\n")) > _LONGEST:
            raise UserError(f"Line {number} of standard input is longer than {_LONGEST:,} bytes.")
        try:
            line = _Line.model_validate(json.loads(raw))
        except (ValueError, RecursionError) as error:
            raise UserError(f"Line {number} of standard input {_wrong(error)}") from error
        given = [v for v in (line.picture, line.tone, line.abstained) if v is not None]
        if len(given) != 1:
            raise UserError(
                f"Line {number} of standard input needs one of picture, tone and abstained, but has "
                f"{len(given)}."
            )
        for value in (line.tone, line.estimate):
            if value is not None and value not in classes:
                raise UserError(
                    f"Line {number} of standard input: {value!r} is no class of the target, only "
                    f"{', '.join(classes)}."
                )
        tone = None if line.picture else Tone(line.tone, line.abstained, line.estimate)
        waiting = _in_pipe(lines) // len(raw) if line.picture else 0
        yield Offer(line.id, line.picture, tone, line.context, line.prompt, waiting)


def _in_pipe(lines: IO[bytes]) -> int:
    """Bytes that wait in a pipe; 0 where it is none, or the system does not say."""
    try:
        import fcntl
        import termios

        if not stat.S_ISFIFO(os.fstat(lines.fileno()).st_mode):
            return 0
        found = array("i", [0])
        fcntl.ioctl(lines.fileno(), termios.FIONREAD, found)
    except (ImportError, OSError):  # Windows; no file at all
        return 0
    return found[0]


def _wrong(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first: Any = error.errors(include_url=False)[0]
        name = ".".join(map(str, first["loc"]))
        return f"is not as it should be: {name or 'it'}: {first['msg']}."
    return 'is no JSON object, such as {"id": "a1", "tone": "tan"}.'
