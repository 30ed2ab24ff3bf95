"""What the server serves beside Gradio: a run's files."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from fairgen.ui.work.folders import FILES
from fairgen.ui.work.visits import SMALL, Runs

ZIP = "pictures.zip"
"""Made on request: the whole run folder."""
_THUMB = 160
"""Longest side of a thumbnail in pixels."""
_FILE_POLICY = "sandbox allow-popups; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_NOT_FOUND = "There is no such file, or its address is incomplete."


def file_route(runs: Runs) -> Route:
    """``files/<run>/<key>/<path>``: the files of a run, for whoever holds its key."""

    async def serve(request: Request) -> Response:
        if not signed_in(request):
            return PlainTextResponse("Sign in first.", status_code=401)
        number, key, path = (request.path_params[name] for name in ("run", "key", "path"))
        if path == ZIP:
            return await run_in_threadpool(_zipped, runs, number, key)
        found = await run_in_threadpool(runs.file, number, key, path)
        if found is None:
            return PlainTextResponse(_NOT_FOUND, status_code=404)
        if request.url.query == SMALL and found.suffix == ".png":
            return await run_in_threadpool(_small, found)
        headers = {"Content-Security-Policy": _FILE_POLICY, "Cache-Control": "private, max-age=3600"}
        if found.suffix != ".png":  # reports are written again when twins are made
            headers["Cache-Control"] = "no-store"
        return FileResponse(found, headers=headers)

    return Route(f"/{FILES}/{{run}}/{{key}}/{{path:path}}", serve, methods=["GET", "HEAD"])


def _small(file: Path) -> Response:
    """A picture's thumbnail."""
    from PIL import Image

    buffer = io.BytesIO()
    try:
        with Image.open(file) as picture:
            picture.thumbnail((_THUMB, _THUMB))
            picture.convert("RGB").save(buffer, "JPEG", quality=82)
    except OSError:
        return PlainTextResponse(_NOT_FOUND, status_code=404)
    headers = {"Content-Security-Policy": _FILE_POLICY, "Cache-Control": "private, max-age=86400"}
    return Response(buffer.getvalue(), media_type="image/jpeg", headers=headers)


def signed_in(request: Request) -> bool:
    """Whether who asks has signed in, where that is needed."""
    return getattr(request.app, "auth", None) is None or known_by(request.app, request.cookies)


def known_by(app: Any, cookies: dict[str, str]) -> bool:
    """Whether somebody with these cookies has signed in to Gradio's application."""
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return any(app.tokens.get(cookies.get(name)) is not None for name in names)


def _zipped(runs: Runs, number: str, key: str) -> Response:
    """The run's folder as a ZIP: its run file, pictures and reports."""
    run = runs.keyed(number, key)
    if run is None:
        return PlainTextResponse(_NOT_FOUND, status_code=404)
    folder, buffer = run.folder, io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                archive.write(file, Path(folder.name) / file.relative_to(folder))
    headers = {"Content-Disposition": f'attachment; filename="{folder.name}.zip"'}
    return Response(buffer.getvalue(), media_type="application/zip", headers=headers)
