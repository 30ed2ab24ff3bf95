"""The web app as its users meet it: how long they wait, and what many of them at once take of the server.

    python benchmarks/web_app.py --save

A fresh ``fairgen serve`` on the embedded model each time. The times run from the start of the command, or
from the server's first answer, to what a person sees in headless Chromium. Then visitors with `gradio_client`
ask for a picture each, all at once, in rounds; the server's memory is its resident set (RSS), children
included, once everybody has left.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.error import URLError

import page_tables
import psutil
import typer

from tools.figures.stamp import CALIBRATIONS, MODEL, READERS, write_figures

_HERE = Path(__file__).resolve().parent
_CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
_PATIENCE = 600
"""Seconds before a measurement is given up."""
_SETTLING = 3.0
"""Seconds after the last visitor of a round has left."""


@contextmanager
def _server(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address, and the process; it need not answer yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "fairgen", "serve", "--port", str(port), "--runs", str(folder / "runs")]
    with (folder / "log").open("wb") as log:
        server = psutil.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}/", server
    finally:
        server.terminate()
        server.wait(30)


def _answers(address: str) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (URLError, OSError):
            time.sleep(0.02)
    sys.exit(f"{address} does not answer")


def _first_visit(count: int) -> dict[str, float]:
    """Seconds of one cold start, seen through a browser that runs already."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        began = time.monotonic()
        with _server(Path(scratch)) as (address, _):
            _answers(address)
            answered = time.monotonic()
            page.goto(address)
            # A page is interactive once a click is answered: an example goes into the prompt.
            page.get_by_role("button", name="a portrait of a nurse", exact=True).click()
            page.wait_for_function("document.querySelector('#fg-prompt textarea').value.includes('nurse')")
            interactive = time.monotonic()
            page.locator("#fg-count input[type=number]").fill(str(count))
            page.locator("#fg-count input[type=number]").blur()
            page.click("#fg-go")
            asked = time.monotonic()
            page.wait_for_function(
                "[...document.querySelectorAll('#fg-cards img')].some(i => i.complete && i.naturalWidth)",
                timeout=_PATIENCE * 1000,
            )
            first = time.monotonic()
            page.wait_for_selector("#fg-status .fg-status-done", timeout=_PATIENCE * 1000)
            page.wait_for_function(
                f"document.querySelectorAll('#fg-cards .fg-pic-button img').length === {count}"
                " && !!document.querySelector('#fg-chart [data-tv]')",
                timeout=_PATIENCE * 1000,
            )
            done = time.monotonic()
        browser.close()
    return {
        "answer": answered - began,
        "interactive": interactive - answered,
        "first_picture": first - began,
        "set": done - asked,
    }


def _memory(server: psutil.Process) -> float:
    """Megabytes of the resident set, children included."""
    own = [server, *server.children(recursive=True)]
    return sum(float(process.memory_info().rss) for process in own) / 1e6


def _round(address: str, users: int, number: int) -> dict[str, Any]:
    """Every user asks for a picture of their own at once; what came back, and who was told their place."""
    from gradio_client import Client

    clients = [Client(address, verbose=False, analytics_enabled=False) for _ in range(users)]
    began = time.monotonic()

    def ask(user: int) -> tuple[dict[str, Any], set[int]]:
        prompt = f"a portrait of person {number}-{user}"
        job = clients[user].submit(prompt, count=1, seed=user, api_name="/generate")
        result: dict[str, Any] = job.result(timeout=_PATIENCE)
        places = {state["place"] for state in job.outputs() if state.get("place")}
        return result, places

    with ThreadPoolExecutor(users) as pool:
        found = list(pool.map(ask, range(users)))
    seconds = time.monotonic() - began  # a client waits for its server's next heartbeat when it is closed
    for client in clients:
        client.close()
    own = [
        result["state"] == "done"
        and result["summary"]["prompt"] == f"a portrait of person {number}-{user}"
        and result["summary"]["seed"] == user
        for user, (result, _) in enumerate(found)
    ]
    return {
        "seconds": seconds,
        "own_results": sum(own),
        "runs": len({result["run"] for result, _ in found}),
        "told_a_place": sum(bool(places) for _, places in found),
    }


def main(
    starts: Annotated[int, typer.Option(help="Cold starts; the medians are given.")] = 3,
    count: Annotated[int, typer.Option(help="Pictures in the first set.")] = 12,
    users: Annotated[int, typer.Option(help="Visitors at once.")] = 32,
    rounds: Annotated[int, typer.Option(help="Times that so many visitors come.")] = 10,
    save: Annotated[bool, typer.Option(help="Write docs/web-app.md and web_app.json.")] = False,
) -> None:
    """Measure and print."""
    visits = []
    for _ in range(starts):
        visits.append(_first_visit(count))
        print(visits[-1], flush=True)
    came = []
    if rounds:
        with tempfile.TemporaryDirectory() as scratch, _server(Path(scratch)) as (address, server):
            _answers(address)
            for number in range(rounds):
                told = _round(address, users, number)
                time.sleep(_SETTLING)
                came.append(told | {"megabytes": _memory(server)})
                print(came[-1], flush=True)
    tables = []
    if visits:
        medians = {key: statistics.median(visit[key] for visit in visits) for key in visits[0]}
        bars = {"answer": None, "interactive": 3, "first_picture": 20, "set": 60}
        said = {
            "answer": "`fairgen serve` to the server's first answer",
            "interactive": "from that answer to a page that reacts",
            "first_picture": "cold `fairgen serve` to the first picture on the page",
            "set": f"from the click to a set of {count} with its chart",
        }
        rows = [
            [said[key], f"{value:.1f}", f"{max(visit[key] for visit in visits):.1f}", str(bars[key] or "–")]
            for key, value in medians.items()
        ]
        tables.append(page_tables.table(("seconds", "median", "worst", "at most"), rows))
    if came:
        rows = [
            [
                str(n),
                str(r["own_results"]),
                str(r["told_a_place"]),
                f"{r['seconds']:.0f}",
                f"{r['megabytes']:.0f}",
            ]
            for n, r in enumerate(came, 1)
        ]
        titles = ("round", f"own results of {users}", "told their place", "seconds", "server's memory, MB")
        tables.append(page_tables.table(titles, rows))
    text = "\n\n".join(tables)
    print(text)
    if save:
        page_tables.put("web-app", text, _HERE.parent / "docs" / "web-app.md")
        options = f"--starts {starts} --count {count} --users {users} --rounds {rounds}"
        document = {
            "command": f"python benchmarks/web_app.py {options} --save",
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
            "visits": visits,
            "rounds": came,
        }
        write_figures(_HERE / "web_app.json", document, [MODEL, CALIBRATIONS, READERS])


if __name__ == "__main__":
    typer.run(main)
