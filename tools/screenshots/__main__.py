"""``python -m tools.screenshots OUT``: serve the app, walk through it in a browser, save how it looks."""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = "/usr/bin/chromium"
SIZES = {"desktop": (1440, 1000), "phone": (360, 780)}
_TABS = {"check": "Check my pictures", "audit": "Audit", "specs": "Specs", "about": "About"}


@contextmanager
def served(runs: Path) -> Iterator[str]:
    """A running ``fairgen serve`` on a free port; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fairgen", "serve", "--port", str(port), "--runs", str(runs)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ)
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except (URLError, OSError):
                if server.poll() is not None:
                    sys.exit("fairgen serve ended: run it by hand to see why.")
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def main() -> None:
    """Walk through the app in each size and scheme."""
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the PNGs; made where missing")
    parser.add_argument("--count", type=int, default=12, help="pictures in the set (default: 12)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as scratch,
        served(Path(scratch)) as address,
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for size in SIZES:
            for scheme in ("light", "dark"):
                _walk(browser, address, size, scheme, options.out, options.count)
        browser.close()


def _walk(browser: Browser, address: str, size: str, scheme: str, out: Path, count: int) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2 if size == "phone" else 1,
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#fg-go")

    def shoot(name: str, *, whole: bool = True) -> None:
        page.wait_for_timeout(700)
        page.screenshot(path=out / f"{name}-{size}-{scheme}.png", full_page=whole)
        print(out / f"{name}-{size}-{scheme}.png")

    shoot("welcome", whole=False)
    page.locator("#fg-count input[type=number]").fill(str(count))
    page.click("#fg-go")
    page.wait_for_function(
        f"document.querySelectorAll('#fg-cards img').length >= {count // 2}", timeout=90_000
    )
    shoot("generating", whole=False)
    page.wait_for_selector("#fg-status .fg-status-done", timeout=120_000)
    shoot("generate")
    page.locator("#fg-cards .fg-pic-button").first.click()
    shoot("reading", whole=False)
    page.keyboard.press("Escape")
    page.click("#fg-twin-go")
    page.wait_for_selector("#fg-twins >> nth=0")
    page.wait_for_function(
        f"document.querySelectorAll('#fg-twins .fg-twin').length == {count}", timeout=120_000
    )
    shoot("twins")
    page.get_by_text("By hand", exact=True).click()
    page.locator(".fg-edit").scroll_into_view_if_needed()
    shoot("by-hand", whole=False)
    _others(page, shoot, out)
    context.close()


def _others(page: Page, shoot: object, out: Path) -> None:
    assert callable(shoot)
    for name, label in _TABS.items():
        page.evaluate("window.scrollTo(0, 0)")
        tab = page.get_by_role("tab", name=label, exact=True)
        if not tab.count():  # on a phone the others are behind a menu
            page.locator(".overflow-menu > button").click()
            tab = page.locator(".overflow-dropdown").get_by_text(label, exact=True)
        tab.click()
        if name == "check":
            pictures = sorted(out.glob("*-desktop-light.png"))[:1] + sorted(Path("skin_tone").glob("*.webp"))
            page.locator("#fg-files input[type=file]").set_input_files(pictures)
            page.wait_for_timeout(1500)
            page.click("#fg-check-go")
            page.wait_for_selector("#fg-check-status .fg-status-done", timeout=60_000)
        if name == "audit":
            page.locator("#fg-audit-count input[type=number]").fill("3")
            page.click("#fg-audit-go")
            page.wait_for_selector("#fg-audit-status .fg-status-done", timeout=120_000)
        shoot(name)


if __name__ == "__main__":
    main()
