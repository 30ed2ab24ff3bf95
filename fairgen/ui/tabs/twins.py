"""Unsteered twins: the same seeds as a set's, without steering, shown beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from starlette.concurrency import run_in_threadpool

from fairgen.errors import UserError
from fairgen.ui.parts.cards import twin_cards
from fairgen.ui.parts.chart import live_chart
from fairgen.ui.parts.components import QUEUED, html, html_list
from fairgen.ui.parts.line import seen
from fairgen.ui.parts.markup import asset, render
from fairgen.ui.parts.status import error_box, twin_status
from fairgen.ui.parts.stop import ended, may_stop
from fairgen.ui.work.jobs import STEERED, Services
from fairgen.ui.work.reopen import order_twins
from fairgen.ui.work.workshop import followed


@dataclass(frozen=True)
class TwinParts:
    """What the page shows of twins: the button that asks for them, how far they are, and the pairs."""

    button: gr.Button
    said: gr.HTML
    cards: gr.HTML


def twin_parts() -> TwinParts:
    """Build them, in the layout that is open."""
    button = gr.Button("Show what the model does by itself, same seeds", visible=False, elem_id="fg-twin-go")
    said = html()
    cards = html_list("fg-twins", "Unsteered and steered", js_on_load=asset("twins.js"), elem_id="fg-twins")
    return TwinParts(button, said, cards)


def wire_twins(
    services: Services, ticket: gr.State, twins: TwinParts, stop: gr.Button, links: gr.HTML, chart: gr.HTML
) -> None:
    """Let the button make the twins of the run whose id is in ``ticket`` (None: there is none)."""

    async def make(number: str | None, request: gr.Request) -> AsyncIterator[tuple[Any, ...]]:
        if number is None:
            return
        try:
            run = services.runs.get(number, request.session_hash)
            work = await run_in_threadpool(order_twins, services, run)
            steered = run.sets[STEERED]
            yield gr.skip(), [], gr.update(interactive=False), may_stop(run), gr.skip(), gr.skip()
            async for plain in followed(work):
                busy = gr.skip() if plain.running else ended()
                mark = seen(run, work.version, running=not work.ended)
                shown = twin_status(plain) + mark, twin_cards(plain, steered)
                yield *shown, gr.skip(), busy, gr.skip(), live_chart(steered, plain)
        except UserError as error:
            free = gr.update(interactive=True)
            yield error_box(str(error)), gr.skip(), free, ended(), gr.skip(), gr.skip()
            return
        plain = work.state
        again = gr.update(interactive=True, visible=plain.state != "done")
        yield *shown, again, gr.skip(), render("links", run=run), live_chart(steered, plain)

    twins.button.click(make, ticket, [twins.said, twins.cards, twins.button, stop, links, chart], **QUEUED)
