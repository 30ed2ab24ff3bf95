"""Progress of long work that is told in words: on a terminal as it goes on, elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from collections.abc import Generator as Work
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from fairgen.cli import common

__all__ = ["telling", "with_progress"]

_T = TypeVar("_T")

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


def with_progress(
    work: Work[int, None, _T], label: str, total: int, *, unit: str = "pictures", of: int = 1
) -> _T:
    """Run work that yields how much it did, under a progress bar; its result. Ctrl-C keeps nothing. Where
    standard error is no terminal, a line comes now and then, in a ``unit`` that has ``of`` steps of the work.
    """
    from rich.progress import Progress

    console = common.stderr()
    done = 0
    try:
        with (
            Progress(console=console, disable=not console.is_terminal) as progress,
            nullcontext() if console.is_terminal else telling(label) as tell,
        ):
            task = progress.add_task(label, total=total)
            while True:
                try:
                    done += next(work)
                    most = max(total, done)
                    progress.update(task, completed=done, total=most)
                    if tell is not None:
                        tell(f"{done // of:,} of {most // of:,} {unit}")
                except StopIteration as stop:
                    result: _T = stop.value
                    return result
    except KeyboardInterrupt:
        raise common.Interrupted(f"Interrupted while {label.lower()}: nothing was kept.") from None
