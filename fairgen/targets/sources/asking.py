"""Several replies to each question, from cache or endpoint; each is kept as soon as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from fairgen.errors import UserError
from fairgen.targets.sources.ask_cache import AskCache, CacheKey, RawReply
from fairgen.targets.sources.endpoint import Chat, Endpoint, NoReply
from fairgen.targets.sources.question import Question

__all__ = ["MAX_SAMPLES", "Asked", "Tokens", "ask"]

MAX_SAMPLES = 20
_AT_ONCE = 4


@dataclass(frozen=True)
class Tokens:
    """What was spent now: replies from the cache cost nothing. None: the server does not say."""

    read: int | None
    written: int | None
    replies: int
    from_cache: int

    def __str__(self) -> str:
        cached = f"{self.from_cache} from the cache, 0 tokens" if self.from_cache else ""
        if not self.replies:
            return f"Replies: {cached or 'none'}"
        known = self.read is not None and self.written is not None
        cost = (
            f"{self.read:,} tokens in, {self.written:,} out" if known else "the server does not count tokens"
        )
        return f"Replies: {self.replies} asked now, {cost}" + (f"; {cached}" if cached else "")


@dataclass(frozen=True)
class Asked:
    """A question and what came back.

    Attributes:
        endpoint: whom.
        samples: replies that were wanted.
        replies: those that came, valid or not; at least one.
        failures: why others did not come, one line each.
        from_cache: how many of the replies are from the cache (the first ones).
    """

    question: Question
    endpoint: Endpoint
    samples: int
    replies: tuple[RawReply, ...]
    failures: tuple[str, ...] = ()
    from_cache: int = 0


def tokens(asked: Sequence[Asked]) -> Tokens:
    """What all these questions cost now."""
    fresh = [reply for one in asked for reply in one.replies[one.from_cache :]]
    counts = [(r.tokens_in, r.tokens_out) for r in fresh]
    read, written = (
        sum(n for n in column if n is not None) if all(n is not None for n in column) else None
        for column in (zip(*counts, strict=True) if counts else ((), ()))
    )
    return Tokens(read, written, len(fresh), sum(one.from_cache for one in asked))


@dataclass
class _Job:
    """One question under way."""

    question: Question
    key: CacheKey
    replies: list[RawReply] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def ask(
    questions: Sequence[Question],
    endpoint: Endpoint,
    *,
    samples: int = 5,
    cache: AskCache | None = None,
    refresh: bool = False,
    at_once: int | None = None,
    on_reply: Callable[[int], object] = lambda _count: None,
) -> list[Asked]:
    """Ask each question until ``samples`` replies are there, or as many as come.

    Args:
        samples: 1 to 20 replies a question.
        cache: where replies are looked for first and kept; None: neither.
        refresh: do not look there, but keep what comes instead of what was kept.
        at_once: requests under way at the same time; by default 4, and 1 where the server is this machine.
        on_reply: told how many replies (or failures) there are more, for a progress bar.

    Raises:
        UserError: the endpoint refuses key, model or question; or no reply at all came to one of them.
    """
    if not 1 <= samples <= MAX_SAMPLES:
        raise UserError(f"--samples is {samples}: give a number from 1 to {MAX_SAMPLES}.")
    limit = at_once or (1 if endpoint.is_local else _AT_ONCE)
    return _run(_ask_all(questions, endpoint, samples, cache, refresh, limit, on_reply))


def _run(work: Coroutine[Any, Any, list[Asked]]) -> list[Asked]:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:  # in a notebook a loop runs already
        return pool.submit(asyncio.run, work).result()


async def _ask_all(
    questions: Sequence[Question],
    endpoint: Endpoint,
    samples: int,
    cache: AskCache | None,
    refresh: bool,
    at_once: int,
    on_reply: Callable[[int], object],
) -> list[Asked]:
    done: list[Asked] = []
    gate = asyncio.Semaphore(at_once)
    async with Chat(endpoint) as chat:
        proven = False
        for question in questions:
            key = CacheKey(
                question=question.hash,
                scale=question.scale,
                model=endpoint.model,
                base_url=endpoint.base_url,
                temperature=endpoint.temperature,
            )
            job = _Job(question, key)
            if cache is not None and not refresh:
                job.replies = cache.load(key)[:samples]
            kept = len(job.replies)
            on_reply(kept)
            missing = samples - kept
            if missing and not proven:
                # One alone first: a wrong key or address is found with one request, not with four.
                await _one_reply(chat, job, gate, cache, on_reply)
                missing -= 1
                proven = not job.failures
            if missing and (proven or job.replies):
                await _several(missing, chat, job, gate, cache, on_reply)
            if not job.replies:
                raise _nothing_came(job, endpoint, done, kept_in_cache=cache is not None)
            done.append(Asked(question, endpoint, samples, tuple(job.replies), tuple(job.failures), kept))
    return done


async def _several(
    count: int,
    chat: Chat,
    job: _Job,
    gate: asyncio.Semaphore,
    cache: AskCache | None,
    on_reply: Callable[[int], object],
) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(_one_reply(chat, job, gate, cache, on_reply))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _one_reply(
    chat: Chat,
    job: _Job,
    gate: asyncio.Semaphore,
    cache: AskCache | None,
    on_reply: Callable[[int], object],
) -> None:
    async with gate:
        try:
            reply = await chat.ask(job.question)
        except NoReply as failure:
            job.failures.append(str(failure))
        else:
            job.replies.append(reply)
            if cache is not None:
                cache.save(job.key, job.question.prompt, job.replies)
        on_reply(1)


def _nothing_came(job: _Job, endpoint: Endpoint, done: list[Asked], *, kept_in_cache: bool) -> UserError:
    again = (
        f" The replies to {len(done)} prompts before it are kept: the same command goes on from there."
        if done and kept_in_cache
        else ""
    )
    return UserError(
        f"No reply came from {endpoint.base_url} to {job.question.prompt[:60]!r}: {job.failures[-1]}. Check "
        f"that the server runs, its address (--base-url) and the time it is given (--timeout).{again}"
    )
