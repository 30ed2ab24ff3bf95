"""What the server serves of monitors: their figures, and the pictures around their alarms."""

from __future__ import annotations

import hashlib

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fairgen.ui.parts.markup import render
from fairgen.ui.server.serving import signed_in
from fairgen.ui.work.monitors import ADDRESS, Monitors, thumbnail

_POLICY = "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"
_NOT_FOUND = "There is no such picture, or it is not shown any more."


def watching_routes(monitors: Monitors) -> list[Route]:
    """``GET watched``: the figures as HTML, with an ``ETag``; ``GET watched/<mark>``: a picture that they
    show, small. None where the server shows no monitor.
    """
    if not monitors.names:
        return []

    async def figures(request: Request) -> Response:
        if not signed_in(request):
            return PlainTextResponse("Sign in first.", status_code=401)
        text = await run_in_threadpool(_text, monitors)
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(text, media_type="text/html", headers=headers)

    async def picture(request: Request) -> Response:
        if not signed_in(request):
            return PlainTextResponse("Sign in first.", status_code=401)
        found = monitors.picture(request.path_params["mark"])
        content = await run_in_threadpool(thumbnail, found) if found is not None else None
        if content is None:
            return PlainTextResponse(_NOT_FOUND, status_code=404)
        headers = {"Cache-Control": "private, max-age=3600", "Content-Security-Policy": _POLICY}
        return Response(content, media_type="image/webp", headers=headers)

    return [
        Route(f"/{ADDRESS}", figures, methods=["GET"]),
        Route(f"/{ADDRESS}/{{mark}}", picture, methods=["GET"]),
    ]


def _text(monitors: Monitors) -> str:
    from fairgen.monitor.page import page_style

    return render("watched", style=page_style(), looks=monitors.look())
