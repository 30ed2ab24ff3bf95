"""Sends a probe's requests through the adviser's connection; all of this package that knows it."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
from pydantic import BaseModel, ValidationError

from fairgen.probe.asks import Ask, Heard
from fairgen.targets.sources.endpoint import Chat, Endpoint, NoReply, _BodyRefused
from fairgen.targets.sources.plain_text import escaped
from fairgen.targets.sources.reply import MAX_CHARACTERS

__all__ = ["Endpoint", "NoReply", "ProbeChat"]

_REFUSES_AN_OPTION = (400, 415, 422, 501)


class _Likely(BaseModel):
    token: str
    logprob: float


class _Place(_Likely):
    top_logprobs: list[_Likely] = []


class _Logprobs(BaseModel):
    content: list[_Place] | None = None


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(BaseModel):
    choices: list[_Choice]
    model: str | None = None
    usage: _Usage | None = None


class ProbeChat(Chat):
    """A connection for use with ``async with``; `hear` may run several times at once.

    What the server refuses (a JSON schema, log-probabilities, a seed) is left out from then on.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._refused: list[str] = []

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the server refused: ``schema``, ``letters``, ``seed``."""
        return tuple(self._refused)

    async def hear(self, ask: Ask) -> Heard:
        """One reply.

        Raises:
            NoReply: none came; asking again later may help.
            UserError: asking again cannot help: wrong key, no such model, a request that the server refuses.
        """
        try:
            async with asyncio.timeout(3 * self.endpoint.seconds):
                return await self._hear(ask)
        except openai.OpenAIError as error:
            self._explain(error)
        except TimeoutError:
            raise NoReply(f"no answer within {3 * self.endpoint.seconds:g} seconds") from None
        except _BodyRefused as error:
            raise NoReply(str(error)) from None

    async def _hear(self, ask: Ask) -> Heard:
        # What is missed least is left out first.
        wanted = ["seed", *(["schema"] if ask.schema else []), *(["letters"] if ask.letters else [])]
        options = [option for option in wanted if option not in self._refused]
        dropped: list[str] = []
        while True:
            try:
                heard = await self._send(ask, options)
            except openai.APIStatusError as error:
                if not options or error.status_code not in _REFUSES_AN_OPTION:
                    raise
                dropped.append(options.pop(0))
            else:
                self._refused += [option for option in dropped if option not in self._refused]
                return heard

    async def _send(self, ask: Ask, options: list[str]) -> Heard:
        given: dict[str, Any] = {"max_completion_tokens": ask.max_tokens}
        if "schema" in options:
            schema = {"name": "target", "strict": True, "schema": ask.schema}
            given["response_format"] = {"type": "json_schema", "json_schema": schema}
        if "letters" in options:
            given |= {"logprobs": True, "top_logprobs": 20}
        if "seed" in options:
            given["seed"] = ask.seed
        if self.endpoint.temperature is not None:
            given["temperature"] = self.endpoint.temperature
        response = await self._client.chat.completions.with_raw_response.create(
            model=self.endpoint.model,
            messages=ask.messages,  # type: ignore[arg-type]  # plain dictionaries of the same shape
            **given,
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
        return Heard(
            text=escaped(text[: MAX_CHARACTERS + 1]),  # one more than is parsed, so that it stays too long
            refused=bool(refusal),
            finish=self._words(choice.finish_reason) if choice.finish_reason else None,
            served_model=self._words(completion.model) if completion.model else None,
            structured="schema" in options,
            first=_first(choice.logprobs) if "letters" in options else None,
            tokens_in=usage.prompt_tokens,
            tokens_out=usage.completion_tokens,
        )


def _first(logprobs: _Logprobs | None) -> dict[str, float] | None:
    if logprobs is None or not logprobs.content:
        return None
    place = logprobs.content[0]
    # Sampled once more in front: some servers list the likely tokens without the one that was drawn.
    return {likely.token: likely.logprob for likely in (place, *place.top_logprobs)}
