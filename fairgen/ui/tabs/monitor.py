"""The tab that shows monitors which other processes run, as they stand."""

from __future__ import annotations

from fairgen.ui.parts.components import html
from fairgen.ui.parts.markup import asset, render


def monitor_tab() -> None:
    """Build the tab. Its script asks the server for what it shows, while somebody sees it."""
    html(render("monitor"), js_on_load=asset("monitor.js"), elem_id="fg-monitor")
