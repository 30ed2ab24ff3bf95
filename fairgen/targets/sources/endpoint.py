"""Messages to an OpenAI-compatible endpoint, bounded in time, size and tries; all that knows openai.

`Chat` holds a conversation for code that runs in an event loop already; `run` gives others its result.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NoReturn, Self, TypedDict, TypeVar

import httpx2
import openai
from pydantic import BaseModel, ValidationError

from fairgen.common.files import now
from fairgen.errors import UserError
from fairgen.targets.sources.ask_cache import RawReply
from fairgen.targets.sources.plain_text import MAX_CHARACTERS, escaped, readable, without
from fairgen.targets.sources.request_form import MAX_TOKENS, RequestForm, Schema, said_in
from fairgen.targets.sources.server import OPENAI, Endpoint, given_key, key_to_use
from fairgen.targets.sources.stream import BrokenOff, NoCompletion, Received, receive

__all__ = ["Chat", "Endpoint", "Message", "NoReply", "Schema", "given_key", "messages", "run"]

_STREAM_BYTES = 4  # events are many times the size of the text that they carry
_LOOKING_SECONDS = 5.0

_Result = TypeVar("_Result")


class NoReply(Exception):
    """No reply came for one request, after all tries; the message says why."""


class _BodyRefused(Exception):
    """A reply's body is not read any further; the message says why."""


class Message(TypedDict):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


def messages(user: str, *, system: str | None = None) -> list[Message]:
    """A conversation that begins: a user's message, after a system message where one is given."""
    first: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    return [*first, {"role": "user", "content": user}]


class _Model(BaseModel):
    """A model as the server lists it."""

    id: str = ""
    owned_by: str | None = None
    max_model_len: int | None = None


class _Models(BaseModel):
    data: list[_Model]


@dataclass
class _Turn:
    """One reply under way."""

    conversation: Sequence[Message]
    schema: Schema | None
    max_tokens: int
    seed: int | None
    form: RequestForm
    received: Received = field(default_factory=Received)
    kind: str = "no content type"

    def keep_or_raise(self, finish: str, reason: str) -> None:
        """Keep what has come of the text, or raise `NoReply`."""
        if not self.received.has_text:
            raise NoReply(reason) from None
        self.received.finish = finish


