"""What stands before everything that the server serves: it refuses, bounds and adds headers."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable
from functools import partial
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fairgen.errors import UserError
from fairgen.ui.server.hosts import Hosts
from fairgen.ui.server.logins import Waits, fields, login_page, refused
from fairgen.ui.server.preview import rewriting, unpacked
from fairgen.ui.work.check import NO_UPLOAD
from fairgen.ui.work.limits import Limits

_PAGE_POLICY = (
    # Gradio compiles its components' templates, so scripts may be evaluated; nothing may be fetched from or
    # sent to any other server.
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors "
)
_REMOTE = re.compile(r"\s*[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_REMOTE_FILE = re.compile(r"^(/gradio_api)?/file(=|/)\s*[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_CALL = re.compile(r"^(/gradio_api)?/(call|call/v2|run|api)/([\w-]+)/?$")
_UNUSED = re.compile(
    r"^(/gradio_api)?/(proxy=|dev/|deep_link|monitoring|process_recording|profiling|run-history|runs\b|vibe-|"
    r"undo-vibe-|stream/|custom_component/)",
    re.IGNORECASE,
)
"""Parts of Gradio that this page does not use. The less there is, the less can be attacked."""
_OPEN = re.compile(r"^(/|/static/.*|/favicon\.ico|/robots\.txt|/gradio_api/startup-events)$")
"""What is answered without signing in: Gradio asks itself for the first and the last of these."""
_LOGIN_BYTES = 10_000
_DEEPEST = 64
"""Levels of JSON in a request."""
_LOG = logging.getLogger(__name__)
_SAFE = ("GET", "HEAD")
_LENGTHS = (b"content-length", b"transfer-encoding")


class Guard:
    """ASGI application around the server's own.

    It refuses requests for other hosts (DNS rebinding) or from pages of other sites, such as are too large,
    and files that are none of this server's uploads: Gradio would fetch them where they are web addresses.
    It slows down who guesses passwords.

    Args:
        app: what answers in the end. hosts: the server's names. limits: of requests.
        cache: folder of the uploads. framed_by: origins whose pages may show this one in a frame.
        signed_in: whether somebody with these cookies is; None where nobody has to sign in.
        arguments: how many an endpoint takes, by its name or number; None where that is not known.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Hosts,
        limits: Limits,
        cache: Path,
        framed_by: tuple[str, ...] = (),
        signed_in: Callable[[dict[str, str]], bool] | None = None,
        arguments: Callable[[object], int | None] = lambda _: None,
    ) -> None:
        self.app = app
        self.hosts = hosts
        self.limits = limits
        self.cache = cache.resolve()
        self.signed_in = signed_in
        self.arguments = arguments
        self.waits = Waits()
        self._framed = bool(framed_by)
        self._policy = _PAGE_POLICY + " ".join(("'self'", *framed_by))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks over web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        headed = partial(self._headed, send)
        refusal = self._stranger(scope) or self._nothing_here(scope) or self._too_much(scope)
        answer = refusal or await self._answered(scope, receive, headed)
        if answer is not None:
            await answer(scope, receive, headed)

    async def _headed(self, send: Send, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("Content-Security-Policy", self._policy)
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("Referrer-Policy", "no-referrer")
            if not self._framed:
                headers.setdefault("X-Frame-Options", "SAMEORIGIN")  # for browsers without frame-ancestors
        await send(message)

    async def _answered(self, scope: Scope, receive: Receive, send: Send) -> Response | None:
        """Pass the request on, or give the answer to it."""
        path = scope["path"].rstrip("/")
        if self.signed_in is not None:
            if scope["method"] == "POST" and path.endswith("/login"):
                return await self._login(scope, receive)
            if not self._known(scope):
                if scope["method"] == "GET" and path == "":
                    return HTMLResponse(login_page(), headers={"Cache-Control": "no-store"})
                if scope["method"] not in _SAFE or not _OPEN.match(scope["path"]):
                    return JSONResponse({"detail": "Sign in first."}, status_code=401)
        if scope["method"] == "GET" and path == "":
            await self._streamed(unpacked(scope), receive, rewriting(send))
            return None
        upload = _is_upload(scope)
        if scope["method"] in _SAFE or upload:
            limit = self.limits.request_bytes if upload else self.limits.message_bytes
            await self._streamed(scope, _bounded(receive, limit), send)
            return None
        body = await _read(receive, self.limits.message_bytes)
        if body is None:
            return _too_large(self.limits.message_bytes)
        if body:
            try:
                body = await run_in_threadpool(self._put_right, scope["path"], body)
            except RecursionError:
                return _refuse("The request is nested too deeply.")
            except UserError as error:
                return _refuse(str(error))
        await self._passed(scope, body, receive, send)
        return None

    async def _passed(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Pass a request on whose body was read already, and perhaps changed."""
        named = [(k, v) for k, v in scope["headers"] if k.lower() not in _LENGTHS]
        sized = {**scope, "headers": [*named, (b"content-length", str(len(body)).encode())]}
        await self.app(sized, _again(body, receive), send)

    async def _streamed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on. Gradio 6.31 stumbles over a visitor who leaves while it ends their stream."""
        try:
            await self.app(scope, receive, send)
        except KeyError as error:
            if not scope["path"].endswith("/queue/data"):
                raise
            _LOG.debug("a stream ended twice: %s", error)

    def _known(self, scope: Scope) -> bool:
        try:
            cookies = SimpleCookie(Headers(scope=scope).get("cookie", ""))
        except CookieError:
            return False
        return self.signed_in is None or self.signed_in({name: c.value for name, c in cookies.items()})

    def _stranger(self, scope: Scope) -> Response | None:
        """For another host, or from another site's page."""
        headers = Headers(scope=scope)
        named = headers.getlist("host")
        forwarded = [one.strip() for value in headers.getlist("x-forwarded-host") for one in value.split(",")]
        if len(named) != 1 or not all(map(self.hosts.know, [*named, *forwarded])):
            return PlainTextResponse(
                "This server does not answer to that host name. Whoever runs it can allow it: "
                "fairgen serve --allowed-host NAME.",
                status_code=421,
            )
        origins, site = headers.getlist("origin"), headers.get("sec-fetch-site", "none")
        foreign = any(not self.hosts.own(origin, named[0]) for origin in origins)
        # A link to a report or to the page may stand anywhere.
        shown = "document" if not self._framed else ("document", "iframe")
        opened = (
            scope["method"] in _SAFE
            and headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-dest") in shown
        )
        if foreign or (site in ("cross-site", "same-site") and not opened):
            return PlainTextResponse("Pages of other sites may not use this server.", status_code=403)
        return None

    def _nothing_here(self, scope: Scope) -> Response | None:
        if _REMOTE_FILE.match(scope["path"]):
            return PlainTextResponse("This server fetches no other addresses.", status_code=403)
        if _UNUSED.match(scope["path"]) or b"deep_link" in scope["query_string"]:
            return PlainTextResponse("There is nothing here.", status_code=404)
        return None

    def _too_much(self, scope: Scope) -> Response | None:
        length = Headers(scope=scope).get("content-length", "0")
        upload = _is_upload(scope)
        limit = self.limits.request_bytes if upload else self.limits.message_bytes
        if not (length.isascii() and length.isdigit()) or len(length) > 18 or int(length) > limit:
            return _too_large(limit)
        if upload and _size(self.cache) > self.limits.cache_bytes:
            return PlainTextResponse(
                "The server holds as many uploads as it can: try again later.", status_code=507
            )
        return None

    def _put_right(self, path: str, body: bytes) -> bytes:
        """The body of a request, its files put right; raises `UserError` where an endpoint gets more or fewer
        arguments than it takes. What is no upload of this server becomes a file of the
        name `NO_UPLOAD`, which is answered with a sentence; Gradio would fetch it where it is an address, and
        write a traceback where it is not there.
        """
        try:
            found = json.loads(body)
        except ValueError:
            return body  # refused by whoever wants JSON
        if isinstance(found, dict) and isinstance(found.get("data"), list):
            named = _CALL.match(path)
            takes = self.arguments(named[3] if named else found.get("fn_index"))
            if takes is not None and takes != len(found["data"]):
                raise UserError(
                    f"That endpoint takes {takes} arguments, and {len(found['data'])} were given."
                )
        changed = False

        def look(value: Any, depth: int) -> None:
            nonlocal changed
            if depth > _DEEPEST:
                raise RecursionError
            if isinstance(value, dict):
                if "path" in value and "meta" in value and not self._is_upload(value):
                    value["path"], value["url"], changed = str(self.cache / NO_UPLOAD), None, True
                value = list(value.values())
            if isinstance(value, list):
                for part in value:
                    look(part, depth + 1)

        look(found, 0)
        return json.dumps(found).encode() if changed else body

    def _is_upload(self, file: dict[str, Any]) -> bool:
        path = file["path"]
        if not isinstance(path, str) or "\0" in path or _REMOTE.match(path):
            return False
        try:
            found = Path(path).resolve()
            return found.is_relative_to(self.cache) and found.is_file()
        except OSError:
            return False

    async def _login(self, scope: Scope, receive: Receive) -> Response:
        """Sign in as Gradio does, unless it is too early for a next try; a page for browsers."""
        headers = Headers(scope=scope)
        body = await _read(receive, _LOGIN_BYTES)
        if body is None:
            return _too_large(_LOGIN_BYTES)
        by_browser = "text/html" in headers.get("accept", "")
        name, password = fields(body, headers.get("content-type", ""))
        client = (scope.get("client") or ("", 0))[0]
        keys = (f"address {client}", f"name {name}")
        trouble, status = "Type your name and your password.", 400
        more: dict[str, str] = {}
        wait = self.waits.left(*keys)
        if wait > 0:
            trouble, status, more = refused(wait), 429, {"Retry-After": str(math.ceil(wait))}
        elif name and password:
            start: Message = {}

            async def kept(message: Message) -> None:
                if message["type"] == "http.response.start":
                    start.update(message)

            await self._passed(scope, body, receive, kept)
            if start["status"] == 200:
                self.waits.succeeded(*keys)
                cookies = [(k, v) for k, v in start["headers"] if k.lower() == b"set-cookie"]
                page = RedirectResponse("./", status_code=303)
                done: Response = page if by_browser else JSONResponse({"success": True})
                done.raw_headers += cookies
                return done
            self.waits.failed(*keys)
            status = 401
            trouble = "That name and that password do not go together: try again."
        more["Cache-Control"] = "no-store"
        if by_browser:
            return HTMLResponse(login_page(name, trouble), status_code=status, headers=more)
        return JSONResponse({"detail": trouble}, status_code=status, headers=more)


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None where it has more than ``limit`` bytes, or where it broke off."""
    parts, seen = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        seen += len(parts[-1])
        if seen > limit:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, then whatever comes after it."""
    told = False

    async def receive_again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _bounded(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:  # the length was not said beforehand, or was a lie
            return {"type": "http.disconnect"}
        return message

    return bounded


def _refuse(sentence: str) -> Response:
    return JSONResponse({"detail": sentence}, status_code=400)


def _too_large(limit: int) -> Response:
    most = f"{limit // 1_000_000} MB" if limit >= 1_000_000 else f"{limit // 1000} kB"
    return PlainTextResponse(f"The request is too large: at most {most} are taken.", status_code=413)


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "POST" and bool(re.fullmatch(r"(/gradio_api)?/upload/?", scope["path"]))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
