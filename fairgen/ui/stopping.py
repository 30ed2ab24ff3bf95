"""The stop button of every tab: ends what its visitor runs, after the batch in hand."""

from __future__ import annotations

from typing import Any

import gradio as gr

from fairgen.ui.jobs import Services


def wire_stop(button: gr.Button, ticket: gr.State, services: Services) -> None:
    """Let ``button`` stop the visitor's run whose id is in ``ticket`` (None: there is none)."""

    def halt(number: str | None, request: gr.Request) -> Any:
        if number is not None:
            services.runs.get(number, request.session_hash).stop.set()
        return gr.update(interactive=False)

    button.click(halt, ticket, button, queue=False, show_progress="hidden", api_visibility="private")
