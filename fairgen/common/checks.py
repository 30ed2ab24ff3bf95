"""Checks of numbers that users give."""

from __future__ import annotations

from fairgen.errors import UserError


def between(what: str, value: int, low: int, high: int) -> int:
    """The value, if it is a whole number in [low, high]; else `UserError`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UserError(f"The {what} must be a whole number from {low} to {high}, not {value!r}.")
    return value
