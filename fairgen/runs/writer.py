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
from fairgen.runs.records import RunRecord

__all__ = ["RUN_FILE", "RecordWriter", "RunWriter"]

RUN_FILE = "run.jsonl"

_BLOCK = 1 << 16

class RunWriter:
    """Appends records to ``folder/run.jsonl``; the folder is made where it does not exist.

    Each record is one ``write`` of one whole line; `sync` forces it to the disk (sessions do so after their
    header, after every round and at their end). Opening an existing file drops a torn last line. Where a line
    cannot be written in full, because the disk is full for instance, its beginning is taken back.
    """

    def __init__(self, folder: Path, *, fairgen_version: str) -> None:
        self.folder = folder
        self.path = folder / RUN_FILE
        self.dropped_torn_line = False
        with disk_errors(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what a write could not place must not come again when the file is closed.
            self._file = self.path.open("ab+", buffering=0)
            try:
                _lock(self._file, self.path)
                self._size = self._whole_lines(self._file.seek(0, os.SEEK_END))
                if self._size == 0:
                    self.write(RunRecord(created_at=now(), fairgen=fairgen_version))
            except BaseException:
                self._file.close()
                raise

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

    def write(self, record: BaseModel) -> None:
        self.write_line(record.model_dump_json().encode() + b"\n")

    def write_line(self, line: bytes) -> None:
        """Append a record that is a line already, its line break included."""
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

    def sync(self) -> None:
        with disk_errors(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        if not self._file.closed:
            try:
                self.sync()
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

def _lock(file: io.FileIO, path: Path) -> None:
    """Keep a second writer away until the file is closed, or its process dies. POSIX systems only."""
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{path} is being written by another fairgen: wait for it, or choose another --out."
            ) from None


class RecordWriter(Protocol):
    """What a session needs of a run file; `fairgen.runs.writer.RunWriter` is one."""

    def write(self, record: BaseModel) -> None: ...
    def sync(self) -> None: ...
