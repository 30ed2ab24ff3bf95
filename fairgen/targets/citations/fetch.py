"""Fetches one public web page, and trusts neither the address nor the server.

A name is resolved once, all its addresses are checked, and the connection goes to one of those, so that a
name that points elsewhere a moment later (DNS rebinding) gains nothing. Redirects are followed by hand and
checked alike. Time is bounded over the whole, size after unpacking. It keeps no cookies, and uses no proxy
that the environment may name.
"""

from __future__ import annotations

import http.client
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urljoin

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import DecodeError, LocationParseError
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.response import BaseHTTPResponse
from urllib3.util import Url, parse_url

from fairgen._version import __version__
from fairgen.targets.citations.address import is_ip, is_plain_host, refuse_unless_public, resolve_host

__all__ = ["Fetcher", "Page", "Unreachable"]

_HEADERS = {
    "User-Agent": f"fairgen/{__version__} (checks a citation because a person asked it to) urllib3",
    "Accept": "text/html, application/xhtml+xml, application/xml;q=0.9, text/plain;q=0.9, */*;q=0.1",
    "Accept-Language": "en, *;q=0.5",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "close",
}
_ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate")
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK = 64 * 1024
_LONGEST_ADDRESS = 2_000


class Unreachable(Exception):
    """No page was read; the message says why. ``gone``: the server says that there is none (404, 410)."""

    def __init__(self, reason: str, *, gone: bool = False) -> None:
        super().__init__(reason)
        self.gone = gone


@dataclass(frozen=True)
class Page:
    """What a server sent."""

    url: str
    """Where it came from, after redirects."""
    media_type: str
    """Such as ``text/html``; lower case; empty where the server does not say."""
    charset: str | None
    """As the server states it, if it does."""
    body: bytes
    """Unpacked."""


@dataclass(frozen=True)
class Fetcher:
    """How pages are fetched. The last three exist so that tests can talk to a server on loopback."""

    seconds: float = 20.0
    """For all of a page: names, connections, redirects and body."""
    max_bytes: int = 5_000_000
    """Of the body, unpacked."""
    max_redirects: int = 5
    resolve: Callable[[str, int], Sequence[str]] = resolve_host
    refuse: Callable[[str, int], str | None] = refuse_unless_public
    """Why an IP address must not be connected to on a port; None where it may."""
    tls: Callable[[], ssl.SSLContext] = ssl.create_default_context

    def fetch(self, url: str) -> Page:
        """The page at ``url``.

        Raises:
            Unreachable: the address is refused, or no page came within the bounds.
        """
        target = _parsed(url)
        with _Watch(self.seconds) as watch:
            for _ in range(self.max_redirects + 1):
                answer = self._ask(target, watch)
                if isinstance(answer, Page):
                    return answer
                following = _parsed(urljoin(target.url, answer))
                if target.scheme == "https" and following.scheme == "http":
                    raise Unreachable(
                        f"refused: it redirects from https to unprotected http ({following.host})"
                    )
                target = following
        raise Unreachable(f"it redirects more than {self.max_redirects} times")

    def _ask(self, target: Url, watch: _Watch) -> Page | str:
        """The page, or the address that the server redirects to."""
        with closing(self._connection(target, watch)) as connection:
            try:
                connection.request("GET", target.request_uri, headers=_HEADERS, preload_content=False)
                with closing(connection.getresponse()) as response:
                    return self._answer(response, target, watch)
            except (Urllib3Error, http.client.HTTPException, OSError) as error:
                watch.left()  # a connection that was cut in the middle breaks in many ways
                raise Unreachable(_broken(error)) from None

    def _connection(self, target: Url, watch: _Watch) -> _Pinned:
        host = (target.host or "").strip("[]")
        port = target.port or (443 if target.scheme == "https" else 80)
        addresses = [host] if is_ip(host) else _resolved(self.resolve, host, port, watch.left())
        for address in addresses:
            if reason := self.refuse(address, port):
                raise Unreachable(f"refused: {reason} ({_short(host)})")
        if target.scheme == "https":
            return _PinnedTLS(host, port, addresses=addresses, watch=watch, ssl_context=self.tls())
        return _Pinned(host, port, addresses=addresses, watch=watch)

    def _answer(self, response: BaseHTTPResponse, target: Url, watch: _Watch) -> Page | str:
        status = response.status
        if status in _REDIRECTS:
            location = response.headers.get("Location")
            if not location:
                raise Unreachable(f"it redirects to nowhere (HTTP {status})")
            # http.client reads headers as Latin-1, while servers write UTF-8 where they do not escape.
            return location.encode("latin-1", "replace").decode("utf-8", "replace")
        if status in (404, 410):
            raise Unreachable(f"there is no such page (HTTP {status})", gone=True)
        if status not in (200, 203):
            raise Unreachable(_refusal(status))
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            raise Unreachable(f"it is packed in a way that cannot be read ({_short(encoding)})")
        media_type, charset = _content_type(response.headers.get("Content-Type", ""))
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and len(length) < 20 and int(length) > self.max_bytes:
            raise Unreachable(self._too_large())
        return Page(target.url, media_type, charset, self._body(response, watch))

    def _body(self, response: BaseHTTPResponse, watch: _Watch) -> bytes:
        body = bytearray()
        while part := response.read(_CHUNK):  # urllib3 unpacks no more at a time than is asked for
            body += part
            if len(body) > self.max_bytes:
                raise Unreachable(self._too_large())
            watch.left()
        watch.left()  # a body that ends with its connection seems whole when it was cut
        return bytes(body)

    def _too_large(self) -> str:
        return f"it is larger than {self.max_bytes / 1e6:g} MB"


