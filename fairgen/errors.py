"""The one exception that stands for a mistake of the user, and not of the software."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(Exception):
    """Something the user gave cannot be used; the message says what, and how to fix it.

    The command line prints the message as one line and exits with code 2; the web app shows it as it is. So
    the message is always one line: whitespace, line breaks included, is folded to single spaces.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
