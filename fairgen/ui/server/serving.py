"""What the server serves and refuses beside Gradio: a run's files, bounds on requests, security headers."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fairgen.ui.work.folders import FILES
from fairgen.ui.work.limits import Limits
from fairgen.ui.work.visits import Runs, UserRun

ZIP = "pictures.zip"
"""Made on request: the whole run folder."""
_PAGE_POLICY = (
    # Gradio compiles its components' templates, so scripts may be evaluated; nothing may be fetched from or
    # sent to any other server.
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'"
)
_FILE_POLICY = "sandbox allow-popups; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_REMOTE_FILE = re.compile(r"^(/gradio_api)?/file=\s*[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_NOT_FOUND = "There is no such file, or its address is incomplete."


def file_route(runs: Runs) -> Route:
    """``files/<run>/<key>/<path>``: the files of a run, for whoever holds its key."""

    async def serve(request: Request) -> Response:
        if not _signed_in(request):
            return PlainTextResponse("Sign in first.", status_code=401)
        number, key, path = (request.path_params[name] for name in ("run", "key", "path"))
        if path == ZIP:
            return await run_in_threadpool(_zipped, runs, number, key)
        found = await run_in_threadpool(runs.file, number, key, path)
        if found is None:
            return PlainTextResponse(_NOT_FOUND, status_code=404)
        headers = {"Content-Security-Policy": _FILE_POLICY, "Cache-Control": "private, max-age=3600"}
        if found.suffix != ".png":  # reports are written again when twins are made
            headers["Cache-Control"] = "no-store"
        return FileResponse(found, headers=headers)

    return Route(f"/{FILES}/{{run}}/{{key}}/{{path:path}}", serve, methods=["GET", "HEAD"])


def _signed_in(request: Request) -> bool:
    app = request.app
    if getattr(app, "auth", None) is None:
        return True
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(app.tokens.get(request.cookies.get(name)) is not None for name in names)


def _zipped(runs: Runs, number: str, key: str) -> Response:
    from fairgen.errors import UserError

    try:
        run = runs.get(number, None, key)
    except UserError:
        return PlainTextResponse(_NOT_FOUND, status_code=404)
    headers = {"Content-Disposition": f'attachment; filename="{run.folder.name}.zip"'}
    return Response(zip_folder(run), media_type="application/zip", headers=headers)


def zip_folder(run: UserRun) -> bytes:
    """The run's folder as a ZIP: its run file, pictures and reports."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(run.folder.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                archive.write(file, Path(run.folder.name) / file.relative_to(run.folder))
    return buffer.getvalue()


class Guard:
    """ASGI middleware: refuses requests that are too large or that would make the server fetch other
    addresses, and adds security headers to what it answers.
    """

    def __init__(self, app: ASGIApp, *, limits: Limits, cache: Path) -> None:
        self.app = app
        self.limits = limits
        self.cache = cache

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        upload = _is_upload(scope)
        limit = self.limits.request_bytes if upload else self.limits.message_bytes
        state = {"seen": 0}

        async def bounded() -> Message:
            message = await receive()
            state["seen"] += len(message.get("body", b""))
            if state["seen"] > limit:  # the length was not said beforehand, or was a lie
                return {"type": "http.disconnect"}
            return message

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", _PAGE_POLICY)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "no-referrer")
            await send(message)

        await self.app(scope, bounded, headed)

    def _refusal(self, scope: Scope) -> Response | None:
        if _REMOTE_FILE.match(scope["path"]):
            return PlainTextResponse("This server fetches no other addresses.", status_code=403)
        length = Headers(scope=scope).get("content-length", "0")
        upload = _is_upload(scope)
        limit = self.limits.request_bytes if upload else self.limits.message_bytes
        if not length.isdigit() or int(length) > limit:
            return PlainTextResponse(
                f"The request is too large: at most {limit // 1_000_000} MB are taken.", status_code=413
            )
        if upload and _size(self.cache) > self.limits.cache_bytes:
            return PlainTextResponse(
                "The server holds as many uploads as it can: try again later.", status_code=507
            )
        return None


def _is_upload(scope: Scope) -> bool:
    return bool(scope["path"].rstrip("/").endswith("/upload"))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def app_arguments(runs: Runs, limits: Limits, cache: Path) -> dict[str, Any]:
    """What Gradio hands on to the FastAPI application that it makes."""
    from starlette.middleware import Middleware

    return {
        "routes": [file_route(runs)],
        "middleware": [Middleware(Guard, limits=limits, cache=cache)],
        "docs_url": None,
        "redoc_url": None,
    }