class _Watch:
    """Shuts down the sockets that it watches when the time is up, so that no trickling answer outlasts it.

    A time-out of the socket would not do: it begins anew with each byte.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._ended = False
        self._copies: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()
        with self._lock:
            for copy in self._copies:
                copy.close()
            self._copies.clear()

    def left(self) -> float:
        """Seconds that are left.

        Raises:
            Unreachable: none.
        """
        left = self._end - time.monotonic()
        if self._ended or left <= 0:
            raise Unreachable(f"it took longer than {self._seconds:g} seconds")
        return left

    def over(self, sock: socket.socket) -> None:
        """Watch a socket; a copy is kept, since TLS takes the socket itself over."""
        with self._lock:
            self._copies.append(sock.dup())
        self.left()

    def _cut(self) -> None:
        with self._lock:
            self._ended = True
            for copy in self._copies:
                with suppress(OSError):  # closed by the other side already
                    copy.shutdown(socket.SHUT_RDWR)


class _Pinned(HTTPConnection):
    """Connects to addresses that were checked, whatever its host's name stands for by now."""

    def __init__(
        self, host: str, port: int, *, addresses: Sequence[str], watch: _Watch, **options: Any
    ) -> None:
        super().__init__(host, port, timeout=watch.left(), **options)
        self._addresses = addresses
        self._watch = watch

    def _new_conn(self) -> socket.socket:
        error = OSError("no address")
        for tried, address in enumerate(self._addresses):
            share = self._watch.left() / (len(self._addresses) - tried)
            try:
                sock = socket.create_connection((address, self.port), timeout=share)
            except OSError as failure:
                error = failure
                continue
            try:
                sock.settimeout(self._watch.left())
                self._watch.over(sock)
            except BaseException:
                sock.close()
                raise
            return sock
        raise error


class _PinnedTLS(_Pinned, HTTPSConnection):
    """The same over TLS: the certificate must be valid for the host's name."""


def _parsed(url: str) -> Url:
    if len(url) > _LONGEST_ADDRESS:
        raise Unreachable(f"refused: the address is longer than {_LONGEST_ADDRESS} characters")
    if not re.match(r"https?://", url, re.IGNORECASE):
        scheme = url.partition(":")[0] if ":" in url else "none"
        raise Unreachable(f"refused: only http and https are fetched, not {_short(scheme)}")
    if "\\" in url or not url.isprintable() or any(char.isspace() for char in url):
        raise Unreachable("refused: the address holds a space, a backslash or a control character")
    try:
        target = parse_url(url)
    except LocationParseError:
        raise Unreachable("refused: that is no web address") from None
    if target.auth is not None:
        raise Unreachable("refused: the address holds a user's name or password")
    host = (target.host or "").strip("[]")
    if not host or not is_plain_host(host):
        raise Unreachable("refused: the address has no host, or one in an unusual notation")
    return target


def _resolved(
    resolve: Callable[[str, int], Sequence[str]], host: str, port: int, seconds: float
) -> Sequence[str]:
    """The host's addresses, looked up aside, since a look-up cannot be given a time-out."""
    answers: queue.SimpleQueue[Sequence[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(resolve(host, port))
        except (OSError, UnicodeError) as error:  # UnicodeError: a label too long for the IDNA codec
            answers.put(error)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise Unreachable(f"the name {_short(host)} was not resolved in time") from None
    if isinstance(answer, Exception) or not answer:
        raise Unreachable(f"the name {_short(host)} is not known, or there is no network")
    return answer


def _content_type(value: str) -> tuple[str, str | None]:
    media_type, _, rest = value.partition(";")
    charset = re.search(r"charset\s*=\s*[\"']?([\w.:+-]{1,40})", rest, re.IGNORECASE)
    return media_type.strip().lower(), charset[1] if charset else None


def _refusal(status: int) -> str:
    if status in (401, 403, 407):
        return f"the server lets only some in, perhaps after a login (HTTP {status})"
    if status == 429:
        return "the server asks to come back later (HTTP 429)"
    if status >= 500:
        return f"the server has a problem, or lets no programs in (HTTP {status})"
    return f"the server sent no page (HTTP {status})"


def _broken(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return "no protected connection (TLS) could be made"
    if isinstance(error, TimeoutError):
        return "the server did not answer in time"
    if isinstance(error, DecodeError):
        return "it is packed in a way that cannot be read"
    if isinstance(error, ConnectionRefusedError):
        return "the server takes no connections"
    return "the connection broke, or the server does not speak HTTP"


def _short(text: str) -> str:
    """A stranger's word for a sentence: printable, at most 60 characters."""
    text = "".join(char for char in text if char.isprintable())
    return text if len(text) <= 60 else text[:57] + "..."
