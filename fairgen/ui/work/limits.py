"""What the web app takes from its users at most, and one clear sentence where it is more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fairgen.errors import UserError
from fairgen.models.options import ModelOptions


@dataclass(frozen=True)
class Limits:
    """Bounds of one server. Those of prompts and specs are the library's own."""

    count: int = 60
    """Pictures in one set."""
    audit: int = 3_000
    """Pictures in all sets of one audit."""
    tries: int = 8
    """Pictures made for one place in a set."""
    queue: int = 64
    """Requests that wait at once; more are told that the queue is full."""
    uploads: int = 60
    """Pictures of one check."""
    upload_bytes: int = 25_000_000
    """Of one uploaded file."""
    request_bytes: int = 200_000_000
    """Of one upload with all its files."""
    message_bytes: int = 2_000_000
    """Of one request that is no upload."""
    cache_bytes: int = 2_000_000_000
    """Of all uploads that lie on the server; they are deleted within two hours."""
    runs: int = 200
    """Runs of one visitor that the server keeps open."""


AS_IT_IS = ModelOptions()
"""A model as it comes, with nothing put onto it."""
MOST_STRENGTH = 1.3
"""Of steering inside the model: `fairgen.steering.response.LIMIT`, which takes long to import."""


def whole(value: Any, low: int, high: int, what: str) -> int:
    """A whole number from ``low`` to ``high``; 3.0 counts as one. Raises `UserError`."""
    if value is None:
        raise UserError(f"The {what} is missing: give a whole number from {low} to {high}.")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"The {what} must be a whole number from {low} to {high}, not {_shown(value)}.")
    return value


def text(value: Any, limit: int, what: str) -> str:
    """A text of at most ``limit`` characters. Raises `UserError`."""
    if not isinstance(value, str):
        raise UserError(f"The {what} must be text, not {_shown(value)}.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UserError(f"The {what} holds halves of characters: send it as whole UTF-8 text.") from None
    if len(value) > limit:
        raise UserError(f"The {what} has {len(value):,} characters: shorten it to {limit:,} at most.")
    return value


def one_of(value: Any, allowed: Sequence[str], what: str) -> str:
    """One of the allowed texts. Raises `UserError`."""
    if not isinstance(value, str) or value not in allowed:
        raise UserError(f"The {what} must be one of {', '.join(allowed)}, not {_shown(value)}.")
    return value


def _shown(value: Any) -> str:
    shown = repr(value) if isinstance(value, str | int | float | bool | None) else f"a {type(value).__name__}"
    return shown if len(shown) <= 40 else shown[:37] + "..."
