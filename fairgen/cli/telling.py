"""Progress of long work that is told in words: on a terminal as it goes on, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fairgen.cli import common

__all__ = ["telling"]

_FIRST_AFTER = 10.0
_EVERY = 30.0
"""Seconds between two lines where standard error is no terminal."""


@contextmanager
def telling(label: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[str], None]]:
    """What is given the state of the work in a few words, as often as it changes.

    On a terminal one line changes in place. Elsewhere the first line comes after 10 seconds, so that short
    work says nothing, and then one every 30 seconds.

    Args:
        label: what is done, such as "Writing the report".
        clock: tells the time in seconds.
    """
    console = common.stderr()
    if console.is_terminal:
        with console.status(f"{label} …") as status:
            yield lambda words: status.update(f"{label}: {words} …")
        return
    due = clock() + _FIRST_AFTER

    def tell(words: str) -> None:
        nonlocal due
        if clock() >= due:
            due = clock() + _EVERY
            print(f"{label}: {words}", file=sys.stderr, flush=True)

    yield tell
