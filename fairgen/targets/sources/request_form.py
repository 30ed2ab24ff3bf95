"""The parameters of a request that not every server takes, and what is left out where one refuses them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import openai

__all__ = ["MAX_TOKENS", "RequestForm", "Schema", "said_in"]

MAX_TOKENS = 4_096
"""Most tokens of one reply, thinking included; fewer where the server allows fewer."""

_LEAST_TOKENS = 256
_REFUSES_A_PARAMETER = (400, 415, 422, 501)
_TOO_MANY = re.compile(r"too (large|many|high|long)|at most|maximum|exceed|context", re.IGNORECASE)


class Schema(TypedDict):
    """The JSON Schema that a reply is held to, by servers that can, and its name (letters and digits)."""

    name: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class RequestForm:
    """What a server has been found to take: requests are made of this.

    Attributes:
        schema: a JSON Schema of the reply.
        new_name: ``max_completion_tokens``, which OpenAI wants, instead of ``max_tokens``, which all others
            know.
        renamed: the server refused the other name.
        usage: to be asked for the number of tokens at the end of a stream.
        bounded: a bound on the tokens of a reply.
        limit: most tokens of a reply.
        seed: a seed of the sampling, where one is wanted.
    """

    schema: bool = True
    new_name: bool = False
    renamed: bool = False
    usage: bool = True
    bounded: bool = True
    limit: int = MAX_TOKENS
    seed: bool = True

    def options(self, schema: Schema | None, max_tokens: int) -> dict[str, Any]:
        """The parameters of a request that not every server takes."""
        options: dict[str, Any] = {}
        if schema is not None and self.schema:
            named = {"name": schema["name"], "strict": True, "schema": schema["schema"]}
            options["response_format"] = {"type": "json_schema", "json_schema": named}
        if self.bounded:
            name = "max_completion_tokens" if self.new_name else "max_tokens"
            options[name] = min(max_tokens, self.limit)
        if self.usage:
            options["stream_options"] = {"include_usage": True}
        return options

    def without_refused(self, error: openai.APIStatusError, *, schema: bool) -> RequestForm | None:
        """The form after a request was refused: without what the server names, else without the schema;
        None where nothing is left to leave out.
        """
        if error.status_code not in _REFUSES_A_PARAMETER:
            return None
        said = said_in(error).lower()
        if "stream_options" in said and self.usage:
            return replace(self, usage=False)
        if "seed" in said and self.seed:
            return replace(self, seed=False)
        names_it = "max_tokens" in said or "max_completion_tokens" in said
        if names_it and not self.renamed and not _TOO_MANY.search(said):
            return replace(self, new_name=not self.new_name, renamed=True)
        if "token" in said and _TOO_MANY.search(said) and self.limit > _LEAST_TOKENS:
            return replace(self, limit=self.limit // 2)
        return replace(self, schema=False) if schema and self.schema else None


def said_in(error: openai.APIStatusError) -> str:
    """The server's own words, which are unsafe to show; empty where it says nothing."""
    said = error.body.get("message") if isinstance(error.body, dict) else None
    return said if isinstance(said, str) else ""
