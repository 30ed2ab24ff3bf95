"""A visitor's earlier sets: the browser keeps their keys, so that they are found again at any time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from fairgen.errors import UserError
from fairgen.quota import quota
from fairgen.ui.parts import picker
from fairgen.ui.parts.components import QUEUED, QUIET, hint, html_list, script
from fairgen.ui.parts.line import to_follow
from fairgen.ui.parts.markup import render
from fairgen.ui.parts.more import sampling_values
from fairgen.ui.parts.opening import opening_values
from fairgen.ui.parts.status import error_box
from fairgen.ui.work.audit import PROMPTS
from fairgen.ui.work.jobs import Services
from fairgen.ui.work.reopen import Glance, glance, job_of
from fairgen.ui.work.specs import Own, available
from fairgen.ui.work.visits import SMALL, UserRun

_MOST = 30
"""Runs of one browser; the script keeps as many."""
_THUMBS = 4
"""Pictures that a set shows of itself."""
_LOST = (
    "The connection broke before your order reached the server: what you typed is still here, so press the "
    "button again."
)


@dataclass(frozen=True)
class Shelf:
    """The invisible part that talks with the browser, and the gallery of earlier sets."""

    store: gr.HTML
    audit: gr.State
    """The audit that a page that comes back follows."""
    box: gr.Accordion
    sets: gr.HTML
    forget: gr.Button


def put_away(run: UserRun) -> dict[str, Any]:
    """The store's value that makes the browser keep the run's key."""
    return {"add": {"id": run.id, "key": run.key}}


def look_again() -> dict[str, Any]:
    """The store's value that has the sets listed anew."""
    return {"again": secrets.token_hex(4)}


def took_back(ticket: object) -> Any:
    """The store's value that makes the browser forget a run that was refused."""
    return {"drop": ticket[:16]} if isinstance(ticket, str) else gr.skip()


def earlier_sets() -> Shelf:
    """The parts, where the page shows them; `wire_shelf` brings them to life."""
    store = script("shelf.js")
    audit = gr.State(None)
    with gr.Accordion("Your earlier sets", open=False, visible=False, elem_id="fg-earlier") as box:
        sets = html_list("fg-shelf", "Your earlier sets", elem_id="fg-earlier-sets")
        with gr.Row(elem_classes="fg-earlier"):
            hint(
                "This browser keeps the keys to your last sets. Forgetting them deletes nothing from the "
                "server."
            )
            forget = gr.Button("Forget all", size="sm", elem_id="fg-earlier-forget")
    return Shelf(store, audit, box, sets, forget)


def wire_shelf(
    shelf: Shelf,
    services: Services,
    own: gr.BrowserState,
    look: gr.State,
    status: gr.HTML,
    settings: list[Any],
) -> None:
    """List the visitor's sets whenever the browser tells its keys, and do what a button beneath one says.

    Args:
        shelf: the parts. services, own: as everywhere. look: takes the run to follow. status: takes messages.
        settings: prompt, target, shares by hand, count, steering, strength, tries, seed, whether
            it is kept, model, and the controls of how it is opened and how it samples.
    """

    async def told(value: Any, mine: Own, request: gr.Request) -> tuple[Any, ...]:
        asked = value if isinstance(value, Mapping) else {}  # a browser may say anything
        runs = _admitted(services, asked.get("runs"), str(request.session_hash))
        skip: Any = gr.skip()
        follow, audit, said, used = skip, skip, skip, (skip,) * len(settings)
        try:
            if (gone := _named(runs, asked.get("delete"))) is not None:
                services.workshop.stop(gone)
                while services.workshop.busy(gone):
                    await asyncio.sleep(0.1)
                await run_in_threadpool(services.runs.delete, gone)
            if (like := _named(runs, asked.get("use"))) is not None:
                used = await run_in_threadpool(_settings, services, like, mine)
            shown = _named(runs, asked.get("show")) or _named(runs, asked.get("follow"))
            if shown is not None:
                follow = to_follow(shown)
            if (audited := _named(runs, asked.get("follow"), audit=True)) is not None:
                audit = to_follow(audited)
            drawn = asked.get("drawn")  # an order of which the browser heard nothing more
            if isinstance(drawn, Mapping) and services.runs.keyed(drawn.get("id"), drawn.get("key")) is None:
                said = error_box(_LOST)
        except UserError as error:
            said = error_box(str(error))
        found = await run_in_threadpool(_sets, runs)
        new_here = asked.get("follow") == []  # a page that shows none of them
        cut = bool(found) and not found[0][1].done and (new_here or not services.workshop.busy(found[0][0]))
        label = f"Your earlier sets ({len(found)})"
        box = gr.update(visible=bool(found), label=label)
        if cut:  # there is something to go on with, or to follow
            box["open"] = True
        return (box, [_card(services, *one) for one in found], follow, audit, said, *used)

    shelf.store.submit(
        told,
        [shelf.store, own],
        [shelf.box, shelf.sets, look, shelf.audit, status, *settings],
        trigger_mode="multiple",  # a click is answered even while an earlier one still is
        **QUEUED,
    )
    shelf.forget.click(lambda: {"forget": True}, None, shelf.store, **QUIET)


def _named(runs: list[UserRun], ids: Any, *, audit: bool = False) -> UserRun | None:
    """The first set, or the first ``audit``, whose id the browser names; None where ``runs`` hold none."""
    for number in ids if isinstance(ids, list) else [ids]:
        for run in runs:
            if run.id == number and (run.folder / PROMPTS).is_file() == audit:
                return run
    return None


def _admitted(services: Services, told: Any, owner: str) -> list[UserRun]:
    """The runs whose keys the browser showed, opened to this visit, newest first."""
    found = []
    for entry in told[:_MOST] if isinstance(told, list) else []:
        try:
            found.append(services.runs.admit(entry["id"], owner, entry["key"]))
        except (UserError, KeyError, TypeError):
            continue  # deleted since
    return found


def _sets(runs: list[UserRun]) -> list[tuple[UserRun, Glance]]:
    glances = ((run, glance(run.folder)) for run in runs)
    return [(run, seen) for run, seen in glances if seen is not None and not seen.audit]


def _card(services: Services, run: UserRun, seen: Glance) -> str:
    files = sorted((run.folder / seen.session).glob("*.png"))[:_THUMBS]
    thumbs = [f"{run.url(f'{seen.session}/{file.name}')}?{SMALL}" for file in files]
    state = "" if seen.done else "Being made: " if services.workshop.busy(run) else "Stopped: "
    return render("shelf", run=run, seen=seen, thumbs=thumbs, state=state)


def _settings(services: Services, run: UserRun, own: Own) -> tuple[Any, ...]:
    """The values of the controls that a set was asked for with. Raises `UserError`."""
    job = job_of(services, run)
    spec, target = job.spec, job.spec.target_for(job.prompt)
    known = available(own).get(spec.name)
    if known is not None and known.content_hash() == spec.content_hash():
        chosen, shares = spec.name, gr.skip()
    else:
        chosen, shares = picker.BY_HAND, {"scale": spec.scale, "parts": quota(target, picker.PARTS)}
    return (
        job.prompt,
        chosen,
        shares,
        job.count,
        job.steering,
        job.strength,
        job.tries,
        job.seed,
        True,
        job.model,
        *opening_values(job.options),
        *sampling_values(job.options),
    )
