"""`Onlooker`: a monitor that another process runs, as its state says it stands."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from fairgen.errors import UserError
from fairgen.monitor.contexts import Rules
from fairgen.monitor.reader_error import ReaderError
from fairgen.monitor.store import Alarm, SeenPicture, StateError, Store
from fairgen.scoring.monitored import ContextWatch, Levels
from fairgen.targets import FairnessSpec, parse_spec

_TRIES = 3


class Onlooker:
    """Looks at a state that another process writes. It writes nothing, and nobody waits for it.

    Its attributes are those of the last look.

    Args:
        path: the state. It need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.raised: list[Alarm] = []
        self.last: float | None = None
        """When the last tone was read, in seconds since 1970."""
        self._watches: dict[str, ContextWatch] = {}
        self._pictures: dict[Alarm, list[SeenPicture]] = {}
        self._about: dict[str, Any] = {}
        self._seen: object = None

    def look(self) -> bool:
        """Read the state anew, unless nothing was written to it since the last look; whether it was read.

        Raises:
            StateError: it cannot be read.
        """
        seen = self._marks()
        if seen is not None and seen == self._seen:
            return False
        for _ in range(_TRIES):
            with closing(Store(self.path, read_only=True)) as store:
                try:
                    with store.reading():
                        self._read(store)
                except StateError:
                    if not store.disturbed:
                        raise
                    continue
                if not store.disturbed:
                    break
        else:
            raise StateError(f"{self.path} is being opened by a monitor: look again.", "locked")
        self._seen = seen
        return True

    def _marks(self) -> object:
        """Unlike those before, once somebody wrote to the state."""
        marks: list[tuple[int, int, int] | None] = []
        for name in (self.path.name, f"{self.path.name}-wal"):
            try:
                said = self.path.with_name(name).stat()
            except OSError:
                marks.append(None)
            else:
                marks.append((said.st_ino, said.st_size, said.st_mtime_ns))
        return tuple(marks) if marks[0] else None

    def _read(self, store: Store) -> None:
        about = store.described()
        if about is None:
            raise StateError(
                f"{self.path} was begun by an earlier version of fairgen: start its monitor once more.",
                "version",
            )
        told = {"about": about, "settings": store.settings}
        if told != self._about:
            self._take(about, store.settings)
            self._about = told
        self._watches = self.rules.restored(store, self._watches)
        self.raised = store.alarms()
        self._pictures = {alarm: store.pictures_about(alarm) for alarm in self.raised}
        times = [store.read_at(name, watch.read) for name, watch in self._watches.items()]
        self.last = max((time for time in times if time is not None), default=None)

    def _take(self, about: dict[str, Any], settings: dict[str, Any]) -> None:
        try:
            spec = parse_spec(about["spec"], origin="The spec of the state")
            counts = about["reader_error"]["counts"]
            counted = None if counts is None else np.array(counts, dtype=np.float64)
            error = ReaderError(about["reader_error"]["about"], counted)
            rules = Rules(error, Levels(settings["level"]), settings["number_of_contexts"])
            every, reader_name = int(settings["sampling"]), str(settings["reader"])
        except (UserError, KeyError, TypeError, ValueError) as problem:
            raise StateError(
                f"{self.path} was written by another version of fairgen: name another --state.", "version"
            ) from problem
        self.spec: FairnessSpec = spec
        self.rules, self.error, self.levels = rules, error, rules.levels
        self.every, self.reader_name = every, reader_name
        self._watches = {}

    def watches(self) -> list[ContextWatch]:
        """Every context, in order of appearance."""
        return list(self._watches.values())

    def pictures_about(self, alarm: Alarm) -> list[SeenPicture]:
        """As `Store.pictures_about`."""
        return self._pictures[alarm]