class Chat:
    """A connection to an endpoint, for use with ``async with``; `say` may run several times at once.

    What a server refuses (a JSON schema, a parameter, so many tokens) is left out of all later requests.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._key = key_to_use()
        self._form = RequestForm(new_name=endpoint.base_url == OPENAI)
        self._looking = asyncio.Lock()
        self._looked = endpoint.base_url == OPENAI
        self._http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [self._bound]})
        self._client = openai.AsyncOpenAI(
            api_key=self._key,
            base_url=endpoint.base_url,
            timeout=httpx2.Timeout(endpoint.seconds, connect=min(10.0, endpoint.seconds)),
            max_retries=endpoint.retries,
            default_headers={"Accept-Encoding": "identity"},  # else a small reply could unpack to a huge one
            http_client=self._http,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.close()

    async def _bound(self, response: httpx2.Response) -> None:
        """Runs before the body is read, whatever the status."""
        if response.headers.get("content-encoding", "identity") != "identity":
            raise _BodyRefused("the server packed its reply, although it was asked not to")
        if isinstance(response.stream, httpx2.AsyncByteStream):
            limit = self.endpoint.max_bytes * (_STREAM_BYTES if _streams(response.headers) else 1)
            response.stream = _Bounded(response.stream, limit)

    async def say(
        self,
        conversation: Sequence[Message],
        *,
        schema: Schema | None = None,
        max_tokens: int = MAX_TOKENS,
        seed: int | None = None,
    ) -> RawReply:
        """One reply. What has come of a stream that stalls or breaks is kept, and its ``finish`` says so.

        Args:
            conversation: the messages so far, the newest last.
            schema: of the reply, for servers with structured output. The words must ask for JSON as well,
                since a server that refuses the schema is asked without it.
            max_tokens: most tokens of the reply, thinking included. A server that allows fewer has its way.
            seed: of the server's sampling; None: its own.

        Raises:
            NoReply: none came; asking again later may help.
            UserError: asking again cannot help: wrong key, no such model, a request that the server refuses.
        """
        turn = _Turn(conversation, schema, max_tokens, seed, self._form)
        try:
            async with asyncio.timeout(3 * self.endpoint.seconds):
                await self._look_for_limit()
                turn.form = self._form
                await self._settle(turn)
        except openai.OpenAIError as error:
            self._explain(error)
        except NoCompletion:
            raise NoReply(
                f"the server answered with something else than a chat completion ({turn.kind})"
            ) from None
        except _BodyRefused as error:
            raise NoReply(str(error)) from None
        except (TimeoutError, httpx2.TimeoutException) as error:
            seconds = self.endpoint.seconds * (3 if isinstance(error, TimeoutError) else 1)
            turn.keep_or_raise("stalled", f"no answer within {seconds:g} seconds")
        except httpx2.TransportError as error:
            reason = self._words(str(error)) or "no reason given"
            turn.keep_or_raise("broken off", f"the connection failed ({reason})")
        except BrokenOff as error:
            reason = self._words(str(error)) or "no reason given"
            turn.keep_or_raise("broken off", f"the server broke off its reply ({reason})")
        return self._kept(turn)

    async def _look_for_limit(self) -> None:
        """Ask the server once what it allows. llama.cpp's own limit gives way to that of a request, and
        nothing tells what it is: there the request names none, and the stream is hung up on instead.
        """
        async with self._looking:
            if self._looked:
                return
            self._looked = True
            try:
                found = await self._http.get(
                    f"{self.endpoint.base_url}/models",
                    headers={"Authorization": f"Bearer {self._key}", "Accept-Encoding": "identity"},
                    timeout=min(_LOOKING_SECONDS, self.endpoint.seconds),
                )
                models = _Models.model_validate_json(found.content).data
            except (httpx2.HTTPError, _BodyRefused, ValidationError):
                return  # a courtesy: whether the server runs is found out by the question itself
            if any(model.owned_by == "llamacpp" for model in models):
                self._form = replace(self._form, bounded=False)
            rooms = [m.max_model_len for m in models if m.id == self.endpoint.model and m.max_model_len]
            if rooms:  # vLLM's, for question and reply together
                self._form = replace(self._form, limit=max(1, min(MAX_TOKENS, min(rooms) // 2)))

    async def _settle(self, turn: _Turn) -> None:
        """Ask in ever plainer forms until the server takes one, which is then kept for later."""
        while True:
            try:
                await self._try(turn)
            except openai.APIStatusError as error:
                plainer = turn.form.without_refused(error, schema=turn.schema is not None)
                if plainer is None:
                    raise
                turn.form = plainer
            else:
                self._form = turn.form
                return

    async def _try(self, turn: _Turn) -> None:
        """One request; again where the connection breaks while the reply comes."""
        for pause in [*(0.5 * 2**k for k in range(self.endpoint.retries)), None]:
            turn.received = Received()
            try:
                return await self._request(turn)
            except httpx2.TimeoutException:
                raise
            except (httpx2.TransportError, BrokenOff):
                if pause is None:
                    raise
                await asyncio.sleep(pause)

    async def _request(self, turn: _Turn) -> None:
        options = turn.form.options(turn.schema, turn.max_tokens)
        if self.endpoint.temperature is not None:
            options["temperature"] = self.endpoint.temperature
        if turn.seed is not None and turn.form.seed:
            options["seed"] = turn.seed
        sent: Any = list(turn.conversation)
        async with self._client.chat.completions.with_streaming_response.create(
            model=self.endpoint.model, messages=sent, stream=True, **options
        ) as response:
            kind = response.headers.get("content-type", "no content type").partition(";")[0]
            turn.kind = self._words(kind)
            most = min(turn.max_tokens, turn.form.limit)
            await receive(
                response.iter_bytes(), turn.received, streams=_streams(response.headers), max_pieces=most
            )

    def _kept(self, turn: _Turn) -> RawReply:
        got = turn.received
        return RawReply(
            # One character more than is parsed, so that what is too long stays so.
            text=escaped(without(self._key, got.text)[: MAX_CHARACTERS + 1]),
            refused=bool(got.refused),
            form=got.form,
            thought=got.thought,
            finish=self._words(got.finish) if got.finish else None,
            served_model=self._words(_last_part(got.model)) if got.model else None,
            structured=turn.schema is not None and turn.form.schema,
            tokens_in=got.tokens_in,
            tokens_out=got.tokens_out,
            asked_at=now(),
        )

    def _words(self, text: str) -> str:
        """A server's words for a message: one short line that no terminal obeys, without the key."""
        return " ".join(readable(without(self._key, text))[0].split())[:160]

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
        said = said_in(error)
        return f": {self._words(said)}" if said.strip() else ""


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """The result of a coroutine, also where an event loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, asyncio.run, work).result()


def _streams(headers: httpx2.Headers) -> bool:
    return "event-stream" in headers.get("content-type", "")


def _last_part(name: str) -> str:
    """A served model's name; of a path, as some servers have it, the file alone."""
    return re.split(r"[/\\]", name)[-1] if re.match(r"/|~|\.|[A-Za-z]:\\", name) else name


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
