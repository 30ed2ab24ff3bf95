"""One question to an OpenAI-compatible endpoint, bounded in time, size and tries; all that knows openai."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import urlsplit

import httpx2
import openai
from pydantic import BaseModel, ValidationError

from fairgen.common.files import now
from fairgen.errors import UserError
from fairgen.targets.sources.ask_cache import RawReply
from fairgen.targets.sources.plain_text import escaped, readable, without
from fairgen.targets.sources.reply import MAX_CHARACTERS

if TYPE_CHECKING:
    from fairgen.targets.sources.question import Question

__all__ = ["Chat", "Endpoint", "NoReply", "given_key"]

_OPENAI = "https://api.openai.com/v1"
_NO_KEY = "no-key"  # the openai package wants one; local servers ignore it
_MAX_TOKENS = 16_384
_SECRET_LENGTH = 12  # shorter "keys" are placeholders such as "ollama", which may stand in a reply
_REFUSES_SCHEMA = (400, 415, 422, 501)


class NoReply(Exception):
    """No reply came for one request, after all tries; the message says why."""


class _BodyRefused(Exception):
    """A reply's body is not read any further; the message says why."""


@dataclass(frozen=True)
class Endpoint:
    """Whom to ask, and how patiently.

    Attributes:
        base_url: of the API, usually ending in ``/v1``.
        temperature: 0 to 2; None leaves it to the server (some models refuse to be told).
        seconds: one request may take; all tries for one reply together may take three times as long.
        retries: further tries after 408, 409, 429, 5xx, a broken connection or silence. The openai package
            waits as long as ``Retry-After`` says and gives up where that is above 2 minutes; without it, it
            waits half a second, then twice as long.
        max_bytes: of one HTTP reply; what is longer is cut off while it arrives, and counts as no reply.
    """

    model: str
    base_url: str = _OPENAI
    temperature: float | None = None
    seconds: float = 180.0
    retries: int = 2
    max_bytes: int = 1024 * 1024

    @classmethod
    def named(
        cls,
        model: str,
        base_url: str | None = None,
        *,
        temperature: float | None = None,
        seconds: float = 180.0,
    ) -> Endpoint:
        """An endpoint at ``base_url``, or else at ``OPENAI_BASE_URL``, or else at OpenAI.

        Raises:
            UserError: the model's name is empty; the address is none, or carries a password; OpenAI itself is
                asked without a key.
        """
        url = (base_url or os.environ.get("OPENAI_BASE_URL") or _OPENAI).strip().rstrip("/")
        if not model.strip() or not model.isprintable() or len(model) > 200:
            raise UserError("The model's name is empty, too long or not printable: give --model a name.")
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable()
            _ = parts.port
        except ValueError:
            good = False
        if not good:
            raise UserError("The base URL is no web address: it looks like http://localhost:11434/v1.")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise UserError(
                "The base URL carries a password or a query: leave them out; a key goes into OPENAI_API_KEY."
            )
        if url == _OPENAI and _key() == _NO_KEY:
            raise UserError(
                "OPENAI_API_KEY is not set: set it, or name another server, such as "
                "--base-url http://localhost:11434/v1 for Ollama."
            )
        return cls(model.strip(), url, temperature, seconds)

    @property
    def is_local(self) -> bool:
        """The server runs on this machine."""
        return urlsplit(self.base_url).hostname in ("localhost", "127.0.0.1", "::1")


_given: ContextVar[str | None] = ContextVar("given_key", default=None)


@contextmanager
def given_key(key: str | None) -> Iterator[None]:
    """Within the block, ask with this key instead of the environment's: "" is no key, None the environment's.

    For a server whose visitors bring their own. The key is kept nowhere else.
    """
    token = _given.set(key)
    try:
        yield
    finally:
        _given.reset(token)


def _key() -> str:
    """The key from `given_key`, or else from the environment; nothing else is asked for it.

    Raises:
        UserError: it cannot be sent in a header; the message does not show it.
    """
    given = _given.get()
    key = (os.environ.get("OPENAI_API_KEY", "") if given is None else given).strip()
    if not key.isascii() or (key and not key.isprintable()):
        name = "OPENAI_API_KEY" if given is None else "The key"
        raise UserError(f"{name} holds characters that no key has: copy it again.")
    return key or _NO_KEY


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(BaseModel):
    """The part of a chat completion that is used; everything else is ignored."""

    choices: list[_Choice]
    model: str | None = None
    usage: _Usage | None = None


