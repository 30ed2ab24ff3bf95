"""A visitor's earlier runs: the browser keeps their keys, so that they are found again after a reload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from fairgen.errors import UserError
from fairgen.ui.parts.markup import asset
from fairgen.ui.work.jobs import Services
from fairgen.ui.work.reopen import Glance, glance
from fairgen.ui.work.visits import UserRun

_MOST = 30
"""Runs of one browser; the script keeps as many."""


@dataclass(frozen=True)
class Shelf:
    """The invisible part that talks with the browser, and the list of earlier sets."""

    store: gr.HTML
    box: gr.Accordion
    choice: gr.Dropdown
    show: gr.Button
    forget: gr.Button


def put_away(run: UserRun) -> dict[str, Any]:
    """The store's value that makes the browser keep the run's key."""
    return {"add": {"id": run.id, "key": run.key}}


def earlier_sets() -> Shelf:
    """The parts, where the page shows them; `wire_shelf` brings them to life."""
    store = gr.HTML(
        None, html_template="", js_on_load=asset("shelf.js"), apply_default_css=False, visible="hidden"
    )
    with gr.Accordion("Your earlier sets", open=False, visible=False, elem_id="fg-earlier") as box:
        with gr.Row(elem_classes="fg-earlier"):
            choice = gr.Dropdown([], label="Set", elem_id="fg-earlier-choice")
            show = gr.Button("Show it", elem_id="fg-earlier-show")
            forget = gr.Button("Forget all", elem_id="fg-earlier-forget")
        gr.HTML(
            '<p class="fg-hint">This browser keeps the keys to your last sets. Forgetting them deletes no '
            "files from the server.</p>",
            apply_default_css=False,
        )
    return Shelf(store, box, choice, show, forget)


def wire_shelf(shelf: Shelf, services: Services) -> None:
    """List the visitor's sets whenever the browser tells its keys, and forget them when asked to."""
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

    def listed(value: Any, request: gr.Request) -> tuple[Any, Any]:
        found = [(seen.label, run.id) for run, seen in _returned(services, value, str(request.session_hash))]
        unfinished = found and "stopped" in found[0][0]
        return (
            gr.update(visible=bool(found), label=f"Your earlier sets ({len(found)})", open=bool(unfinished)),
            gr.update(choices=found, value=found[0][1] if found else None),
        )

    shelf.store.change(listed, shelf.store, [shelf.box, shelf.choice], **quiet)
    shelf.forget.click(lambda: {"forget": True}, None, shelf.store, **quiet)


def _returned(services: Services, value: Any, owner: str) -> list[tuple[UserRun, Glance]]:
    """The runs whose keys the browser showed, opened to this visit; the sets, newest first."""
    told = value.get("runs") if isinstance(value, Mapping) else None
    found = []
    for entry in told[:_MOST] if isinstance(told, list) else []:
        try:
            run = services.runs.admit(entry["id"], owner, entry["key"])
        except (UserError, KeyError, TypeError):
            continue  # of a server that was started anew, or deleted since
        seen = glance(run.folder)
        if seen is not None and not seen.audit:
            found.append((run, seen))
    return found
