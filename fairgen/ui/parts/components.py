"""Gradio's components and events as this page uses them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from fairgen.ui.parts.markup import asset

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
"""An event that is answered at once."""
QUEUED: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
"""An event whose answer takes a while, or which changes a state: only queued ones tell the page of that."""


def html(value: Any = "", **more: Any) -> gr.HTML:
    """HTML of our own, without Gradio's style; ``more`` is as `gradio.HTML` takes it."""
    return gr.HTML(value, apply_default_css=False, **more)


def hint(words: str) -> gr.HTML:
    """A sentence or two (HTML) on the controls beside it."""
    return html(f'<p class="fg-hint">{words}</p>')


def html_list(style: str, label: str, value: list[str] | None = None, **more: Any) -> gr.HTML:
    """A list of that CSS class and label, whose value are its items as HTML: only new ones travel to the
    browser. ``more`` is as `gradio.HTML` takes it.
    """
    items = '${[].concat(value || []).join("")}'
    template = f'<ul class="{style}" aria-label="{label}">{items}</ul>'
    return html(value or [], html_template=template, **more)


def script(name: str) -> gr.HTML:
    """A part that nobody sees: its script (one of ``templates``) and the server tell each other values."""
    return html(None, html_template="", js_on_load=asset(name), visible="hidden")


def slider(low: float, high: float, value: float, **more: Any) -> gr.Slider:
    """`gradio.Slider`, whose handlers get whatever was typed (None: nothing), to say what is wrong with it.

    Gradio itself refuses a number out of bounds before any handler sees it, with an error that no page shows.
    """
    return _Slider(low, high, value, buttons=[], **more)


class _Slider(gr.Slider):
    """A class of its own: when an update changes a component, Gradio makes it anew by its class."""

    is_template = True  # the page draws it as what it is derived from

    def preprocess(self, payload: float | None) -> float | None:  # type: ignore[override]
        return payload
