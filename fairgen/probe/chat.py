"""Sends a probe's requests through the adviser's connection; all of this package that knows it."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
from pydantic import BaseModel, ValidationError

from fairgen.probe.asks import Ask, Heard
from fairgen.targets.sources.endpoint import Chat, Endpoint, NoReply, Schema, _BodyRefused, messages, run
from fairgen.targets.sources.plain_text import MAX_CHARACTERS, escaped, without

__all__ = ["Endpoint", "NoReply", "ProbeChat", "run"]

_REFUSES_AN_OPTION = (400, 415, 422, 501)
_LIKELY = 20
"""Likely tokens that are asked for: the most that OpenAI and vLLM give."""
_HALF = ("stalled", "broken off")


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

    What the server refuses (a JSON schema, a seed) is left out from then on.
    """

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the server refused: ``schema``, ``seed``."""
        return tuple(name for name in ("schema", "seed") if not getattr(self._form, name))

    async def hear(self, ask: Ask) -> Heard:
        """One reply.

        Raises:
            NoReply: none came; asking again later may help.
            UserError: asking again cannot help: wrong key, no such model, a request that the server refuses.
        """
        if not ask.letters:
            return await self._hear_text(ask)
        try:
            async with asyncio.timeout(3 * self.endpoint.seconds):
                return await self._hear_letters(ask)
        except openai.OpenAIError as error:
            self._explain(error)
        except TimeoutError:
            raise NoReply(f"no answer within {3 * self.endpoint.seconds:g} seconds") from None
        except _BodyRefused as error:
            raise NoReply(str(error)) from None

    async def _hear_text(self, ask: Ask) -> Heard:
        schema: Schema | None = None if ask.schema is None else {"name": "target", "schema": ask.schema}
        reply = await self.say(
            messages(ask.user, system=ask.system or None),
            schema=schema,
            max_tokens=ask.max_tokens,
            seed=ask.seed,
        )
        if reply.finish in _HALF:
            raise NoReply(f"the reply was {reply.finish}")
        return Heard(
            text=reply.text,
            refused=reply.refused,
            finish=reply.finish,
            served_model=reply.served_model,
            structured=reply.structured,
            tokens_in=reply.tokens_in,
            tokens_out=reply.tokens_out,
        )

    async def _hear_letters(self, ask: Ask) -> Heard:
        """In plainer forms where the server refuses a seed, and then log-probabilities."""
        odds: dict[str, Any] = {"logprobs": True, "top_logprobs": _LIKELY}
        for options in (odds | {"seed": ask.seed}, odds):
            try:
                return await self._send(ask, options)
            except openai.APIStatusError as error:
                if error.status_code not in _REFUSES_AN_OPTION:
                    raise
        return await self._send(ask, {})

    async def _send(self, ask: Ask, options: dict[str, Any]) -> Heard:
        if self.endpoint.temperature is not None:
            options = options | {"temperature": self.endpoint.temperature}
        bound = "max_completion_tokens" if self._form.new_name else "max_tokens"
        create: Any = self._client.chat.completions.with_raw_response.create
        response = await create(
            model=self.endpoint.model, messages=ask.messages, **{bound: ask.max_tokens}, **options
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
        text = without(self._key, refusal or choice.message.content or "")
        return Heard(
            text=escaped(text[: MAX_CHARACTERS + 1]),  # one more than is parsed, so that it stays too long
            refused=bool(refusal),
            finish=self._words(choice.finish_reason) if choice.finish_reason else None,
            served_model=self._words(completion.model) if completion.model else None,
            first=_first(choice.logprobs),
            tokens_in=usage.prompt_tokens,
            tokens_out=usage.completion_tokens,
        )


def _first(logprobs: _Logprobs | None) -> dict[str, float] | None:
    if logprobs is None or not logprobs.content:
        return None
    place = logprobs.content[0]
    # Sampled once more in front: some servers list the likely tokens without the one that was drawn.
    return {likely.token: likely.logprob for likely in (place, *place.top_logprobs)}
