"""The page on top of a pack, in a browser."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_IN_ONE_PIECE = "all => all.every(one => one.getClientRects().length === 1)"


@pytest.mark.parametrize("width", [400, 1440])
def test_the_page_fits_asks_nobody_and_breaks_no_name(
    browser: Browser, pack: Path, tmp_path: Path, width: int
) -> None:
    with zipfile.ZipFile(pack) as archive:
        archive.extractall(tmp_path)
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".crosswalk").count() == 4
    assert page.locator(".crosswalk code").evaluate_all(_IN_ONE_PIECE)
    assert page.locator("script").count() == 0
    assert all(url.startswith(("file:", "data:")) for url in asked)
    page.close()
