"""Keeps the page of a monitor up to date while it watches, also while no picture comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Self

from fairgen.errors import UserError
from fairgen.monitor.monitor import Monitor
from fairgen.monitor.page import write_page

_LOOK = 1.0
"""Seconds between looks at whether the page is behind."""


class KeptPage:
    """A page that is written at every alarm, and else so many seconds after it was written last, where
    something is new. Used in a ``with`` block.

    A thread of its own writes it while the source is silent: whoever waits for the next line of standard
    input cannot.

    Args:
        monitor: whose.
        path: the file.
        seconds: between two times, > 0.
        failed: is told, on that thread, that the page could not be written. The thread ends then, and `taken`
            raises at the next picture.
    """

    def __init__(
        self, monitor: Monitor, path: Path, *, seconds: float, failed: Callable[[UserError], object]
    ) -> None:
        self._monitor, self._path, self._seconds, self._failed = monitor, path, seconds, failed
        self._written, self._new = time.monotonic(), True
        self._ended = Event()
        self._thread = Thread(target=self._while_silent, name="page", daemon=True)

    def taken(self, *, alarm: bool) -> None:
        """A picture was taken in.

        Args:
            alarm: it raised one, or a warning.

        Raises:
            UserError: the page cannot be written.
        """
        self._new = True
        if alarm or self._is_due():
            self._write()

    def _is_due(self) -> bool:
        return self._new and time.monotonic() - self._written >= self._seconds

    def _write(self) -> None:
        with self._monitor.still():
            self._new = False  # under the lock: what is taken in from here on is new again
            write_page(self._monitor, self._path)
            self._written = time.monotonic()

    def _while_silent(self) -> None:
        while not self._ended.wait(min(_LOOK, self._seconds)):
            try:
                if self._is_due():
                    self._write()
            except UserError as error:
                self._new = True
                self._failed(error)
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
