"""Axe-core, the checker of accessibility, on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page


def violations(page: Page) -> list[dict[str, Any]]:
    """What axe-core finds, whatever its impact."""
    from axe_core_python.sync_playwright import Axe

    # Else it brings every node that passes along, which takes longer than to look at them.
    found: dict[str, Any] = Axe().run(page, options={"resultTypes": ["violations"]})
    assert found["passes"], "the checker did not run"
    return list(found["violations"])
