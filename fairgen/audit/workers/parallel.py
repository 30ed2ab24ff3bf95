"""Runs pieces of work in threads, a few at once and begun in their order, and hands on what they yield."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Generic, TypeVar

T = TypeVar("T")
_WAITING = 32
"""Events that may wait to be shown; they hold pictures."""
_LOOK = 0.2
"""Seconds between two looks at whether to stop."""


def in_parallel(
    work: Sequence[Callable[[], Generator[T, None, None]]], at_once: int, stop: Callable[[], None]
) -> Iterator[T]:
    """Yield what the pieces yield, as it comes: each piece's in its own order.

    An error in a piece is raised here. On an error, on Ctrl-C, or when this iterator is closed, ``stop`` is
    called, which must wake pieces that wait for something; they end after what they are at.
    """
    shared: _Shared[T] = _Shared()
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="fairgen-block")
    left = len(work)
    try:
        for piece in work:
            pool.submit(shared.run, piece)
        while left:
            found = shared.events.get()
            if isinstance(found, _Ended):
                if found.error is not None:
                    raise found.error
                left -= 1
            else:
                yield found
    finally:
        shared.stopping.set()
        if left:
            stop()
        pool.shutdown(wait=True, cancel_futures=True)


class _Ended:
    """The last that a piece puts into the queue."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Shared(Generic[T]):
    def __init__(self) -> None:
        self.events: queue.Queue[T | _Ended] = queue.Queue(_WAITING)
        self.stopping = threading.Event()

    def run(self, piece: Callable[[], Generator[T, None, None]]) -> None:
        error = None
        try:
            with closing(piece()) as events:
                for event in events:
                    if not self._put(event):
                        return
        except BaseException as raised:  # whatever it is, it is raised where the events are read
            error = raised
        self._put(_Ended(error))

    def _put(self, event: T | _Ended) -> bool:
        """Whether there is somebody left who wants it."""
        while not self.stopping.is_set():
            try:
                self.events.put(event, timeout=_LOOK)
            except queue.Full:
                continue
            return True
        return False
