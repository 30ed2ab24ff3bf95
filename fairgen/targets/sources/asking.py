"""Several replies to each question, from cache or endpoint; each is kept as soon as it is there.

A reply that cannot be used is asked for once more, with the reason.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fairgen.errors import UserError
from fairgen.targets.sources.ask_cache import AskCache, CacheKey, RawReply
from fairgen.targets.sources.endpoint import Chat, Endpoint, Message, NoReply, Schema, messages, run
from fairgen.targets.sources.question import Question

__all__ = ["MAX_SAMPLES", "Asked", "Judge", "Tokens", "ask", "tokens"]

MAX_SAMPLES = 20
_AT_ONCE = 4
_QUOTED = 1_500
"""Characters of a reply that are sent back with the reason why it cannot be used."""

Judge = Callable[[RawReply], str | None]
"""Why a reply cannot be used though asking again may help, in words for the model; None: nothing to ask."""


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
    read = _total(reply.tokens_in for reply in fresh)
    written = _total(reply.tokens_out for reply in fresh)
    return Tokens(read, written, len(fresh), sum(one.from_cache for one in asked))


def _total(counts: Iterable[int | None]) -> int | None:
    """The sum; None where one of them is not known."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


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
    judge: Judge = lambda _reply: None,
    on_reply: Callable[[int], object] = lambda _count: None,
) -> list[Asked]:
    """Ask each question until ``samples`` replies are there, or as many as come.

    Args:
        questions: on one scale or several.
        endpoint: whom to ask.
        samples: 1 to 20 replies a question.
        cache: where replies are looked for first and kept; None: neither.
        refresh: do not look there, but keep what comes instead of what was kept.
        at_once: requests under way at the same time; by default 4, and 1 where the server is this machine.
        judge: says why a reply cannot be used; such a reply is asked for once more with these words, and the
            second takes its place, whatever it is.
        on_reply: told how many replies (or failures) there are more, for a progress bar.

    Raises:
        UserError: the endpoint refuses key, model or question; or no reply at all came to one of them.
    """
    if not 1 <= samples <= MAX_SAMPLES:
        raise UserError(f"--samples is {samples}: give a number from 1 to {MAX_SAMPLES}.")
    limit = at_once or (1 if endpoint.is_local else _AT_ONCE)

    async def work() -> list[Asked]:
        done: list[Asked] = []
        async with Chat(endpoint) as chat:
            asker = _Asker(chat, cache, judge, on_reply, asyncio.Semaphore(limit))
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
                    await asker.one_more(job)
                    missing -= 1
                    proven = not job.failures
                if proven or job.replies:
                    await asker.the_rest(job, missing)
                if not job.replies:
                    raise _nothing_came(job, endpoint, done, kept_in_cache=cache is not None)
                done.append(Asked(question, endpoint, samples, tuple(job.replies), tuple(job.failures), kept))
        return done

    return run(work())


@dataclass(frozen=True)
class _Asker:
    """Asks for replies, a bounded number at the same time."""

    chat: Chat
    cache: AskCache | None
    judge: Judge
    on_reply: Callable[[int], object]
    gate: asyncio.Semaphore

    async def the_rest(self, job: _Job, missing: int) -> None:
        """So many more replies, and second ones in place of kept ones that were never asked for again."""
        again = [place for place in range(len(job.replies)) if self._wants_another(job.replies[place])]
        try:
            async with asyncio.TaskGroup() as group:
                for place in again:
                    group.create_task(self._second(job, place))
                for _ in range(missing):
                    group.create_task(self.one_more(job))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def one_more(self, job: _Job) -> None:
        """One more reply, or the reason why none came."""
        async with self.gate:
            try:
                reply = await self.chat.say(messages(job.question.text), schema=_schema(job.question))
            except NoReply as failure:
                job.failures.append(str(failure))
                self.on_reply(1)
                return
            place = len(job.replies)
            job.replies.append(reply)
            self._keep(job)
        if self._wants_another(reply):
            await self._second(job, place)
        self.on_reply(1)

    def _wants_another(self, reply: RawReply) -> bool:
        return reply.asked_again is None and self.judge(reply) is not None

    async def _second(self, job: _Job, place: int) -> None:
        """Ask once more for a reply that cannot be used; the first stays where none comes."""
        first = job.replies[place]
        reason = self.judge(first) or ""
        said: Message = {"role": "assistant", "content": first.text[:_QUOTED] or "(nothing)"}
        why: Message = {"role": "user", "content": _again(reason, brief=first.finish == "length")}
        async with self.gate:
            try:
                second = await self.chat.say(
                    [*messages(job.question.text), said, why], schema=_schema(job.question)
                )
            except NoReply as failure:
                job.failures.append(f"a second answer: {failure}")
                kept = first.model_copy(update={"asked_again": reason})
            else:
                spent = {
                    "tokens_in": _total((first.tokens_in, second.tokens_in)),
                    "tokens_out": _total((first.tokens_out, second.tokens_out)),
                }
                kept = second.model_copy(update={"first": first.text, "asked_again": reason, **spent})
            job.replies[place] = kept
            self._keep(job)

    def _keep(self, job: _Job) -> None:
        if self.cache is not None:
            self.cache.save(job.key, job.question.prompt, job.replies)


def _schema(question: Question) -> Schema:
    return {"name": "target", "schema": question.schema}


def _again(reason: str, *, brief: bool) -> str:
    shorter = " Be brief: one short sentence for each text, and one citation at most." if brief else ""
    return (
        f"That cannot be used: {reason}. Answer once more, with one JSON object of the form that I gave and "
        f"nothing else.{shorter}"
    )


def _nothing_came(job: _Job, endpoint: Endpoint, done: list[Asked], *, kept_in_cache: bool) -> UserError:
    again = (
        f" The replies to {len(done)} prompts before it are kept: run the same command again to continue."
        if done and kept_in_cache
        else ""
    )
    return UserError(
        f"No reply came from {endpoint.base_url} to {job.question.prompt[:60]!r}: {job.failures[-1]}. Check "
        f"that the server runs, its address (--base-url) and the time it is given (--timeout).{again}"
    )
