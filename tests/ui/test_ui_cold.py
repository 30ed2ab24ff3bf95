"""``python app.py`` as a Hugging Face Space runs it, from a cold start to the first picture."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.doubles.ui_server import LONG, ROOT, environment, free_port, new_client, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.embedded, pytest.mark.alone]
FIRST_PICTURE, INTERACTIVE = 2.2, 0.3
"""Times what `fairgen generate` takes from a cold start to one picture, measured before, and after where that
is too little: machines differ. `benchmarks/web_app.py` measures seconds.
"""
ASKED, EACH_SECOND = 15, 2
"""Requests to the server's functions of one visitor until they see a picture: some ten are due, and the page
asks for a first look at it more than once a second.
"""


def _one_picture(folder: Path) -> float:
    """Seconds that the command takes for one picture, with nothing loaded before."""
    began = time.monotonic()
    command = [sys.executable, "-m", "fairgen", "generate", "a portrait of a nurse", "--count", "1"]
    subprocess.run(
        [*command, "--steering", "none", "--out", str(folder)],
        env=environment(),
        cwd=folder.parent,
        check=True,
        capture_output=True,
    )
    return time.monotonic() - began


def test_a_cold_space_shows_a_picture_in_time_and_lets_visitors_choose_no_model(
    browser: Browser, tmp_path: Path, embedded_model: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    url = f"http://127.0.0.1:{port}/"
    env = environment() | {"SPACE_ID": "somebody/fairgen", "GRADIO_SERVER_PORT": str(port)}
    env |= {"TMPDIR": str(tmp_path)}
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if r.url.endswith("/run/predict") else None)
    before = _one_picture(tmp_path / "before")
    began = time.monotonic()
    with log.open("wb") as sink:
        command = [sys.executable, str(ROOT / "app.py")]
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=env, cwd=tmp_path)
    try:
        wait_for(url, process, log)
        answered = time.monotonic()
        page.goto(url)
        page.get_by_role("button", name="a portrait of a nurse", exact=True).click()
        page.wait_for_function("document.querySelector('#fg-prompt textarea').value.includes('nurse')")
        interactive = time.monotonic() - answered
        page.click("#fg-go")
        picture = "[...document.querySelectorAll('#fg-cards img')].some(i => i.complete && i.naturalWidth)"
        page.wait_for_function(picture, timeout=LONG)
        first = time.monotonic() - began
        page.click("#fg-stop")
        script = new_client(url)
        known = script.predict(api_name="/server")
        script.close()
        assert known["models"] == ["embedded"]
        assert not known["any_model"]
        # Pages that others frame (as Hugging Face does) are served; nothing of the machine is.
        assert httpx.get(url).status_code == 200
        assert not (tmp_path / "runs").exists()
        assert list((tmp_path / "fairgen-runs").glob("web-generate-*"))
    finally:
        page.context.close()
        process.terminate()
        process.wait(30)
    assert "Traceback" not in log.read_text()
    assert len(asked) < ASKED + EACH_SECOND * first
    plain = before
    if interactive >= INTERACTIVE * plain or first >= FIRST_PICTURE * plain:
        plain = (before + _one_picture(tmp_path / "after")) / 2  # the machine may have been quicker before
    assert interactive < INTERACTIVE * plain
    assert first < FIRST_PICTURE * plain
