"""The stop button of every tab: ends what its visitor runs, after the batch in hand."""

from __future__ import annotations

from typing import Any

import gradio as gr

from fairgen.errors import UserError
from fairgen.ui.parts.components import QUIET
from fairgen.ui.work.jobs import Services
from fairgen.ui.work.visits import UserRun

STOP = "Stop"
_CLASS = "fg-halt"
"""By it the page's script sees a press, and asks for the stop until it has reached the server: Gradio's own
event is lost where the line has just dropped.
"""


def stop_button(**looks: Any) -> gr.Button:
    """The button, before anything runs. ``looks``: as `gradio.Button` takes them."""
    return gr.Button(STOP, interactive=False, elem_classes=_CLASS, **looks)


def may_stop(run: UserRun) -> Any:
    """The button's state while the run is made, unless it was pressed already."""
    return gr.skip() if run.stop.is_set() else gr.update(value=STOP, interactive=True)


def ended() -> Any:
    """The button's state once nothing runs."""
    return gr.update(value=STOP, interactive=False)


def wire_stop(button: gr.Button, ticket: gr.State, services: Services) -> None:
    """Let ``button`` stop the visitor's run whose id is in ``ticket`` (None: there is none)."""

    def halt(number: str | None, request: gr.Request) -> Any:
        try:
            services.workshop.stop(services.runs.get(number, request.session_hash))
        except UserError:  # forgotten since, so nothing runs
            return ended()
        return gr.update(value="Stopping …", interactive=False)

    button.click(halt, ticket, button, **QUIET)
