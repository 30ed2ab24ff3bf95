"""A slider whose bounds are checked by our own code, so that a number typed beside it gets a sentence."""

from __future__ import annotations

from typing import Any

import gradio as gr


def slider(low: float, high: float, value: float, **more: Any) -> gr.Slider:
    """`gradio.Slider`, whose handlers get whatever was typed (None: nothing), to say what is wrong with it.

    Gradio itself refuses a number out of bounds before any handler sees it, with an error that no page shows.
    """
    made = gr.Slider(low, high, value, **more)
    vars(made)["preprocess"] = _as_it_came  # a subclass would make Gradio write a file beside it
    return made


def _as_it_came(payload: float | None) -> float | None:
    return payload
