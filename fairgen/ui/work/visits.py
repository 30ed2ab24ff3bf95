"""The runs of a server's visitors: each in a folder of its own, under an id that cannot be guessed.

A run is opened by the visit (Gradio's session) that started it, or by whoever holds its key. The key is part
of the address of its files, so that a report can be linked to; the id alone opens nothing. A browser keeps
the keys of its runs, so that a visitor who loads the page anew finds them again.
"""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fairgen.common.files import disk_errors
from fairgen.common.text import slug
from fairgen.errors import UserError
from fairgen.runs import RUN_FILE
from fairgen.ui.work.folders import RunFolder

if TYPE_CHECKING:
    from fairgen.ui.work.job import Job
    from fairgen.ui.work.live import LiveSet

_SERVED = frozenset({".png", ".html", ".csv", ".json", ".jsonl", ".zip", ".jpg", ".yaml"})
_KEPT = 20_000
"""Runs of all visitors whose addresses are known; those of older ones are forgotten."""
_IN_MEMORY = 32
"""Runs whose sets stay in memory; those of older ones are read from their run files when asked for."""
_NO_SUCH_RUN = "There is no such run, or it is not yours: runs are open to those who started them."


@dataclass
class UserRun(RunFolder):
    """One run of one visitor."""

    job: Job | None = None
    """What it was asked for, once that is known."""
    guests: set[str] = field(default_factory=set)
    """Other visits that showed its key."""
    sets: dict[str, LiveSet] = field(default_factory=dict)
    """Arm ("steered", "unsteered") -> the set as it stands."""


class Runs:
    """The open runs of a server, under one folder. Thread-safe.

    Args:
        folder: made when the first run is claimed. per_owner: a visitor's oldest run is closed beyond this
            number (its files stay). keep_hours: folders of runs that are older are deleted; None keeps all.
        adopt: whether a visitor may open whatever run lies in the folder: for servers that only the users of
            this machine can reach.
    """

    def __init__(
        self, folder: Path, *, per_owner: int = 200, keep_hours: float | None = None, adopt: bool = False
    ) -> None:
        self.folder = folder
        self.per_owner = per_owner
        self.keep_hours = keep_hours
        self.adopt = adopt
        self._runs: dict[str, UserRun] = {}
        self._lock = threading.Lock()

    def claim(self, owner: str, kind: str, words: str) -> UserRun:
        """A fresh run with an empty folder. Raises `UserError` where the folder cannot be made."""
        number = secrets.token_urlsafe(12)
        stamp = f"{datetime.now():%Y%m%d-%H%M%S}"
        name = "-".join(part for part in ("web", kind, slug(words), stamp, secrets.token_hex(3)) if part)
        run = UserRun(number, secrets.token_urlsafe(24), owner, self.folder / name)
        with disk_errors(run.folder):
            run.folder.mkdir(parents=True)
        with self._lock:
            self._runs[run.id] = run
            mine = [r for r in self._runs.values() if r.owner == owner]
            for old in mine[: -self.per_owner]:
                del self._runs[old.id]
            everybodys = list(self._runs.values())
            for old in everybodys[:-_KEPT]:
                del self._runs[old.id]
            for old in everybodys[:-_IN_MEMORY]:
                old.sets.clear()
        self._forget_old()
        return run

    def get(self, number: object, owner: str | None, key: str | None = None) -> UserRun:
        """The run of that id, for its owner or the holder of its key. Raises `UserError` for anybody else."""
        run = self._runs.get(number) if isinstance(number, str) else None
        if run is None:
            raise UserError(_NO_SUCH_RUN)
        visits = (run.owner, *run.guests)
        mine = owner is not None and any(secrets.compare_digest(v.encode(), owner.encode()) for v in visits)
        keyed = isinstance(key, str) and secrets.compare_digest(run.key.encode(), key.encode())
        if not (mine or keyed):
            raise UserError(_NO_SUCH_RUN)
        return run

    def of(self, owner: str) -> list[UserRun]:
        """The runs that a visit started, oldest first."""
        with self._lock:
            return [run for run in self._runs.values() if run.owner == owner]

    def admit(self, number: object, owner: str, key: object) -> UserRun:
        """Open a run to a visit that shows its key. Raises `UserError` where the key is another."""
        run = self.get(number, None, key if isinstance(key, str) else None)
        with self._lock:
            run.guests.add(owner)
        return run

    def past(self, owner: str) -> list[UserRun]:
        """The runs that are open to a visit and hold something, newest first; with ``adopt``, all that lie in
        the folder.
        """
        if self.adopt:
            with self._lock:
                known = {run.folder: run for run in self._runs.values()}
                for file in self.folder.glob(f"*/{RUN_FILE}"):
                    run = known.get(file.parent) or _found(file.parent)
                    self._runs[run.id] = run
                    run.guests.add(owner)
        runs = [run for run in self._open_to(owner) if (run.folder / RUN_FILE).is_file()]
        return sorted(runs, key=lambda run: (run.folder / RUN_FILE).stat().st_mtime_ns, reverse=True)

    def _open_to(self, owner: str) -> list[UserRun]:
        with self._lock:
            return [run for run in self._runs.values() if owner == run.owner or owner in run.guests]

    def leave(self, owner: str) -> None:
        """The visit is over: whatever it started stops; the files stay, and can be opened by their keys."""
        for run in self._open_to(owner):
            if run.owner == owner:
                run.stop.set()
                run.sets.clear()
            with self._lock:
                run.guests.discard(owner)

    def file(self, number: str, key: str, path: str) -> Path | None:
        """The file behind an address, or None: only plain files of known kinds inside that run's folder."""
        try:
            run = self.get(number, None, key)
        except UserError:
            return None
        parts = path.split("/")
        if "\\" in path or "\0" in path or any(not part or part.startswith(".") for part in parts):
            return None
        try:
            found = run.folder.joinpath(*parts).resolve(strict=True)
        except (OSError, ValueError):
            return None
        inside = found.is_relative_to(run.folder.resolve())
        return found if inside and found.is_file() and found.suffix in _SERVED else None

    def _forget_old(self) -> None:
        if self.keep_hours is None:
            return
        for folder in self._older_than(self.keep_hours * 3600):
            with self._lock:
                for run in [r for r in self._runs.values() if r.folder == folder]:
                    run.stop.set()
                    del self._runs[run.id]
            shutil.rmtree(folder, ignore_errors=True)

    def _older_than(self, seconds: float) -> Iterator[Path]:
        for folder in self.folder.glob("web-*"):
            try:
                if time.time() - folder.stat().st_mtime > seconds:
                    yield folder
            except FileNotFoundError:
                continue  # another thread was faster


def _found(folder: Path) -> UserRun:
    """A run that lies in the folder already; nobody's visit started it."""
    return UserRun(secrets.token_urlsafe(12), secrets.token_urlsafe(24), secrets.token_hex(), folder)
