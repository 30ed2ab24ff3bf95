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
from typing import Any, Literal

from fairgen.common.files import disk_errors
from fairgen.errors import UserError

_VERSION = 1
_AROUND = 4
"""Pictures shown before an alarm, and after it."""
_PATIENCE = 1.0
"""Seconds that a reader waits for whoever keeps the file to himself."""
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_CLOSED = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY}
)

Trouble = Literal["missing", "foreign", "version", "locked", "closed"]
"""Why a state cannot be read: nothing was written yet, it is another file, of another version of fairgen,
kept by another program, or this user may not open it.
"""
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


class StateError(UserError):
    """A state cannot be read. ``trouble`` says why to those who must not see its path."""

    def __init__(self, message: str, trouble: Trouble) -> None:
        super().__init__(message)
        self.trouble: Trouble = trouble


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
        read_only: open it beside the monitor that writes; ``settings`` are then those of the file. It
            neither waits for that monitor nor makes it wait, and writes nothing.

    Raises:
        UserError: the file belongs to other settings, or is used by another monitor.
        StateError: the file is no state, or cannot be read.
    """

    def __init__(
        self, path: Path | None, settings: dict[str, Any] | None = None, *, read_only: bool = False
    ) -> None:
        self.path = path
        self._lock: Any = None
        self._still = False
        if path is not None and read_only:
            self._find(path)
        elif path is not None:
            self._claim(path)
        try:
            self._db = self._connect(read_only)
            self.settings = self._settings(settings, read_only)
        except sqlite3.DatabaseError as error:
            self.close()
            raise self._unreadable(error) from error
        except BaseException:
            self.close()
            raise

    def _find(self, path: Path) -> None:
        try:
            found = path.stat().st_size > 0 and path.is_file()
            self._still = not self._log.exists()
        except FileNotFoundError:
            found = False
        except OSError as error:
            raise StateError(f"{path} cannot be opened: {error.strerror}.", "closed") from error
        if not found:
            raise StateError(
                f"There is no state of a monitor at {path}: name the file given as --state.", "missing"
            )

    @property
    def _log(self) -> Path:
        """The file in which SQLite keeps what was written last, as long as somebody writes."""
        assert self.path is not None
        return self.path.with_name(f"{self.path.name}-wal")

    @property
    def disturbed(self) -> bool:
        """Whether somebody began to write after it was opened as a file that nobody writes: what was read may
        be torn, so read it again.
        """
        return self._still and self._log.exists()

    def _unreadable(self, error: sqlite3.DatabaseError) -> StateError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        trouble: Trouble = "locked" if code in _BUSY else "closed" if code in _CLOSED else "foreign"
        return StateError(
            f"{self.path} cannot be used as the state of a monitor ({error}): name another --state.", trouble
        )

    def _claim(self, path: Path) -> None:
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
            # Where nobody writes, SQLite would make files beside it, which the next monitor may not open.
            address = f"{self.path.resolve().as_uri()}?mode=ro{'&immutable=1' if self._still else ''}"
            return sqlite3.connect(
                address, _PATIENCE, uri=True, isolation_level=None, check_same_thread=False
            )
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
            raise StateError(
                f"{self.path} is no state of a monitor of this version: name another --state.",
                "missing" if not tables else "version" if version > _VERSION else "foreign",
            )
        found: dict[str, Any] = json.loads(self._db.execute("SELECT value FROM settings").fetchone()[0])
        if wanted is not None:
            for name, value in wanted.items():
                if found.get(name) != value:
                    raise self._begun_with_another(name)
        return found

    def _begun_with_another(self, name: str) -> UserError:
        return UserError(
            f"{self.path} was begun with another {name.replace('_', ' ')}: what it holds would "
            "mean something else. Give the same again, or name another --state."
        )

    def settle(self, name: str, value: str) -> None:
        """A setting that is known late, and must stay the same from then on.

        Raises:
            UserError: the state was begun with another, or the disk refuses.
        """
        before = self.settings.get(name)
        if before == value:
            return
        if before is not None:
            raise self._begun_with_another(name)
        settings = {**self.settings, name: value}
        with self.transaction():
            self._db.execute("UPDATE settings SET value = ?", (json.dumps(settings),))
        self.settings = settings

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What the block reads is of one moment.

        Raises:
            StateError: it cannot be read.
        """
        try:
            self._db.execute("BEGIN")
            yield
            self._db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise self._unreadable(error) from error

    def describe(self, about: dict[str, Any]) -> None:
        """Write down what the state is about, for those who only look at it.

        Raises:
            UserError: the disk refuses.
        """
        if self.described() == about:
            return
        with self.transaction():
            self._db.execute("CREATE TABLE IF NOT EXISTS about (value TEXT NOT NULL)")
            self._db.execute("DELETE FROM about")
            self._db.execute("INSERT INTO about VALUES (?)", (json.dumps(about),))

    def described(self) -> dict[str, Any] | None:
        """What `describe` wrote; None where an earlier version of fairgen wrote the state."""
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone():
            return None
        found: dict[str, Any] = json.loads(self._db.execute("SELECT value FROM about").fetchone()[0])
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

    def pictures_about(self, alarm: Alarm) -> list[SeenPicture]:
        """Pictures read in the context of an alarm, from some before it to as many after it."""
        rows = self._db.execute(
            "SELECT id, number, tone, path FROM pictures WHERE context = ? AND number BETWEEN ? AND ? "
            "ORDER BY number",
            (alarm.context, alarm.picture - _AROUND, alarm.picture + _AROUND),
        )
        return [SeenPicture(*row) for row in rows]

    def read_at(self, context: str, number: int) -> float | None:
        """When a picture was read, in seconds since 1970; None: there is no such picture."""
        row = self._db.execute(
            "SELECT at FROM pictures WHERE context = ? AND number = ?", (context, number)
        ).fetchone()
        return None if row is None else float(row[0])

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

    def count(self, name: str) -> int:
        """Add 1 to a counter; its value before."""
        before = self.counted(name)
        self._db.execute(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, before + 1),
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
