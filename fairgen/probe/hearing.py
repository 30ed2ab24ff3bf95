"""All requests of a probe, from the journal or the server; each reply is kept as soon as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from fairgen.errors import UserError
from fairgen.probe.asks import Ask, Heard
from fairgen.probe.chat import Endpoint, NoReply, ProbeChat, run
from fairgen.probe.journal import Journal

__all__ = ["GIVE_UP", "Replies", "hear_all"]

GIVE_UP = 6
"""So many failures without a reply between them end the probe: the server is down or its credit is spent."""

_AT_ONCE = 4


@dataclass
class Replies:
    """What came back.

    Attributes:
        heard: reply by the name of its request; those that did not come are missing.
        kept: how many of them were in the journal already.
        failures: why others did not come, one line each.
        left_out: what the server refused: ``schema``, ``seed``.
    """

    heard: dict[str, Heard] = field(default_factory=dict)
    kept: int = 0
    failures: list[str] = field(default_factory=list)
    left_out: tuple[str, ...] = ()


def hear_all(
    asks: Sequence[Ask],
    endpoint: Endpoint,
    journal: Journal,
    *,
    at_once: int | None = None,
    on_reply: Callable[[int], object] = lambda _count: None,
) -> Replies:
    """Send every request that the journal has no reply to.

    Args:
        asks: in the order in which they are sent.
        endpoint: whom.
        journal: where replies are looked for first, and kept.
        at_once: requests under way at the same time; by default 4, and 1 where the server is this machine.
        on_reply: told how many replies (or failures) there are more, for a progress bar.

    Raises:
        UserError: the endpoint refuses key, model or question; or `GIVE_UP` requests in a row failed.
    """
    replies = Replies()
    missing = []
    for ask in asks:
        if (heard := journal.get(ask)) is None:
            missing.append(ask)
        else:
            replies.heard[ask.name] = heard
    replies.kept = len(replies.heard)
    on_reply(replies.kept)

    async def send() -> None:
        async with ProbeChat(endpoint) as chat:
            worker = _Worker(chat, journal, replies, on_reply, wanted=len(asks))
            if missing:
                await worker.one(missing[0])  # alone: a wrong key or address is found with one request
            queue = iter(missing[1:])
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(at_once or (1 if endpoint.is_local else _AT_ONCE)):
                        group.create_task(worker.several(queue))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
            replies.left_out = chat.left_out

    run(send())
    return replies


@dataclass
class _Worker:
    """Sends requests and notes what becomes of them."""

    chat: ProbeChat
    journal: Journal
    replies: Replies
    on_reply: Callable[[int], object]
    wanted: int
    failed_in_a_row: int = 0

    async def several(self, queue: Iterator[Ask]) -> None:
        for ask in queue:
            await self.one(ask)

    async def one(self, ask: Ask) -> None:
        replies = self.replies
        try:
            heard = await self.chat.hear(ask)
        except NoReply as failure:
            replies.failures.append(str(failure))
            self.failed_in_a_row += 1
            first = len(replies.failures) == 1 and not replies.heard
            if self.failed_in_a_row >= GIVE_UP or first:
                raise self._gave_up(str(failure)) from None
        else:
            self.journal.keep(ask, heard)
            replies.heard[ask.name] = heard
            self.failed_in_a_row = 0
        self.on_reply(1)

    def _gave_up(self, reason: str) -> UserError:
        come = len(self.replies.heard)
        again = f" {come} of {self.wanted} replies are kept: run the same command again to continue."
        return UserError(
            f"No reply came from {self.chat.endpoint.base_url}: {reason}. Check that the server runs, its "
            f"address (--base-url) and the time it is given (--timeout).{again if come else ''}"
        )
