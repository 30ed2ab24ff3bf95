"""What was asked for stays in the controls when the page is loaded anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from fairgen.errors import UserError
from fairgen.ui.parts.picker import edited_spec

_KEEP = "(prompt, chosen, shares, count) => ({ prompt, chosen, shares, count })"
_MOST = 1000


def keep_asked(prompt: gr.Textbox, chosen: gr.HTML, editor: gr.HTML, count: gr.Slider) -> tuple[Any, ...]:
    """Let the browser keep the values of these controls.

    Returns:
        What restores them when the page is loaded: function, inputs, outputs.
    """
    # The secret hides nothing: it makes what a browser kept readable after the server was started anew.
    kept = gr.BrowserState({}, storage_key="fairgen-asked", secret="fairgen-asked")
    controls = [prompt, chosen, editor, count]
    gr.on(
        [prompt.change, chosen.change, editor.change, count.change],
        None,
        controls,
        kept,
        js=_KEEP,
        show_progress="hidden",
        api_visibility="private",
    )
    return _restored, kept, controls


def _restored(kept: Any) -> tuple[Any, ...]:
    """The controls' values; what a browser kept may be anything, and what is none of theirs is left out."""
    values = kept if isinstance(kept, Mapping) else {}
    prompt, chosen, shares, count = (values.get(name) for name in ("prompt", "chosen", "shares", "count"))
    try:
        edited_spec(shares)
    except UserError:
        shares = gr.skip()
    good = isinstance(count, int) and not isinstance(count, bool) and 1 <= count <= _MOST
    return (
        prompt if isinstance(prompt, str) and len(prompt) <= _MOST else gr.skip(),
        chosen if isinstance(chosen, str) and len(chosen) <= _MOST else gr.skip(),
        shares,
        count if good else gr.skip(),
    )
