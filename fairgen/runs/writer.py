"""Writes the run file (see `fairgen.runs`)."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

from pydantic import BaseModel

from fairgen.common.files import disk_errors, now
from fairgen.errors import UserError
from fairgen.runs.chain import chained, unchained
from fairgen.runs.records import AuditRecord, RunRecord

RUN_FILE = "run.jsonl"

_BLOCK = 1 << 16


class RunWriter:
    """Appends records to ``folder/run.jsonl``; the folder is made where it does not exist.

    A run has one writer: the file is locked as long as this is open, or its process lives. Who goes on with a
    run opens it before reading it, so that what was read is what will be gone on with.

    Each record is one ``write`` of one whole line; `sync` forces it to the disk (sessions do so after their
    header, after every round and at their end). The file's first line goes into it together with the first
    record, so a file that holds anything says what it is of. Opening an existing file drops a torn last line.
    Where a line cannot be written in full, as on a full disk, its beginning is taken back.
    A file that is still empty when it is closed is removed, and so are the folders that were made for it.

    Args:
        folder: the run folder.
        fairgen_version: for the first line.

    Raises:
        UserError: another process writes the run, or the disk refuses.
    """

    def __init__(self, folder: Path, *, fairgen_version: str) -> None:
        self.folder = folder
        self.path = folder / RUN_FILE
        self.dropped_torn_line = False
        self._version = fairgen_version
        with disk_errors(self.path):
            self._made = [each for each in (folder, *folder.parents) if not each.exists()]
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open_locked(self.path)
            try:
                self._size = self._whole_lines(self._file.seek(0, os.SEEK_END))
                self._link = self._last_link()
            except BaseException:
                self._file.close()
                raise

    @property
    def begun(self) -> bool:
        """Whether the file holds a record beside its first line."""
        with disk_errors(self.path):
            return holds_records(self.path)

    def _whole_lines(self, size: int) -> int:
        """Drop what follows the last line break; the size that is left."""
        end = size
        while end > 0:
            start = max(0, end - _BLOCK)
            self._file.seek(start)
            at = self._file.read(end - start).rfind(b"\n")
            if at >= 0:
                end = start + at + 1
                break
            end = start
        if end != size:
            self._file.truncate(end)
            self.dropped_torn_line = True
        return end

    def _last_link(self) -> str:
        """Of the last line; "" where there is none."""
        self._file.seek(max(0, self._size - 64))
        return unchained(self._file.read(64))[1] or ""

    def write(self, record: BaseModel) -> None:
        self.write_line(line_of(record), audit=isinstance(record, AuditRecord))

    def write_line(self, line: bytes, *, audit: bool = False) -> None:
        """Append a record that is a line already, its line break included, linked to the line before.

        ``audit``: whether it is an audit's record, which the first line then tells of.
        """
        head, link = b"", self._link
        if self._size == 0:
            first = RunRecord(created_at=now(), fairgen=self._version, audit=audit)
            head, link = chained(line_of(first), link)
        line, link = chained(line, link)
        line = head + line
        with disk_errors(self.path):
            try:
                left = memoryview(line)
                while left:
                    left = left[self._file.write(left) :]
            except OSError:
                with suppress(OSError):
                    self._file.truncate(self._size)
                raise
        self._size += len(line)
        self._link = link

    def sync(self) -> None:
        with disk_errors(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file.closed:
            return
        try:
            self.sync()
            if self._size == 0:
                with disk_errors(self.path):
                    self.path.unlink(missing_ok=True)
                    with suppress(OSError):  # something else lies in the folder by now
                        for each in self._made:
                            each.rmdir()
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def line_of(record: BaseModel) -> bytes:
    """A record as a line of a run file."""
    return record.model_dump_json().encode() + b"\n"


def no_run_folder(folder: str | Path) -> UserError:
    """What to say of a folder without a run file."""
    return UserError(f"{folder} is no run folder (it has no {RUN_FILE}): give the folder that --out named.")


def holds_records(path: Path) -> bool:
    """Whether a run file holds anything beside its first line; False where it is empty or torn there."""
    with path.open("rb") as file:
        file.readline()
        return file.readline().endswith(b"\n")


def open_locked(path: Path) -> io.FileIO:
    """The file, opened for appending, and kept from a second writer until it is closed or its process dies.
    The lock is of POSIX systems only.
    """
    while True:
        # Unbuffered: what a write could not place must not come again when the file is closed.
        file = path.open("ab+", buffering=0)
        try:
            if sys.platform != "win32":
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, path):
                return file
            file.close()  # moved or replaced between opening and locking
        except BlockingIOError:
            file.close()
            raise UserError(
                f"{path} is being written by another fairgen: wait for it, or choose another --out."
            ) from None
        except BaseException:
            file.close()
            raise


def _is_at(file: io.FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


class RecordWriter(Protocol):
    """What a session needs of a run file; `fairgen.runs.writer.RunWriter` is one."""

    def write(self, record: BaseModel) -> None: ...
    def sync(self) -> None: ...
