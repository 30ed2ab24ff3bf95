"""The first screen of a report, as a picture."""

from __future__ import annotations

from pathlib import Path

CHROMIUM = "/usr/bin/chromium"
_SIZE = (1280, 820)


def top_of_page(page: Path, out: Path) -> None:
    """Open a report in headless Chromium, by day, and save its first screen.

    Args:
        page: the HTML file.
        out: where the PNG goes.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        width, height = _SIZE
        sheet = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        sheet.goto(page.resolve().as_uri(), wait_until="load")
        sheet.screenshot(path=out)
        browser.close()
