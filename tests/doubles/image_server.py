"""Answers of an images API over real HTTP on loopback; `tests.doubles.llm_server.serving` runs them."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import Image

from tests.doubles.llm_server import Handler, Turn, sends

SOON = {"retry-after-ms": "1"}
"""Headers that ask for another try at once."""


def packed(picture: Image.Image, kind: str = "PNG") -> str:
    """A picture as base64."""
    held = BytesIO()
    picture.save(held, kind)
    return base64.b64encode(held.getvalue()).decode()


def shows(picture: Image.Image, kind: str = "PNG") -> Turn:
    """The same picture for every request."""
    return draws(lambda body: picture, kind)


def draws(make: Callable[[dict[str, Any]], Image.Image], kind: str = "PNG") -> Turn:
    """The picture that ``make`` gives for a request's body; one at a time."""
    turns = threading.Lock()

    def turn(handler: Handler) -> None:
        with turns:
            made = packed(make(handler.asked.body), kind)
        sends(json.dumps({"created": 0, "data": [{"b64_json": made}]}).encode())(handler)

    return turn


def answers(**document: Any) -> Turn:
    """Any other JSON."""
    return sends(json.dumps(document).encode())


def refuses(code: str, message: str = "fixture trouble", status: int = 400) -> Turn:
    """An error with a code, in OpenAI's form."""
    return sends(json.dumps({"error": {"code": code, "message": message}}).encode(), status)
