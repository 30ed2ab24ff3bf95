"""The runs of a server's visitors: each in a folder of its own, under an id that cannot be guessed.

A run is opened by the visit (Gradio's session) that started it, or by whoever holds its key. The key is part
of the address of its files, so that a report can be linked to; the id alone opens nothing. A browser keeps
the keys of its runs, so that a visitor who loads the page anew finds them again. The run's folder keeps id
and key, so that they open it after the server was started anew.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairgen.common.files import disk_errors, write_text
from fairgen.common.text import slug
from fairgen.errors import UserError
from fairgen.runs import RUN_FILE
from fairgen.ui.work.folders import RunFolder

if TYPE_CHECKING:
    from fairgen.ui.work.job import Job
    from fairgen.ui.work.live import LiveSet

_VISIT = ".visit.json"
"""In a run's folder: its id, its key, and what was asked for. Never served."""
_INDEX = ".index"
"""Folder of files whose names are ids of runs and whose text is the name of the run's folder."""
_ID = 16
"""Characters of an id."""
_NUMBER = re.compile(rf"[A-Za-z0-9_-]{{{_ID}}}")
_TICKET = re.compile(r"[A-Za-z0-9_-]{48}")
SMALL = "small"
"""In place of a query: a picture's thumbnail."""
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

    def claim(self, owner: str, kind: str, words: str, ticket: object = None) -> UserRun:
        """A fresh run with a folder that holds nothing but who may open it.

        Args:
            owner: the visit that asks. kind, words: for the folder's name.
            ticket: id and key in one, drawn by the visitor's browser: so it can find the run even where the
                answer to its order got lost. Else they are drawn here.

        Raises:
            UserError: the folder cannot be made, or a run has that id.
        """
        number, key = _drawn()
        if isinstance(ticket, str) and ticket:
            if _TICKET.fullmatch(ticket) is None or self._known(ticket[:_ID]) is not None:
                raise UserError("That order is on the server already: load the page again.")
            number, key = ticket[:_ID], ticket[_ID:]
        stamp = f"{datetime.now():%Y%m%d-%H%M%S}"
        name = "-".join(part for part in ("web", kind, slug(words), stamp, secrets.token_hex(3)) if part)
        run = UserRun(number, key, owner, self.folder / name)
        with disk_errors(run.folder):
            run.folder.mkdir(parents=True)
            (self.folder / _INDEX).mkdir(mode=0o700, exist_ok=True)
            write_text(self.folder / _INDEX / number, name)
        self.keep(run)
        with self._lock:
            self._runs[run.id] = run
            mine = [r for r in self._runs.values() if r.owner == owner]
            for old in mine[: -self.per_owner]:
                del self._runs[old.id]
            everybodys = list(self._runs.values())
            for old in everybodys[:-_KEPT]:
                del self._runs[old.id]
            for old in everybodys[:-_IN_MEMORY]:
                if not any(live.running for live in old.sets.values()):
                    old.sets.clear()
        self._forget_old()
        return run

    def keep(self, run: UserRun, **more: Any) -> None:
        """Write into the run's folder who may open it and ``more`` (JSON), for servers to come."""
        file = run.folder / _VISIT
        kept = {"id": run.id, "key": run.key} | more
        with disk_errors(file):
            write_text(file, json.dumps(kept)).chmod(0o600)

    def delete(self, run: UserRun) -> None:
        """Forget a run that nobody works on, and delete its folder. Raises `UserError`."""
        with self._lock:
            self._runs.pop(run.id, None)
        with disk_errors(run.folder):
            shutil.rmtree(run.folder)
            (self.folder / _INDEX / run.id).unlink(missing_ok=True)

    def _known(self, number: str) -> UserRun | None:
        """The run of that id, in memory or in the folder."""
        found = self._runs.get(number)
        if found is not None:
            return found
        folder = self._indexed(number)
        if folder is None:
            return None
        run = _found(folder)
        if run.id != number:
            return None  # deleted since
        with self._lock:
            return self._runs.setdefault(number, run)

    def _indexed(self, number: object) -> Path | None:
        """The folder that the index names for that id."""
        if not (isinstance(number, str) and _NUMBER.fullmatch(number)):
            return None
        try:
            name = (self.folder / _INDEX / number).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        folder = self.folder / name
        return folder if name.startswith("web-") and folder.parent == self.folder else None

    def _adopted(self, folder: Path) -> UserRun:
        """A run that lies in the folder already. A copy of another run's folder is a run of its own."""
        run = _found(folder)
        others = [self._indexed(run.id)]
        if run.id in self._runs:
            others.append(self._runs[run.id].folder)
        if any(other is not None and other != folder and other.is_dir() for other in others):
            return UserRun(*_drawn(), secrets.token_hex(), folder)
        return run

    def get(self, number: object, owner: str | None, key: object = None) -> UserRun:
        """The run of that id, for its owner or the holder of its key. Raises `UserError` for anybody else."""
        run = self._known(number) if isinstance(number, str) else None
        if run is None:
            raise UserError(_NO_SUCH_RUN)
        visits = (run.owner, *run.guests)
        mine = owner is not None and any(secrets.compare_digest(v.encode(), owner.encode()) for v in visits)
        keyed = isinstance(key, str) and secrets.compare_digest(run.key.encode(), key.encode())
        if not (mine or keyed):
            raise UserError(_NO_SUCH_RUN)
        return run

    def keyed(self, number: object, key: object) -> UserRun | None:
        """The run of that id, for the holder of its key; None for anybody else."""
        try:
            return self.get(number, None, key)
        except UserError:
            return None

    def admit(self, number: object, owner: str, key: object) -> UserRun:
        """Open a run to a visit that shows its key. Raises `UserError` where the key is another."""
        run = self.get(number, None, key)
        with self._lock:
            run.guests.add(owner)
        return run

    def past(self, owner: str) -> list[UserRun]:
        """The runs that are open to a visit and hold something, newest first; with ``adopt``, all that lie in
        the folder.
        """
        with self._lock:
            if self.adopt:
                known = {run.folder: run for run in self._runs.values()}
                for file in self.folder.glob(f"*/{RUN_FILE}"):
                    run = known.get(file.parent) or self._adopted(file.parent)
                    self._runs[run.id] = run
                    run.guests.add(owner)
            mine = [run for run in self._runs.values() if owner == run.owner or owner in run.guests]
        return sorted(filter(_holds, mine), key=_touched, reverse=True)

    def leave(self, owner: str) -> None:
        """The visit is over. What it started goes on, and can be opened by its key."""
        with self._lock:
            for run in self._runs.values():
                run.guests.discard(owner)

    def file(self, number: str, key: str, path: str) -> Path | None:
        """The file behind an address, or None: only plain files of known kinds inside that run's folder."""
        run, parts = self.keyed(number, key), path.split("/")
        hidden = "\\" in path or "\0" in path or any(not part or part.startswith(".") for part in parts)
        if run is None or hidden:
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
            number = visit_of(folder).get("id")
            shutil.rmtree(folder, ignore_errors=True)
            if self._indexed(number) == folder:
                (self.folder / _INDEX / str(number)).unlink(missing_ok=True)

    def _older_than(self, seconds: float) -> Iterator[Path]:
        for folder in self.folder.glob("web-*"):
            try:
                if time.time() - folder.stat().st_mtime > seconds:
                    yield folder
            except FileNotFoundError:
                continue  # another thread was faster


def _holds(run: UserRun) -> bool:
    """Whether something was made in a run's folder, or is still to be made."""
    return (run.folder / RUN_FILE).is_file() or bool({"job", "audit"} & visit_of(run.folder).keys())


def _touched(run: UserRun) -> int:
    file = run.folder / RUN_FILE
    return (file if file.is_file() else run.folder).stat().st_mtime_ns


def _found(folder: Path) -> UserRun:
    """A run that lies in the folder already; no visit of this server started it."""
    kept = visit_of(folder)
    number, key = kept.get("id"), kept.get("key")
    if not (isinstance(number, str) and _NUMBER.fullmatch(number) and isinstance(key, str) and key):
        number, key = _drawn()
    return UserRun(number, key, secrets.token_hex(), folder)


def _drawn() -> tuple[str, str]:
    """A fresh id and key."""
    return secrets.token_urlsafe(12), secrets.token_urlsafe(24)


def visit_of(folder: Path) -> dict[str, Any]:
    """What `Runs.keep` wrote into a run's folder; nothing where no server of this version began the run."""
    try:
        kept = json.loads((folder / _VISIT).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}
