"""One ``fairgen serve`` on quick models for all tests of the web app, and its visitors: fixtures."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

import pytest

from tests.doubles.accessibility import violations
from tests.doubles.monitored import write_state
from tests.doubles.warm_commands import WarmCommand

if TYPE_CHECKING:
    from gradio_client import Client
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 240
"""Seconds before a test gives up; a busy machine is slower than two idle cores."""
LONG = 1000 * PATIENCE
"""The same in milliseconds, for the browser."""


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    runs: Path
    log: Path
    started: float
    pid: int
    monitored: Path | None = None
    """The state of a monitor that it shows, with pictures beside it."""

    def memory(self) -> int:
        """Bytes of the server's resident set."""
        import psutil

        return int(psutil.Process(self.pid).memory_info().rss)


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment() -> dict[str, str]:
    """For a subprocess that shall import this checkout."""
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, quick_model: Path) -> Iterator[Served]:
    """The server, with a quick model and the embedded one; ends with the test session."""
    folder = tmp_path_factory.mktemp("served")
    port = free_port()
    log = folder / "server.log"
    command = [sys.executable, "-m", "fairgen", "serve", "--port", str(port), "--runs", str(folder / "runs")]
    command += ["--model", str(quick_model), "--model", "embedded", "--llm-server", "http://127.0.0.1"]
    state = folder / "watched-secretly" / "shop.sqlite"
    write_state(state)
    command += ["--monitor", str(state), "--monitor", str(state.with_name("later.sqlite"))]
    started = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=environment(), cwd=folder)
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_for(url, process, log)
        yield Served(url, folder / "runs", log, started, process.pid, state)
    finally:
        process.terminate()
        process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes] | WarmCommand, log: Path) -> None:
    """Until the server answers; fails with its log where it ends instead."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (URLError, OSError):
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
    raise AssertionError(f"no answer within {PATIENCE} s: {log.read_text()}")


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A fresh visitor on the page, ready to be used.

    Fails where the page writes an error to the console or asks any other server for anything.
    """
    context = browser.new_context(
        viewport={"width": 1280, "height": 900},
        accept_downloads=True,
        reduced_motion="reduce",  # a browser without a graphics card spends half a core on what moves
    )
    context.set_default_timeout(LONG)
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: troubles.append(str(e)))
    page.on("request", lambda r: None if _own(r.url, served.url) else troubles.append(f"asked for {r.url}"))
    page.goto(served.url)
    page.wait_for_selector("#fg-go")
    yield page
    context.close()
    assert not troubles, troubles


def open_page(browser: Browser, served: Served) -> Page:
    """One more visitor on the page, with a browser profile of their own; close its context."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce").new_page()
    page.set_default_timeout(LONG)
    page.goto(served.url)
    page.wait_for_selector("#fg-go")
    return page


def open_tab(page: Page, name: str) -> None:
    """Go to a tab, through the menu where the screen is small, and wait until it can be used.

    In the frame after a tab was opened for the first time, Gradio sets all that is in it to its first value
    once more (gradio 6.31, ``render_previously_invisible_children``). No person is that fast, but a test is.
    """
    tab, menu = page.get_by_role("tab", name=name, exact=True), page.locator(".overflow-menu > button")
    tab.or_(menu).first.wait_for()  # the page may be on its way
    if not tab.count():
        menu.click()
        tab = page.locator(".overflow-dropdown").get_by_text(name, exact=True)
    tab.click()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    if name == "Monitor":
        page.wait_for_selector("#fg-monitor table.contexts")


def serious(page: Page, impacts: tuple[str, ...] = ("serious", "critical")) -> list[str]:
    """What axe-core finds, of these impacts.

    Seen as tall as the page is: else the bar that sticks to the lower edge lies over text, which counts for
    poor contrast.
    """
    size = page.viewport_size
    assert size is not None
    tall = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": max(tall, size["height"])})
    found = violations(page)
    page.set_viewport_size(size)
    return [
        f"{v['id']}: {v['help']}: {[n['html'][:160] for n in v['nodes']][:3]}"
        for v in found
        if v["impact"] in impacts
    ]


def _own(url: str, server: str) -> bool:
    return url.startswith((server, "data:", "blob:", "about:"))


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[Client]:
    """A script that uses the server; one for all tests of a file, since it takes a second to close."""
    found = new_client(served.url)
    yield found
    found.close()


def new_client(url: str) -> Client:
    """One more script, with a session of its own."""
    from gradio_client import Client

    return Client(url, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": PATIENCE})


@pytest.fixture(scope="session")
def face(tmp_path_factory: pytest.TempPathFactory, served: Served) -> Path:
    """A picture with one face, made by the server."""
    script = new_client(served.url)
    result = script.submit("a portrait of a nurse", count=1, seed=3, api_name="/generate").result()
    script.close()
    file = tmp_path_factory.mktemp("face") / "nurse.png"
    with urllib.request.urlopen(served.url + result["pictures"][0]["url"]) as answer:
        file.write_bytes(answer.read())
    return file
