"""Reads a run file back (see `fairgen.runs`)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from fairgen.errors import UserError
from fairgen.runs.lines import Line, examined
from fairgen.runs.records import (
    AuditRecord,
    FillRecord,
    PictureRecord,
    Record,
    RunRecord,
    SessionRecord,
    Summary,
    parse_record,
)
from fairgen.runs.writer import RUN_FILE, no_run_folder

TORN = "The last line of the run file is torn (stopped while writing); it was left out."


@dataclass
class SessionRun:
    """One session as read back."""

    record: SessionRecord
    pictures: list[PictureRecord] = field(default_factory=list)
    fills: list[FillRecord] = field(default_factory=list)
    summary: Summary | None = None

    @property
    def finished(self) -> bool:
        return self.summary is not None

    def add(self, record: PictureRecord | FillRecord | Summary) -> None:
        """Take in one of its records."""
        if isinstance(record, PictureRecord):
            self.pictures.append(record)
        elif isinstance(record, FillRecord):
            self.fills.append(record)
        else:
            self.summary = record

    def final_set(self) -> list[PictureRecord]:
        """The pictures that make up the set, in slot order.

        Unsteered: the first ``count`` pictures. Steered: the kept ones, and those that filled a slot whose
        tries ran out (they come back with their new file and the decision "kept"). Either has ``count``
        pictures once the session is finished; those without a reading have the decision "abstained".
        """
        fills = {fill.index: fill for fill in self.fills}
        chosen = []
        for picture in self.pictures:
            fill = fills.get(picture.index)
            if fill is not None:
                decision = "abstained" if fill.measured is None else "kept"
                update = {"slot": fill.slot, "file": fill.file, "decision": decision}
                chosen.append(picture.model_copy(update=update))
            elif picture.decision == "kept" or not self.record.steered:
                chosen.append(picture)
        return sorted(chosen, key=lambda picture: picture.slot)

    def left_out(self) -> list[PictureRecord]:
        """Every picture that is not in the final set, in the order of generation."""
        inside = {picture.index for picture in self.final_set()}
        return [picture for picture in self.pictures if picture.index not in inside]


@dataclass
class Run:
    """A run file as read back; ``problems`` says in sentences what was torn or missing."""

    folder: Path
    record: RunRecord
    sessions: dict[str, SessionRun]
    problems: list[str]
    audit: AuditRecord | None = None

    def path(self, file: str | None) -> Path | None:
        """Where a record's ``file`` lies."""
        return None if file is None else self.folder / file


class RunReader:
    """Reads a run file line by line: memory holds the sessions that are open, however long the file is.

    A torn last line (the machine stopped while it was written) is left out and said in `problems`; any other
    broken line, and any that contradicts those before it (`fairgen.runs.lines`), is a `UserError` that gives
    its number, since silently skipping it would change the figures.

    Args:
        folder: the run folder, or the path of its run.jsonl.

    Raises:
        UserError: it is no run folder, cannot be read, or (later) holds a line that is no record.
    """

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder)
        self.path = path if path.name == RUN_FILE else path / RUN_FILE
        self.folder = self.path.parent
        self.audit: AuditRecord | None = None
        self.problems: list[str] = []
        self.names: list[str] = []
        """Sessions in the order in which they were opened, as far as the file was read."""
        self._asked = folder
        self._records = self._lines()
        first = next(self._records, None)
        if not isinstance(first, RunRecord):
            raise UserError(f"{self.path} is no fairgen run file: its first line must be the run record.")
        self.run = first
        self._second = next(self._records, None)
        if isinstance(self._second, AuditRecord):
            self.audit = self._second

    def _lines(self) -> Iterator[Record]:
        try:
            if not self.path.is_file():  # to open a pipe may wait for ever
                raise FileNotFoundError(self.path)
            with self.path.open("rb") as file:
                for line in examined(file):
                    if line.torn:
                        self.problems.append(TORN)
                        return
                    if line.record is None or line.faults:
                        raise self._broken(line)
                    if isinstance(line.record, SessionRecord):
                        self.names.append(line.record.session)
                    yield line.record
        except (FileNotFoundError, NotADirectoryError) as error:
            raise no_run_folder(self._asked) from error
        except OSError as error:
            raise UserError(f"{self.path} cannot be read ({error.strerror}).") from error

    def _broken(self, line: Line) -> UserError:
        return UserError(
            f"{self.path}, line {line.number} {line.faults[0]}. `fairgen run check "
            f"{shlex.quote(str(self.folder))}` lists what is wrong, and with --repair moves it aside."
        )

    def sessions(self) -> Iterator[SessionRun]:
        """Each session as soon as its summary was read, then those that have none. Can be called once."""
        open_: dict[str, SessionRun] = {}
        for record in chain([] if self._second is None else [self._second], self._records):
            if isinstance(record, SessionRecord):
                open_[record.session] = SessionRun(record)
            elif isinstance(record, PictureRecord | FillRecord | Summary):
                open_[record.session].add(record)
                if isinstance(record, Summary):
                    yield open_.pop(record.session)
        self.problems += [f"Session {name} was interrupted: it has no summary." for name in open_]
        yield from open_.values()


def read_run(folder: str | Path) -> Run:
    """Read a run folder (or the path of its run.jsonl) as a whole.

    Raises:
        UserError: as `RunReader`.
    """
    reader = RunReader(folder)
    found = {session.record.session: session for session in reader.sessions()}
    ordered = {name: found[name] for name in reader.names}
    return Run(reader.folder, reader.run, ordered, reader.problems, reader.audit)


def session_names(path: Path) -> list[str]:
    """The sessions that a run file opens, as far as it can be read; for runs that are put aside."""
    names = []
    with path.open("rb") as file:
        for line in file:
            with suppress(ValueError):
                record = parse_record(line)
                if isinstance(record, SessionRecord):
                    names.append(record.session)
    return names
