"""One request of a probe and what came back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fairgen.common.documents import Fixed

__all__ = ["Ask", "Heard"]


@dataclass(frozen=True)
class Ask:
    """A request.

    Attributes:
        name: of its place in the probe, such as ``policy/monitored/0/17``; unique in a probe.
        system: the system message; empty: none is sent.
        user: the user's message.
        schema: JSON Schema of the reply; None: free text.
        max_tokens: the longest reply.
        letters: ask for the log-probabilities of the first token.
    """

    name: str
    system: str
    user: str
    schema: dict[str, Any] | None = None
    max_tokens: int = 4_096
    letters: bool = False

    @cached_property
    def key(self) -> str:
        """64 hex digits of everything that the reply depends on, and of its place."""
        content = [self.name, self.system, self.user, self.schema, self.max_tokens, self.letters]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @cached_property
    def seed(self) -> int:
        """Sent to the server, from 0 to 2**31 - 1: no two requests share one."""
        return int(self.key[:8], 16) >> 1

    @property
    def messages(self) -> list[dict[str, str]]:
        """As the chat protocol has them."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.user}]


class Heard(Fixed):
    """A reply, as it came.

    Attributes:
        text: what the model wrote, hidden characters as ``\\uXXXX``.
        refused: the server marks it as a refusal.
        finish: the server's word for why it stopped.
        served_model: the model's name as the server reports it.
        structured: it was asked for by JSON schema, and not only by words.
        first: log-probability of each likely first token; None where the server gives none.
        tokens_in: as the server counts them; None where it does not say.
        tokens_out: likewise.
    """

    text: str
    refused: bool = False
    finish: str | None = None
    served_model: str | None = None
    structured: bool = False
    first: dict[str, float] | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
