"""``python -m tools.screenshots OUT``: serve the app, walk through it in a browser, save how it looks.

python -m tools.screenshots OUT              # every tab, light and dark, on a desk, a tablet and a phone
python -m tools.screenshots --readme         # docs/images/web-app*.png, which the README shows
"""

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

from tools.screenshots.report import CHROMIUM

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZES = {"desktop": (1440, 1000), "tablet": (768, 1024), "phone": (360, 780)}
IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
README = {
    "set-desktop-light": "web-app.png",
    "twins-desktop-light": "web-app-twins.png",
    "set-phone-dark": "web-app-phone.png",
}
"""Picture of the walk -> its file for the README."""
MOST_BYTES = 400_000
_TALLEST = 6000
_CHECKED = 8
"""Pictures that are dropped into the Check tab."""
_PATIENCE = 600_000
"""Milliseconds."""
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
        for _ in range(3000):
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
    parser.add_argument("out", type=Path, nargs="?", help="folder for the PNGs; made where missing")
    parser.add_argument("--count", type=int, default=12, help="pictures in the set (default: 12)")
    parser.add_argument("--readme", action="store_true", help=f"make {', '.join(README.values())} anew")
    options = parser.parse_args()
    if options.out is None and not options.readme:
        parser.error("say where the pictures shall go, or --readme")
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as scratch,
        served(runs := Path(scratch) / "runs") as address,
        sync_playwright() as play,
    ):
        out = options.out or Path(scratch) / "out"
        out.mkdir(parents=True, exist_ok=True)
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        if options.readme:
            for size, scheme in (("desktop", "light"), ("phone", "dark")):
                _walk(browser, address, size, scheme, out, options.count, None)
            for name, file in README.items():
                _put(out / f"{name}.png", IMAGES / file)
        else:
            for size in SIZES:
                for scheme in ("light", "dark"):
                    _walk(browser, address, size, scheme, out, options.count, runs)
        browser.close()


def _put(picture: Path, file: Path) -> None:
    """Save a screenshot for the README; with a palette of 256 colours where it were too large without."""
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(picture) as shot:
        full = shot.convert("RGB")
    full.save(file, optimize=True)
    if file.stat().st_size > MOST_BYTES:
        full.quantize(256).save(file, optimize=True)
    print(f"{file}: {file.stat().st_size:,} bytes")
    if file.stat().st_size > MOST_BYTES:
        sys.exit(f"{file} is larger than {MOST_BYTES:,} bytes: take fewer pictures (--count).")


def _walk(
    browser: Browser, address: str, size: str, scheme: str, out: Path, count: int, runs: Path | None
) -> None:
    """One visitor: makes a set, looks at a reading and the twins, then goes through the other tabs; the
    pictures that it drops there are those that it finds in ``runs`` (None: the other tabs are left out).
    """
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2 if size == "phone" else 1,
    )
    context.set_default_timeout(_PATIENCE)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("#fg-go")

    def shoot(name: str, *, whole: bool = True) -> None:
        if whole:  # as tall as the page, so that nothing sticks to the middle of it
            tall = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": width, "height": min(tall, _TALLEST)})
        page.wait_for_timeout(700)
        page.screenshot(path=out / f"{name}-{size}-{scheme}.png")
        page.set_viewport_size({"width": width, "height": height})
        print(out / f"{name}-{size}-{scheme}.png")

    shoot("welcome", whole=False)
    page.locator("#fg-count input[type=number]").fill(str(count))
    page.click("#fg-go")
    page.wait_for_function(
        f"document.querySelectorAll('#fg-cards .fg-pic-button img').length >= {count // 2}",
    )
    shoot("generating", whole=False)
    page.wait_for_selector("#fg-status .fg-status-done")
    page.evaluate("document.querySelector(innerWidth < 820 ? '#fg-status' : 'body').scrollIntoView()")
    shoot("set", whole=False)
    shoot("generate")
    page.locator("#fg-cards .fg-pic-button").first.click()
    shoot("reading", whole=False)
    page.keyboard.press("Escape")
    page.click("#fg-twin-go")
    page.wait_for_selector("#fg-twins >> nth=0")
    page.wait_for_function(
        f"document.querySelectorAll('#fg-twins .fg-twin').length == {count}",
    )
    page.wait_for_selector("text=By itself the model has")
    page.locator(".fg-twin-head").evaluate("head => head.scrollIntoView()")
    shoot("twins", whole=False)
    if runs is None:
        context.close()
        return
    page.get_by_text("By hand", exact=True).click()
    page.locator(".fg-edit").scroll_into_view_if_needed()
    shoot("by-hand", whole=False)
    _others(page, shoot, runs)
    context.close()


def _others(page: Page, shoot: object, runs: Path) -> None:
    assert callable(shoot)
    for name, label in _TABS.items():
        page.evaluate("window.scrollTo(0, 0)")
        tab = page.get_by_role("tab", name=label, exact=True)
        if not tab.count():  # on a phone the others are behind a menu
            page.locator(".overflow-menu > button").click()
            tab = page.locator(".overflow-dropdown").get_by_text(label, exact=True)
        tab.click()
        if name == "check":
            made = sorted(runs.rglob("[0-9][0-9][0-9]_*.png"))
            page.locator("#fg-files input[type=file]").set_input_files(made[:_CHECKED])
            page.wait_for_timeout(1500)
            page.click("#fg-check-go")
            page.wait_for_selector("#fg-check-status .fg-status-done")
        if name == "audit":
            page.locator("#fg-audit-count input[type=number]").fill("3")
            page.click("#fg-audit-go")
            page.wait_for_selector("#fg-audit-status .fg-status-done")
        shoot(name)


if __name__ == "__main__":
    main()
