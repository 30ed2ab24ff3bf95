"""Keeps the run file in the order of the audit while several of its blocks are in the making at once.

The lines of a block whose turn has not come are written to a run file of their own, ``ahead/<session>/`` (its
first session). When its turn comes they are appended to the audit's, and the folder is removed: so the file
reads as if one block had been made after the other, and a stop at any moment loses nothing.
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from fairgen._version import __version__
from fairgen.common.collector import uncollected
from fairgen.common.files import disk_errors
from fairgen.runs.reader import RunReader, SessionRun
from fairgen.runs.records import AuditRecord, RunRecord, parse_record
from fairgen.runs.writer import RUN_FILE, RecordWriter, RunWriter

AHEAD = "ahead"
"""Folder of lines that wait for their turn; gone when an audit ends."""


@dataclass(frozen=True)
class _BlockWriter:
    turns: Turns
    block: str

    def write(self, record: BaseModel) -> None:
        with self.turns.lock:
            self.turns.target(self.block).write(record)

    def sync(self) -> None:
        with self.turns.lock:
            self.turns.target(self.block).sync()


class Turns:
    """Hands out a writer for each block. Used in a ``with`` block, inside that of ``writer``. Thread-safe.

    Args:
        writer: the audit's run file. blocks: session names of each block, in the audit's order.
        finished: first names of blocks that are complete already, in the file or ahead of it.

    Raises:
        UserError: the disk is full (also later, by whatever writes).
    """

    def __init__(
        self, writer: RunWriter, blocks: Sequence[tuple[str, ...]], finished: Collection[str] = ()
    ) -> None:
        self.lock = threading.RLock()
        self._writer = writer
        self._folder = writer.folder / AHEAD
        self._waiting = [names[0] for names in blocks]
        self._done = set(finished)
        self._open: dict[str, RunWriter] = {}
        self._in_file = self._lines_in_file({name: names[0] for names in blocks for name in names})
        for block, lines in self._in_file.items():
            self._append(block, lines)  # where an earlier run was stopped while it moved them
        self._advance()

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *exc: object) -> None:
        for one in self._open.values():
            one.close()

    def writer(self, block: str) -> RecordWriter:
        """The writer of the block whose first session has that name."""
        return _BlockWriter(self, block)

    def done(self, block: str) -> None:
        """Say that a block is complete: those that follow it have their turn."""
        with self.lock:
            self._done.add(block)
            if block in self._open:
                self._open.pop(block).close()
            self._advance()

    def target(self, block: str) -> RunWriter:
        """Where a block's lines go now. One that was begun in the file goes on there, although an earlier one
        may have to make lost pictures again.
        """
        if self._waiting[:1] == [block] or block in self._in_file:
            return self._writer
        if block not in self._open:
            self._open[block] = RunWriter(self._folder / block, fairgen_version=__version__)
        return self._open[block]

    def _advance(self) -> None:
        """Give the first block that is not complete its turn; all before it go into the file."""
        while self._waiting:
            block = self._waiting[0]
            if block in self._open:
                self._open.pop(block).close()
            self._append(block, 0)
            if block not in self._done:
                return
            del self._waiting[0]

    def _append(self, block: str, skip: int) -> None:
        """Move a block's lines into the file, without the first ``skip``, which are there already."""
        folder = self._folder / block
        if not folder.is_dir():
            return
        if _begun(folder):
            with (folder / RUN_FILE).open("rb") as lines:
                # The first line is that file's own run record.
                for number, line in enumerate(lines, -1):
                    if number >= skip and line.endswith(b"\n"):
                        self._writer.write_line(line)
            self._writer.sync()
        with disk_errors(folder):
            shutil.rmtree(folder)
        with suppress(OSError):
            self._folder.rmdir()

    @uncollected()
    def _lines_in_file(self, block_of: dict[str, str]) -> Counter[str]:
        with self._writer.path.open("rb") as lines:
            records = (parse_record(line) for line in lines)
            return Counter(
                block_of[record.session]
                for record in records
                if not isinstance(record, RunRecord | AuditRecord)
            )


def _begun(folder: Path) -> bool:
    """Whether the file in it has a first line."""
    try:
        with (folder / RUN_FILE).open("rb") as lines:
            return lines.readline().endswith(b"\n")
    except FileNotFoundError:
        return False


def ahead_of(folder: Path) -> list[Path]:
    """Folders with lines of a run that wait for their turn."""
    return [found for found in sorted((folder / AHEAD).glob("*")) if _begun(found)]


def all_sessions(reader: RunReader) -> Iterator[SessionRun]:
    """As `RunReader.sessions`, with what waits for its turn; sessions that are in the file come first.

    Raises:
        UserError: as `RunReader`.
    """
    waiting = {}
    for folder in ahead_of(reader.folder):
        beside = RunReader(folder)
        waiting.update({session.record.session: session for session in beside.sessions()})
        reader.problems += [problem for problem in beside.problems if "torn" in problem]
    for session in reader.sessions():
        # Stopped while its lines were moved: one is the beginning of the other.
        further = waiting.pop(session.record.session, session)
        yield further if _lines(further) > _lines(session) else session
    yield from waiting.values()


def _lines(session: SessionRun) -> int:
    return len(session.pictures) + len(session.fills) + (session.summary is not None)
