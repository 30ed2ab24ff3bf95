"""A chat completion as it comes: whole, or as server-sent events, in every form that servers give it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from fairgen.targets.sources.plain_text import MAX_CHARACTERS

__all__ = ["BrokenOff", "Form", "NoCompletion", "Received", "receive"]

Form = Literal["text", "parts", "tool call"]
"""How a reply's text was wrapped by its server."""


class NoCompletion(Exception):
    """What came is no chat completion."""


class BrokenOff(Exception):
    """The server ended a stream with an error; the message is what it said, unsafe to show."""


class _Function(BaseModel):
    arguments: str | dict[str, Any] | None = None


class _Call(BaseModel):
    function: _Function | None = None


class _Words(BaseModel):
    """A message, or a piece of one. Keys that are not named here are ignored."""

    content: Any = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None


class _Choice(BaseModel):
    message: _Words | None = None
    delta: _Words | None = None
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Event(BaseModel):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: Any = None


@dataclass
class Received:
    """What has come of one reply so far.

    Attributes:
        written: pieces of the answer.
        called: pieces of the arguments of tool calls.
        refused: pieces of a refusal.
        thought: the model has thought aloud in a field of its own, which is not kept.
        choices: choices that were offered in all; of each event only the first is read.
        pieces: events that carried text, thinking included: at most one token each from most servers.
        finish: why it ended, in the server's word.
    """

    written: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    in_parts: bool = False
    thought: bool = False
    pieces: int = 0
    choices: int = 0
    finish: str | None = None
    model: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None

    @property
    def has_text(self) -> bool:
        """Anything came that can be kept."""
        return bool(self.written or self.called or self.refused)

    @property
    def text(self) -> str:
        """The refusal, else the answer, else the arguments of the tool calls."""
        return "".join(self.refused) or "".join(self.written) or "".join(self.called)

    @property
    def form(self) -> Form:
        """How the text was wrapped."""
        if self.called and not "".join(self.written).strip():
            return "tool call"
        return "parts" if self.in_parts else "text"

    def take(self, raw: bytes) -> None:
        """Add a whole completion, or one event of a stream.

        Raises:
            NoCompletion: it is neither.
            BrokenOff: it is an error.
        """
        try:
            event = _Event.model_validate_json(raw)
        except ValidationError:
            raise NoCompletion from None
        if event.choices is None:
            if event.error:
                raise BrokenOff(_error_words(event.error))
            raise NoCompletion
        self.model = event.model or self.model
        if event.usage:
            self.tokens_in, self.tokens_out = event.usage.prompt_tokens, event.usage.completion_tokens
        self.choices += len(event.choices)
        for choice in event.choices[:1]:
            self.finish = choice.finish_reason or self.finish
            if words := choice.message or choice.delta:
                self._take_words(words)

    def _take_words(self, words: _Words) -> None:
        before = len(self.written) + len(self.called) + len(self.refused)
        self._take_content(words.content)
        if words.refusal:
            self.refused.append(words.refusal)
        calls = [call.function for call in words.tool_calls or [] if call.function]
        for function in [*calls, *([words.function_call] if words.function_call else [])]:
            if function.arguments:
                given = function.arguments
                self.called.append(given if isinstance(given, str) else json.dumps(given))
        thinks = bool(words.reasoning_content or words.reasoning)
        self.thought |= thinks
        self.pieces += thinks or len(self.written) + len(self.called) + len(self.refused) > before

    def _take_content(self, content: Any) -> None:
        if isinstance(content, str):
            if content:
                self.written.append(content)
        elif isinstance(content, list | dict):
            self.in_parts = True
            for part in content if isinstance(content, list) else [content]:
                self._take_part(part)

    def _take_part(self, part: Any) -> None:
        if isinstance(part, str):
            self.written.append(part)
        elif isinstance(part, dict):
            kind, text = str(part.get("type", "text")), part.get("text")
            if isinstance(text, dict):  # {"type": "text", "text": {"value": "..."}}
                text = text.get("value")
            if isinstance(part.get("refusal"), str):
                self.refused.append(part["refusal"])
            elif "think" in kind or "reason" in kind:
                self.thought = True
            elif isinstance(text, str):
                self.written.append(text)
            elif "type" not in part:  # a server that has read the JSON already
                self.written.append(json.dumps(part))


async def receive(chunks: AsyncIterator[bytes], into: Received, *, streams: bool, max_pieces: int) -> None:
    """Read one HTTP body into ``into``, until it ends or is long enough.

    Args:
        chunks: the body.
        into: filled as the body comes, so that what has come is there if reading is broken off.
        streams: it consists of server-sent events.
        max_pieces: events with text after which the rest is not waited for (``finish`` is then "length"):
            who leaves the iteration hangs up, and servers stop writing when their client hangs up.

    Raises:
        NoCompletion, BrokenOff: see `Received.take`.
    """
    if not streams:
        body = b"".join([chunk async for chunk in chunks])
        if not body.lstrip().startswith(b"data:"):
            into.take(body)
            if not into.choices:
                raise NoCompletion
            return
        chunks = _once(body)
    seen = False
    async for data in _events(chunks):
        if data == b"[DONE]":
            break
        into.take(data)
        seen = True
        if into.pieces >= max_pieces or sum(map(len, into.written)) > MAX_CHARACTERS:
            into.finish = into.finish or "length"
            break
    if not seen:
        raise NoCompletion


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The data of each event. Lines end at line feeds alone: JSON may hold other line breaks raw."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if data := _data(line):
                yield data
    if data := _data(rest):
        yield data


def _data(line: bytes) -> bytes:
    name, _, value = line.partition(b":")
    return value.strip() if name.strip() in (b"data", b"error") else b""


def _error_words(error: Any) -> str:
    said = error.get("message") if isinstance(error, dict) else error
    return said if isinstance(said, str) else ""
