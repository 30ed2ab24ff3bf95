"""Looks for everything that is wrong with a run folder: in its records and in its pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fairgen.errors import UserError
from fairgen.runs.lines import Line, examined
from fairgen.runs.reader import TORN, SessionRun
from fairgen.runs.records import AuditRecord, FillRecord, PictureRecord, SessionRecord, Summary
from fairgen.runs.resume import damaged
from fairgen.runs.turns import ahead_of
from fairgen.runs.writer import RUN_FILE, no_run_folder


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        text: what, in a sentence.
        run_file: the run file that it is in, relative to the folder; None: it is in a picture.
        line: its line, from 1.
        session: the session that it is in, as far as it can be read.
        file: the picture, relative to the folder, where there is such a file.
    """

    text: str
    run_file: str | None = None
    line: int | None = None
    session: str | None = None
    file: str | None = None


@dataclass
class RunCheck:
    """What `check_run` found.

    Attributes:
        faults: what is wrong. notes: what is worth knowing and is not wrong, in sentences.
        sessions, pictures: how many records were looked at.
        audit: the audit's record, where it can be believed.
        left_out: pictures that need not be there.
    """

    folder: Path
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sessions: int = 0
    pictures: int = 0
    audit: AuditRecord | None = None
    left_out: Collection[str] = ()


def check_run(folder: str | Path, left_out: Collection[str] = ()) -> RunCheck:
    """Look at every line of a run and every picture that it names; nothing is changed.

    Memory holds the sessions that have no summary yet.

    Args:
        folder: the run folder, or the path of its run.jsonl.
        left_out: pictures, relative to the folder, that were left out of a copy of the run on purpose.

    Raises:
        UserError: it is no run folder, or cannot be read.
    """
    path = Path(folder)
    found = RunCheck(path.parent if path.name == RUN_FILE else path, left_out=left_out)
    try:
        if not (found.folder / RUN_FILE).is_file():  # to open a pipe may wait for ever
            raise FileNotFoundError(found.folder / RUN_FILE)
        size = (found.folder / RUN_FILE).stat().st_size
        for place in (found.folder, *ahead_of(found.folder)):
            _records(found, place / RUN_FILE)
        if (found.folder / RUN_FILE).stat().st_size != size:
            found.notes.append("The run was written while it was checked: check it again when it has ended.")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise no_run_folder(folder) from error
    except OSError as error:
        raise UserError(f"{found.folder} cannot be read ({error.strerror}).") from error
    return found


def _records(found: RunCheck, path: Path) -> None:
    name = path.relative_to(found.folder).as_posix()
    open_: dict[str, SessionRun] = {}
    lines = 0
    with path.open("rb") as file:
        for line in examined(file):
            lines += not line.torn
            if line.torn:
                found.notes.append(TORN if name == RUN_FILE else f"{name}: {TORN}")
            for text in line.faults:
                said = f"{name}, line {line.number} {text}."
                found.faults.append(Fault(said, name, line.number, line.session))
            for done in _sessions(line, open_, found):
                _pictures(found, done)
    if lines == 0:
        found.faults.append(Fault(f"{name} holds no whole line.", name))
    for session in open_.values():
        found.notes.append(f"Session {session.record.session} was interrupted: it has no summary.")
        _pictures(found, session)


def _sessions(line: Line, open_: dict[str, SessionRun], found: RunCheck) -> Iterator[SessionRun]:
    """Take a line in; the session that it ends comes back. What cannot be believed is left out."""
    record = line.record
    if isinstance(record, AuditRecord) and not line.faults:
        found.audit = record
    elif isinstance(record, SessionRecord):
        found.sessions += 1
        open_.setdefault(record.session, SessionRun(record))
    elif isinstance(record, PictureRecord | FillRecord | Summary) and record.session in open_:
        found.pictures += isinstance(record, PictureRecord)
        open_[record.session].add(record)
        if isinstance(record, Summary):
            yield open_.pop(record.session)


def _pictures(found: RunCheck, session: SessionRun) -> None:
    for _, file in damaged(session, found.folder):
        there = (found.folder / file).is_file()
        if not there and file in found.left_out:
            continue
        what = "does not show what was recorded, or is damaged" if there else "is gone"
        text, name = f"The picture {file} {what}.", session.record.session
        found.faults.append(Fault(text, session=name, file=file if there else None))