class Chat:
    """A connection to an endpoint, for use with ``async with``; `ask` may run several times at once.

    Where the server refuses a JSON schema, this and all later questions are asked in words alone.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._key = _key()
        self._structured = True
        self._client = openai.AsyncOpenAI(
            api_key=self._key,
            base_url=endpoint.base_url,
            timeout=httpx2.Timeout(endpoint.seconds, connect=min(10.0, endpoint.seconds)),
            max_retries=endpoint.retries,
            default_headers={"Accept-Encoding": "identity"},  # else a small reply could unpack to a huge one
            http_client=openai.DefaultAsyncHttpxClient(event_hooks={"response": [self._bound]}),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def _bound(self, response: httpx2.Response) -> None:
        """Runs before the body is read, whatever the status."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise _BodyRefused("the server packed its reply, although it was asked not to")
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream, self.endpoint.max_bytes)

    async def ask(self, question: Question) -> RawReply:
        """One reply.

        Raises:
            NoReply: none came; asking again later may help.
            UserError: asking again cannot help: wrong key, no such model, a request that the server refuses.
        """
        try:
            async with asyncio.timeout(3 * self.endpoint.seconds):
                try:
                    return await self._ask(question, structured=self._structured)
                except openai.APIStatusError as error:
                    if not self._structured or error.status_code not in _REFUSES_SCHEMA:
                        raise
                reply = await self._ask(question, structured=False)
                self._structured = False
                return reply
        except openai.OpenAIError as error:
            self._explain(error)
        except TimeoutError:
            raise NoReply(f"no answer within {3 * self.endpoint.seconds:g} seconds") from None
        except _BodyRefused as error:
            raise NoReply(str(error)) from None

    async def _ask(self, question: Question, *, structured: bool) -> RawReply:
        options: dict[str, Any] = {}
        if structured:
            schema = {"name": "target", "strict": True, "schema": question.schema}
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
            options["max_completion_tokens"] = _MAX_TOKENS
        if self.endpoint.temperature is not None:
            options["temperature"] = self.endpoint.temperature
        response = await self._client.chat.completions.with_raw_response.create(
            model=self.endpoint.model, messages=[{"role": "user", "content": question.text}], **options
        )
        try:
            completion = _Completion.model_validate_json(response.content)
            choice = completion.choices[0]
        except (ValidationError, IndexError):
            kind = response.headers.get("content-type", "no content type").partition(";")[0]
            raise NoReply(
                f"the server answered with something else than a chat completion ({self._words(kind)})"
            ) from None
        usage = completion.usage or _Usage()
        refusal = choice.message.refusal
        text = self._without_key(refusal or choice.message.content or "")
        if len(text) > MAX_CHARACTERS:
            text = text[: MAX_CHARACTERS + 1]  # one more than is parsed, so that it stays too long
        return RawReply(
            text=escaped(text),
            refused=bool(refusal),
            finish=self._words(choice.finish_reason) if choice.finish_reason else None,
            served_model=self._words(completion.model) if completion.model else None,
            structured=structured,
            tokens_in=usage.prompt_tokens,
            tokens_out=usage.completion_tokens,
            asked_at=now(),
        )

    def _without_key(self, text: str) -> str:
        return without(self._key, text) if len(self._key) >= _SECRET_LENGTH else text

    def _words(self, text: str) -> str:
        """A server's words for a message: one short line that no terminal obeys, without the key."""
        return " ".join(readable(self._without_key(text))[0].split())[:160]

    def _explain(self, error: openai.OpenAIError) -> NoReturn:
        """Turn an error of the package into ours. What a server says about a wrong key may quote the key."""
        url, model = self.endpoint.base_url, self.endpoint.model
        match error:
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                raise UserError(
                    f"{url} refuses the key (HTTP {error.status_code}): set OPENAI_API_KEY to one that may "
                    f"use {model!r}."
                ) from None
            case openai.NotFoundError():
                raise UserError(
                    f"{url} knows no model {model!r}, or is not an OpenAI-compatible address, which usually "
                    f"ends in /v1 (HTTP 404{self._server_words(error)})."
                ) from None
            case openai.RateLimitError():
                wait = error.response.headers.get("retry-after")
                wish = f"; it asks to wait {self._words(wait)} seconds" if wait else ""
                raise NoReply(f"too many requests, or no credit left (HTTP 429{wish})") from None
            case openai.APIStatusError() if error.status_code < 500 and error.status_code not in (408, 409):
                raise UserError(
                    f"{url} refuses the question to {model!r} (HTTP {error.status_code}"
                    f"{self._server_words(error)}): check --model and --base-url."
                ) from None
            case openai.APIStatusError():
                raise NoReply(f"the server failed (HTTP {error.status_code})") from None
            case openai.APITimeoutError():
                raise NoReply(f"no answer within {self.endpoint.seconds:g} seconds") from None
            case openai.APIConnectionError():
                cause = self._words(str(error.__cause__ or error)) or "no reason given"
                raise NoReply(f"the connection failed ({cause})") from None
            case _:
                raise NoReply(f"the request failed ({type(error).__name__})") from None

    def _server_words(self, error: openai.APIStatusError) -> str:
        body = error.body
        said = body.get("message") if isinstance(body, dict) else None
        return f": {self._words(said)}" if isinstance(said, str) and said.strip() else ""


class _Bounded(httpx2.AsyncByteStream):
    """Passes a reply's bytes on, and stops when they become too many."""

    def __init__(self, stream: httpx2.AsyncByteStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in self._stream:
            seen += len(chunk)
            if seen > self._limit:
                raise _BodyRefused(f"the reply is larger than {self._limit // 1024} KiB and was cut off")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
