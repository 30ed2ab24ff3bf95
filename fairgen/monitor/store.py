"""Where a monitor keeps what it has seen: one SQLite file, in which a picture and what was learnt from it are
written together or not at all.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fairgen.errors import UserError

__all__ = ["Alarm", "SeenPicture", "Store"]

_VERSION = 1
_TABLES = """
CREATE TABLE settings (value TEXT NOT NULL);
CREATE TABLE contexts (name TEXT PRIMARY KEY, place INTEGER NOT NULL, about TEXT NOT NULL,
                       state BLOB NOT NULL);
CREATE TABLE pictures (id TEXT PRIMARY KEY, context TEXT NOT NULL, number INTEGER, tone TEXT, abstained TEXT,
                       path TEXT, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX by_number ON pictures (context, number) WHERE number IS NOT NULL;
CREATE TABLE alarms (value TEXT NOT NULL);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Alarm:
    """A line that was crossed, for the first time.

    Attributes:
        level: ``warning`` (for the context by itself) or ``alarm`` (over all contexts together).
        test: ``target`` or ``change``.
        context: where.
        picture: number of the picture among those read in the context, 1 and up.
        evidence: the e-value at that moment.
        line: what it crossed.
        at: ISO 8601, UTC.
        id: of the picture.
    """

    level: str
    test: str
    context: str
    picture: int
    evidence: float
    line: float
    at: str
    id: str


@dataclass(frozen=True)
class SeenPicture:
    """A picture that was looked at.

    Attributes:
        number: among those read in its context, 1 and up; None: it was not read.
        tone: its class, or None.
        path: its file, where it has one.
    """

    id: str
    number: int | None
    tone: str | None
    path: str | None


class Store:
    """The state of one monitor.

    One process writes; others may read meanwhile.

    Args:
        path: the file; None: in memory.
        settings: what must stay the same as long as the state is used.
        read_only: open it beside the monitor that writes; ``settings`` are then those of the file.

    Raises:
        UserError: the file is no state, belongs to other settings, or is used by another monitor.
    """

    def __init__(
        self, path: Path | None, settings: dict[str, Any] | None = None, *, read_only: bool = False
    ) -> None:
        self.path = path
        self._lock: Any = None
        if path is not None and read_only and not path.is_file():
            raise UserError(f"There is no state of a monitor at {path}: name the file given as --state.")
        if path is not None and not read_only:
            self._claim(path)
        try:
            self._db = self._connect(read_only)
            self.settings = self._settings(settings, read_only)
        except sqlite3.DatabaseError as error:
            self.close()
            raise UserError(
                f"{path} cannot be used as the state of a monitor ({error}): name another --state."
            ) from error
        except BaseException:
            self.close()
            raise

    def _claim(self, path: Path) -> None:
        from fairgen.common.files import disk_errors

        if path.is_dir():
            raise UserError(f"--state {path} is a folder: name a file, such as {path / 'monitor.sqlite'}.")
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_name(f"{path.name}.lock").open("w")
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise UserError(f"Another monitor uses {path}: stop it, or name another --state.") from None

    def _connect(self, read_only: bool) -> sqlite3.Connection:
        if self.path is None:
            return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        if read_only:
            address = f"{self.path.resolve().as_uri()}?mode=ro"
            return sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        return db

    def _settings(self, wanted: dict[str, Any] | None, read_only: bool) -> dict[str, Any]:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not tables and not read_only:
            with self.transaction():
                for statement in filter(str.strip, _TABLES.split(";")):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO settings VALUES (?)", (json.dumps(wanted),))
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
            return wanted or {}
        if version != _VERSION:
            raise UserError(f"{self.path} is no state of a monitor of this version: name another --state.")
        found: dict[str, Any] = json.loads(self._db.execute("SELECT value FROM settings").fetchone()[0])
        if wanted is not None:
            for name, value in wanted.items():
                if found.get(name) != value:
                    raise UserError(
                        f"{self.path} was begun with another {name.replace('_', ' ')}: what it holds would "
                        "mean something else. Give the same again, or name another --state."
                    )
        return found

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What the block writes is there together or not at all.

        Raises:
            UserError: the disk refuses.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._undo()
            raise UserError(
                f"The state {self.path} cannot be written ({error}): free some space, or mend permissions."
            ) from error
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def knows(self, identity: str) -> bool:
        """Whether a picture was looked at, or left out by sampling."""
        return self._db.execute("SELECT 1 FROM pictures WHERE id = ?", (identity,)).fetchone() is not None

    def add_picture(self, picture: SeenPicture, context: str, abstained: str | None, at: float) -> None:
        """Remember a picture."""
        self._db.execute(
            "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?)",
            (picture.id, context, picture.number, picture.tone, abstained, picture.path, at),
        )

    def pictures_about(self, context: str, number: int, around: int) -> list[SeenPicture]:
        """Pictures read in a context from ``around`` before a number to as many after it."""
        rows = self._db.execute(
            "SELECT id, number, tone, path FROM pictures WHERE context = ? AND number BETWEEN ? AND ? "
            "ORDER BY number",
            (context, number - around, number + around),
        )
        return [SeenPicture(*row) for row in rows]

    def put_context(self, name: str, place: int, about: dict[str, Any], state: bytes) -> None:
        """Remember what was learnt in a context."""
        self._db.execute(
            "INSERT INTO contexts VALUES (?, ?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET state = excluded.state",
            (name, place, json.dumps(about), state),
        )

    def contexts(self) -> list[tuple[str, dict[str, Any], bytes]]:
        """Name, what `put_context` was told about it, and state of each, in order of appearance."""
        rows = self._db.execute("SELECT name, about, state FROM contexts ORDER BY place")
        return [(name, json.loads(about), state) for name, about, state in rows]

    def add_alarm(self, alarm: Alarm) -> None:
        """Remember an alarm."""
        self._db.execute("INSERT INTO alarms VALUES (?)", (json.dumps(asdict(alarm)),))

    def alarms(self) -> list[Alarm]:
        """All, in order."""
        return [
            Alarm(**json.loads(row[0])) for row in self._db.execute("SELECT value FROM alarms ORDER BY rowid")
        ]

    def count(self, name: str, by: int = 1) -> int:
        """Add to a counter; its value before."""
        before = self.counted(name)
        self._db.execute(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, before + by),
        )
        return before

    def counted(self, name: str) -> int:
        """The value of a counter; 0 where it was never added to."""
        row = self._db.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Release the file. May be called twice."""
        if hasattr(self, "_db"):
            self._db.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
