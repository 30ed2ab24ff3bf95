"""Which addresses of language models somebody else than the operator of a server may name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from fairgen.errors import UserError
from fairgen.targets.sources.server import OPENAI

_PORTS = {"http": 80, "https": 443}


def permitted(address: str | None, servers: Sequence[str]) -> str | None:
    """The address to ask: None is the environment's own (``OPENAI_BASE_URL``, else OpenAI).

    Args:
        address: that somebody named; None or the environment's own for that one.
        servers: what else is allowed: all addresses with the scheme and host of one of them, its port if it
            names one, and its path or one below it.

    Raises:
        UserError: it is another address.
    """
    if address is None:
        return None
    own = (os.environ.get("OPENAI_BASE_URL") or OPENAI).strip().rstrip("/")
    if address.rstrip("/") == own:
        return None
    try:
        named = urlsplit(address)
        if any(_within(named, urlsplit(allowed)) for allowed in servers):
            return address
    except ValueError:
        pass  # no address at all
    raise UserError(
        "This server asks only language models that it was started with: leave the address empty, or start "
        "it with --llm-server and the address."
    )


def _within(named: SplitResult, allowed: SplitResult) -> bool:
    path = allowed.path.rstrip("/")
    below = named.path.rstrip("/") == path or named.path.startswith(path + "/")
    plain = not {".", ".."} & set(named.path.replace("%2e", ".").replace("%2E", ".").split("/"))
    return (
        (named.scheme, named.hostname) == (allowed.scheme, allowed.hostname)
        and not (named.username or named.password)
        and (allowed.port is None or (named.port or _PORTS.get(named.scheme)) == allowed.port)
        and below
        and plain
        and "\\" not in named.geturl()
    )
