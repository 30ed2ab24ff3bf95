"""A slider whose bounds are checked by our own code, so that a number typed beside it gets a sentence."""

from __future__ import annotations

import gradio as gr


class Slider(gr.Slider):
    """`gradio.Slider` refuses a number out of bounds before any handler sees it, with an error that no page
    shows; here the handler gets whatever was typed (None: nothing) and says what is wrong with it.
    """

    def preprocess(self, payload: float) -> float:
        """The payload as it came."""
        return payload

    def get_block_name(self) -> str:
        """The part of Gradio's page that draws it."""
        return "slider"
