"""How far the server is with the runs that a page shows: asked by its script every other second."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fairgen.ui.work.visits import Runs, UserRun
from fairgen.ui.work.workshop import Workshop

_MOST = 30
"""Runs in one question."""


def pulse_route(runs: Runs, workshop: Workshop) -> Route:
    """``POST pulse`` takes ``{"runs": [{"id", "key"}], "stop": {"id", "key", "orders"} | null}`` and stops
    that run, unless more orders for it came since. It answers with ``boot`` (other for each start of the
    server) and, for each run that these keys open, its ``version`` and whether it is ``running``.
    """
    boot = secrets.token_hex(8)

    def opened(entry: object) -> UserRun | None:
        return runs.keyed(entry.get("id"), entry.get("key")) if isinstance(entry, Mapping) else None

    async def answer(request: Request) -> Response:
        try:
            asked: Any = json.loads(await request.body())
        except ValueError:
            asked = None
        if not isinstance(asked, dict) or not isinstance(asked.get("runs"), list):
            return JSONResponse({"detail": "This takes an object with a list of runs."}, status_code=400)
        ended = opened(asked.get("stop"))
        if ended is not None:
            known = asked["stop"].get("orders")
            workshop.stop(ended, known if isinstance(known, int) else None)
        found = {}
        for run in filter(None, map(opened, asked["runs"][:_MOST])):
            works = workshop.of(run).values()
            version = sum(work.version for work in works)
            found[run.id] = {"version": version, "running": any(not work.ended for work in works)}
        return JSONResponse({"boot": boot, "runs": found}, headers={"Cache-Control": "no-store"})

    return Route("/pulse", answer, methods=["POST"])
