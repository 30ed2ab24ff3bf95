"""The work of a server: sets and audits, made one after the other, whoever looks at them.

A page or a script that asks for something leaves its order here and then follows what becomes of it. Nothing
ends because a connection does: an order ends when it is done, when somebody stops it, or with the server.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fairgen.errors import UserError
from fairgen.ui.work.folders import RunFolder

UNEXPECTED = (
    "The server met an unexpected error; what was made before it is kept. Whoever runs the server finds the "
    "details in its log."
)
LOOK_AGAIN = 0.2
"""Seconds between two looks at an order that is followed."""
_ENDING = 20.0
"""Seconds that an ending server waits for the batch in hand."""
_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class Work:
    """One order.

    ``state`` is a `fairgen.ui.work.live.LiveSet` or a `fairgen.ui.work.audit.AuditState`. Its maker changes
    it in place, and adds to ``version`` then.
    """

    run: RunFolder
    state: Any
    steps: Callable[[], Iterator[Any]] = field(repr=False)
    version: int = 0
    ended: bool = False
    error: str = ""
    """Why it failed, where its state does not say so."""


class Workshop:
    """Makes one order at a time, in the order in which they came. Thread-safe.

    Args:
        most: orders that may wait at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: list[Work] = []
        self._works: dict[tuple[str, str], Work] = {}
        self._changed = threading.Condition()
        self._maker: threading.Thread | None = None
        self._closed = False

    def require_room(self) -> None:
        """Raise `UserError` where no more orders are taken."""
        if self._closed:
            raise UserError("The server is ending: try again once it has been started anew.")
        if len(self._waiting) >= self._most:
            raise UserError(f"The queue is full: {self._most} orders wait already. Try again later.")

    def submit(self, run: RunFolder, arm: str, state: Any, steps: Callable[[], Iterator[Any]]) -> Work:
        """Leave an order; one that is waited for or in hand already comes back as it is.

        Args:
            run: whose folder it is made in. arm: which of the run's sets it is.
            state: before anything happened. steps: makes it; what it yields is the new state.

        Raises:
            UserError: too many wait.
        """
        with self._changed:
            known = self._works.get((run.id, arm))
            if known is not None and not known.ended:
                return known
            self.require_room()
            run.stop.clear()
            run.orders += 1
            work = Work(run, state, steps)
            self._works = {key: old for key, old in self._works.items() if not old.ended}
            self._works[run.id, arm] = work
            self._waiting.append(work)
            self._tell_places()
            if self._maker is None:
                self._maker = threading.Thread(target=self._make, name="workshop", daemon=True)
                self._maker.start()
            self._changed.notify_all()
        return work

    def of(self, run: RunFolder) -> dict[str, Work]:
        """Arm -> order of a run, of those that were not replaced by later ones of other runs."""
        with self._changed:
            return {arm: work for (number, arm), work in self._works.items() if number == run.id}

    def busy(self, run: RunFolder) -> bool:
        """Whether something of a run waits or is in hand."""
        return any(not work.ended for work in self.of(run).values())

    def stop(self, run: RunFolder, known: int | None = None) -> None:
        """End a run's orders: what waits at once, what is in hand after its batch.

        Args:
            known: how many orders for the run there were when somebody asked for the stop. Where more came
                since, the stop is too late, and nothing ends. None: it was asked for just now.
        """
        with self._changed:
            # A run that was forgotten and found again is another object.
            found = [run, *(work.run for work in self._works.values() if work.run.id == run.id)]
            if known is not None and any(one.orders > known for one in found):
                return
            for one in found:
                one.stop.set()
            for work in [work for work in self._waiting if work.run.id == run.id]:
                self._waiting.remove(work)
                self._drop(work)
            self._tell_places()

    def close(self) -> None:
        """Stop everything, and wait for the batch in hand; what was made is whole and can be gone on with."""
        with self._changed:
            self._closed = True
            for work in self._works.values():
                work.run.stop.set()
            for work in self._waiting:
                self._drop(work)
            self._waiting.clear()
            self._changed.notify_all()
        if self._maker is not None:
            self._maker.join(_ENDING)

    def _drop(self, work: Work) -> None:
        work.state.state = "stopped"
        work.ended = True
        work.version += 1

    def _tell_places(self) -> None:
        for place, work in enumerate(self._waiting, 1):
            if work.state.place != place:
                work.state.place = place
                work.version += 1

    def _make(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                work = self._waiting.pop(0)
                work.state.place = 0
                self._tell_places()
            try:
                for state in work.steps():
                    work.state = state
                    work.version += 1
            except UserError as error:
                work.error = str(error)
            except Exception:  # the next order is another visitor's
                _LOG.exception("an order failed")
                work.error = UNEXPECTED
            work.ended = True
            work.version += 1


async def followed(work: Work) -> AsyncIterator[Any]:
    """The states of an order as they come, the last one included; nobody who leaves ends it.

    Raises:
        UserError: it failed with a sentence.
    """
    seen = None
    while True:
        ended = work.ended
        now = work.version, ended
        if now != seen:
            seen = now
            if not (ended and work.error):
                yield work.state
        if ended:
            if work.error:
                raise UserError(work.error)
            return
        await asyncio.sleep(LOOK_AGAIN)
