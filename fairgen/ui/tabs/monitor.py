"""The tab that shows monitors which other processes run, as they stand."""

from __future__ import annotations

import gradio as gr

from fairgen.ui.parts.markup import asset, render


def monitor_tab() -> None:
    """Build the tab. Its script asks the server for what it shows, while somebody sees it."""
    gr.HTML(render("monitor"), js_on_load=asset("monitor.js"), apply_default_css=False, elem_id="fg-monitor")
