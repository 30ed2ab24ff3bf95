"""Whom to ask: a model at an OpenAI-compatible address, how patiently, and with which key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import urlsplit

from fairgen.common.addresses import is_web_address
from fairgen.errors import UserError

__all__ = ["NO_KEY", "OPENAI", "Endpoint", "checked_address", "given_key", "key_to_use"]

OPENAI = "https://api.openai.com/v1"
NO_KEY = "no-key"
"""Sent where there is no key: the openai package wants one, and local servers ignore it."""


@dataclass(frozen=True)
class Endpoint:
    """Whom to ask, and how patiently.

    Attributes:
        base_url: of the API, usually ending in ``/v1``.
        temperature: 0 to 2; None leaves it to the server (some models refuse to be told).
        seconds: of silence, after which a request is given up; one reply may take three times as long in
            all, tries included. What had come by then of a stream is kept.
        retries: further tries after 408, 409, 429, 5xx, a broken connection or silence. The openai package
            waits as long as ``Retry-After`` says and gives up where that is above 2 minutes; without it, it
            waits half a second, then twice as long.
        max_bytes: of one HTTP reply that is no stream, and a quarter of what a stream may have; what is
            longer is cut off while it arrives, and counts as no reply.
    """

    model: str
    base_url: str = OPENAI
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
        url = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI
        if not model.strip() or not model.isprintable() or len(model) > 200:
            raise UserError("The model's name is empty, too long or not printable: give --model a name.")
        url = checked_address(url)
        if url == OPENAI and key_to_use() == NO_KEY:
            raise UserError(
                "OPENAI_API_KEY is not set: set it, or name another server, such as "
                "--base-url http://localhost:11434/v1 for Ollama."
            )
        return cls(model.strip(), url, temperature, seconds)

    @property
    def is_local(self) -> bool:
        """The server runs on this machine."""
        return urlsplit(self.base_url).hostname in ("localhost", "127.0.0.1", "::1")


def checked_address(url: str, what: str = "The base URL", key: str = "OPENAI_API_KEY") -> str:
    """The address of an API without white space and slashes at its end.

    Args:
        url: the address. what: what it is called in messages. key: the variable that a key goes into.

    Raises:
        UserError: it is no web address, or carries a password or a query.
    """
    url = url.strip().rstrip("/")
    if not (is_web_address(url) and url.isprintable()):
        raise UserError(f"{what} is no web address: it looks like http://localhost:11434/v1.")
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UserError(f"{what} carries a password or a query: leave them out; a key goes into {key}.")
    return url


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


def key_to_use() -> str:
    """The key from `given_key`, or else from the environment; nothing else is asked for it.

    Raises:
        UserError: it cannot be sent in a header; the message does not show it.
    """
    given = _given.get()
    key = (os.environ.get("OPENAI_API_KEY", "") if given is None else given).strip()
    if not key.isascii() or (key and not key.isprintable()):
        name = "OPENAI_API_KEY" if given is None else "The key"
        raise UserError(f"{name} holds characters that no key has: copy it again.")
    return key or NO_KEY
