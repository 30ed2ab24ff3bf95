"""Builds the app and launches it."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from fairgen._version import __version__
from fairgen.common.files import disk_errors
from fairgen.errors import UserError
from fairgen.ui.parts.components import QUIET, html
from fairgen.ui.parts.markup import asset, render
from fairgen.ui.parts.picker import card_props, spec_choices, target_choices
from fairgen.ui.parts.theme import theme
from fairgen.ui.server.api import add_endpoints
from fairgen.ui.server.guard import Guard
from fairgen.ui.server.hosts import Hosts
from fairgen.ui.server.pulse import pulse_route
from fairgen.ui.server.serving import file_route, known_by
from fairgen.ui.server.settings import Settings
from fairgen.ui.server.watching import watching_routes
from fairgen.ui.tabs.about import about_tab
from fairgen.ui.tabs.audit import audit_tab
from fairgen.ui.tabs.check import check_tab
from fairgen.ui.tabs.generate import generate_tab
from fairgen.ui.tabs.monitor import monitor_tab
from fairgen.ui.tabs.specs import lead_to_specs, specs_tab
from fairgen.ui.work.check import NO_UPLOAD
from fairgen.ui.work.engine import Engine
from fairgen.ui.work.jobs import Services
from fairgen.ui.work.monitors import Monitors
from fairgen.ui.work.specs import Own
from fairgen.ui.work.visits import Runs
from fairgen.ui.work.workshop import Workshop

_UPLOADS = ".uploads"
_UPLOADS_LIVE = 7200
"""Seconds."""
_SESSIONS = 256
"""Visits whose state Gradio keeps; each takes about a third of a megabyte, and it would keep 10,000."""
_COUNTED = {"GRADIO_ANALYTICS_MAX_EVENTS": "1", "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(10**9)}
"""Gradio keeps a table of its last requests for a monitor that is off here, and sums it up after each one."""


def build_app(services: Services, *, public: bool = False, llm_servers: tuple[str, ...] = ()) -> Any:
    """The page and the named endpoints. Loads no model and writes nothing.

    Args:
        services: what its parts share. public: others than the users of this machine can reach the server.
        llm_servers: as in `fairgen.ui.server.settings.Settings`.
    """
    with gr.Blocks(
        title="fairgen", analytics_enabled=False, fill_width=True, delete_cache=(900, _UPLOADS_LIVE)
    ) as blocks:
        # The secret hides nothing: it makes what a browser kept readable after the server was started anew.
        own = gr.BrowserState({}, storage_key="fairgen-specs", secret="fairgen-specs")
        scripts = "".join(map(asset, ("queue.js", "line.js", "access.js")))
        html(render("head"), js_on_load=scripts)
        with gr.Tabs() as tabs:
            with gr.Tab("Generate", id="generate"):
                generate = generate_tab(services, own, blocks)
            with gr.Tab("Check my pictures", id="check"):
                to_check = check_tab(services, own)
            with gr.Tab("Audit", id="audit") as audit:
                to_audit = audit_tab(services, own, generate.shelf, audit)
            if services.monitors.names:
                with gr.Tab("Monitor", id="monitor"):
                    monitor_tab()
            with gr.Tab("Specs", id="specs"):
                specs = specs_tab(own, public=public, llm_servers=llm_servers)
            with gr.Tab("About", id="about"):
                about_tab()
        lead_to_specs(tabs, generate, specs)

        def offer(mine: Own) -> tuple[Any, ...]:
            targets, known = (gr.update(choices=list_of(mine)) for list_of in (target_choices, spec_choices))
            return gr.update(**card_props(mine)), targets, targets, known, gr.update(visible=bool(mine))

        # Not whenever `own` changes: the page of Gradio 6.31 now and then takes such an event for another
        # change, and asks again without an end.
        everywhere = [generate.chosen, to_check, to_audit, specs.chosen, specs.forget]
        blocks.load(offer, own, everywhere, **QUIET)
        blocks.load(*generate.kept, **QUIET)
        for change in specs.changes:
            change.then(offer, own, everywhere, **QUIET)
        html(render("foot", version=__version__))

        def left(request: gr.Request) -> None:
            services.runs.leave(str(request.session_hash))

        blocks.unload(left)
        add_endpoints(services, public=public, llm_servers=llm_servers)
    blocks.queue(max_size=services.limits.queue, default_concurrency_limit=1, api_open=False)
    return blocks


def launch(settings: Settings, engine: Engine) -> None:
    """Start the server and return when it ends (Ctrl-C).

    Args:
        engine: its models; call `Engine.preload` first, so that they load while the page is built.

    Raises:
        UserError: the port is taken, or the folder of the runs cannot be written.
    """
    cache = (settings.runs / _UPLOADS).absolute()
    with disk_errors(cache):
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    sweep(cache)
    (cache / NO_UPLOAD).touch()
    os.environ["GRADIO_TEMP_DIR"] = str(cache)  # uploads lie here and nowhere else
    os.environ.update(_COUNTED)
    runs = Runs(
        settings.runs,
        per_owner=settings.limits.runs,
        keep_hours=settings.keep_hours,
        adopt=not settings.public,
    )
    workshop = Workshop(settings.limits.queue)
    services = Services(engine, runs, settings.limits, workshop, Monitors(settings.monitors))
    blocks = build_app(services, public=settings.public, llm_servers=settings.llm_servers)
    hosts = Hosts.of(settings)
    try:
        _, local, public = blocks.launch(
            server_name=settings.host,
            server_port=settings.port,
            share=settings.share,
            auth=list(settings.auth) or None,
            inbrowser=settings.open_browser,
            prevent_thread_lock=True,
            quiet=True,
            theme=theme(),
            css=asset("app.css"),
            favicon_path=str(resources.files("fairgen.ui") / "templates" / "favicon.png"),
            footer_links=["api"],
            run_history=False,  # it would keep what visitors type in their browser, keys included
            show_error=False,
            enable_monitoring=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            max_file_size=settings.limits.upload_bytes,
            state_session_capacity=_SESSIONS,
            app_kwargs={
                "routes": [
                    file_route(runs),
                    pulse_route(runs, workshop),
                    *watching_routes(services.monitors),
                ],
                "lifespan": _guarded(settings, hosts, cache),
                "docs_url": None,
                "redoc_url": None,
            },
        )
    except OSError as error:
        raise UserError(
            f"The server cannot listen on {settings.host}, port {settings.port} ({error}): choose another "
            "--port."
        ) from error
    if public:
        hosts.add(str(urlsplit(public).hostname))
    addresses = f"{local} and {public}" if public else local
    print(
        f"fairgen: the page is at {addresses}; runs go to {settings.runs}. Ctrl-C ends the server.",
        flush=True,
    )
    try:
        while blocks.is_running:
            time.sleep(0.2)
    except KeyboardInterrupt:
        print("fairgen: ending; what was made is kept.", flush=True)
    finally:
        workshop.close()
        blocks.close(verbose=False)


def _guarded(settings: Settings, hosts: Hosts, cache: Path) -> Callable[[Any], Any]:
    """The application's lifespan: puts the guard before everything, Gradio's own middleware included, before
    the first request comes.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        takes: dict[object, int] = {}
        for number, fn in app.get_blocks().fns.items():
            if fn.api_visibility == "public" and isinstance(fn.api_name, str):
                takes[fn.api_name] = takes[number] = len(fn.inputs)

        def arguments(endpoint: object) -> int | None:
            return takes.get(endpoint) if isinstance(endpoint, str | int) else None

        app.middleware_stack = Guard(
            app.middleware_stack,
            hosts=hosts,
            limits=settings.limits,
            cache=cache,
            framed_by=settings.framed_by,
            signed_in=partial(known_by, app) if settings.auth else None,
            arguments=arguments,
        )
        yield

    return lifespan


def sweep(cache: Path) -> None:
    """Delete old uploads of servers that were killed; Gradio knows those of its own process."""
    dead = time.time() - _UPLOADS_LIVE
    for file in cache.rglob("*"):
        with suppress(FileNotFoundError):  # another server of this folder was faster
            if file.name != NO_UPLOAD and file.is_file() and file.stat().st_mtime < dead:
                file.unlink()
