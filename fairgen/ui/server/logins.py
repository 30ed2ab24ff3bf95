"""Signing in: a page of our own, and waits that grow with each failure."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from fairgen.ui.parts.markup import render

FREE = 4
"""Failures before anybody has to wait."""
_LONGEST = 60.0
_FORGOTTEN = 900.0
_KEPT = 10_000
_MOST = 1000


class Waits:
    """How long a visitor has to wait before the next try; doubles with each failure from `FREE` on.

    Failures count for an address and for a name, so that neither many names from one address nor one name
    from many addresses can be tried quickly. They are forgotten after a quarter of an hour. Thread-safe.

    Args:
        clock: seconds, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def left(self, *keys: str) -> float:
        """Seconds until these may try again; 0 where they may."""
        with self._lock:
            return max(0.0, *(self._left(key) for key in keys))

    def failed(self, *keys: str) -> None:
        """Count a failure."""
        with self._lock:
            for key in keys:
                count, when = self._failures.pop(key, (0, 0.0))
                count = 0 if self._clock() - when > _FORGOTTEN else count
                self._failures[key] = (count + 1, self._clock())
            for old in list(self._failures)[:-_KEPT]:
                del self._failures[old]

    def succeeded(self, *keys: str) -> None:
        """Forget the failures."""
        with self._lock:
            for key in keys:
                self._failures.pop(key, None)

    def _left(self, key: str) -> float:
        count, when = self._failures.get(key, (0, 0.0))
        if count < FREE:
            return 0.0
        return min(_LONGEST, 2.0 ** (count - FREE)) - (self._clock() - when)


def fields(body: bytes, kind: str) -> tuple[str, str]:
    """(name, password) of a login form as browsers and scripts send it; empty where one is missing."""
    if kind.startswith("multipart/form-data"):
        given = _multipart(body, kind)
    else:
        sent = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
        given = {name: values[0] for name, values in sent.items()}
    return given.get("username", "").strip()[:_MOST], given.get("password", "")[:_MOST]


def _multipart(body: bytes, kind: str) -> dict[str, str]:
    from email.parser import BytesParser
    from email.policy import HTTP

    message: Any = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    found = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        found[name] = (part.get_payload(decode=True) or b"").decode("utf-8", "replace")
    return found


def refused(wait: float) -> str:
    """The sentence for a try that came too early."""
    seconds = math.ceil(wait)
    return f"Too many failed tries: wait {seconds} {'second' if seconds == 1 else 'seconds'} and try again."


def login_page(name: str = "", trouble: str = "") -> str:
    """The page that asks for name and password; keeps the ``name`` that was typed."""
    return render("login", name=name, trouble=trouble)
