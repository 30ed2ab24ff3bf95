"""The steps of the pictures in hand, with rough previews, while a set is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from fairgen.errors import UserError
from fairgen.ui.parts.components import QUIET, html
from fairgen.ui.parts.markup import render
from fairgen.ui.work.jobs import Services

_EVERY = 0.8
"""Seconds between two looks."""


@dataclass(frozen=True)
class StepView:
    """A clock that runs while something is made, and what it shows."""

    clock: gr.Timer
    shown: gr.HTML

    @property
    def rests(self) -> tuple[Any, ...]:
        """The updates of both once nothing is made."""
        return gr.Timer(active=False), ""


def step_view() -> StepView:
    """Build it, in the layout that is open."""
    shown = html(elem_id="fg-watch")
    return StepView(gr.Timer(_EVERY, active=False), shown)


def wire_steps(services: Services, view: StepView, ticket: gr.State) -> None:
    """Let the clock show where the run stands whose id is in ``ticket``."""

    def look(number: str | None, request: gr.Request) -> Any:
        try:
            run = services.runs.get(number, request.session_hash)
        except UserError:  # forgotten since
            return ""
        step = services.engine.watch.now(run.id)
        # Between two batches the last picture of it stays: the page would jump.
        return gr.skip() if step is None else render("steps", step=step)

    view.clock.tick(look, ticket, view.shown, **QUIET)
