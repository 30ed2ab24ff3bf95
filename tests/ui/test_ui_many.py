"""Many visitors of one server: each gets their own, waits in a queue, and costs no memory."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from gradio_client.exceptions import AppError

from tests.doubles.ui_server import PATIENCE, new_client, open_page

if TYPE_CHECKING:
    from pathlib import Path

    from gradio_client import Client
    from playwright.sync_api import Browser

    from fairgen.ui.work.workshop import Work
    from tests.doubles.ui_server import Served

pytestmark = pytest.mark.embedded
USERS = 32


def test_32_scripts_at_once_get_their_own_results_and_are_told_their_places(
    served: Served, quick_model: Path
) -> None:
    with ThreadPoolExecutor(USERS) as pool:
        clients = list(pool.map(lambda _: new_client(served.url), range(USERS)))

        def make(number: int) -> tuple[dict[str, Any], set[int]]:
            prompt = f"a portrait of person {number}"
            asked = {"count": 1, "seed": number, "steering": "none", "model": str(quick_model)}
            job = clients[number].submit(prompt, **asked, api_name="/generate")
            result: dict[str, Any] = job.result(timeout=PATIENCE)
            places = {state["place"] for state in job.outputs() if state.get("place")}
            return result, places

        results = list(pool.map(make, range(USERS)))
    assert len({result["run"] for result, _ in results}) == USERS
    for number, (result, _) in enumerate(results):
        assert result["summary"]["prompt"] == f"a portrait of person {number}"
        assert result["summary"]["seed"] == number
    assert sum(bool(places) for _, places in results) >= USERS - 4  # the first ones may not have to wait
    assert max(max(places, default=0) for _, places in results) >= USERS // 2
    own, others = clients[0], results[1][0]["run"]
    assert own.predict(results[0][0]["run"], api_name="/run")["run"] == results[0][0]["run"]
    for endpoint in ("/run", "/stop", "/twins", "/resume"):
        with pytest.raises(AppError, match="not yours"):
            own.predict(others, api_name=endpoint)
    with pytest.raises(AppError, match="not yours"):
        own.predict(others, key="~" * 32, api_name="/run")
    assert own.predict(others, key=results[1][0]["key"], api_name="/run")["run"] == others
    with ThreadPoolExecutor(USERS) as pool:
        list(pool.map(lambda script: script.close(), clients))


@pytest.mark.exhaustive
def test_the_servers_memory_settles(served: Served) -> None:
    """Visits that were kept for good took a third of a megabyte each."""

    def visit(_: int) -> None:
        base = f"{served.url}gradio_api/call/server"
        event = web.post(base, json={"data": []}).json()["event_id"]
        assert "models" in web.get(f"{base}/{event}").text

    with httpx.Client(timeout=PATIENCE) as web, ThreadPoolExecutor(4) as pool:
        list(pool.map(visit, range(260)))  # as many as are kept
        settled = served.memory()
        list(pool.map(visit, range(160)))
        grown = served.memory() - settled
    assert grown < 20e6  # 160 visits that are kept take more than 50


LEAVER = """
import sys, time
from gradio_client import Client
client = Client(sys.argv[1], verbose=False)
job = client.submit("a portrait of a plumber", count=6, seed=9, api_name="/generate")
while not job.outputs() or job.outputs()[-1]["generated"] == 0:
    time.sleep(0.05)
print("made one", flush=True)
time.sleep(600)
"""


def records_of(served: Served, slug: str) -> list[dict[str, Any]]:
    """The run file of a visitor's only set."""
    (folder,) = served.runs.glob(f"web-generate-{slug}-*")
    records = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
    assert all((folder / r["file"]).is_file() for r in records if r["type"] == "picture")
    return records


def test_the_set_of_a_script_that_dies_is_made_and_then_comes_the_next(
    served: Served, client: Client
) -> None:
    command = [sys.executable, "-c", LEAVER, served.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as leaver:
        assert leaver.stdout is not None
        assert leaver.stdout.readline() == "made one\n"
        waiting = client.submit("a portrait of a cleaner", count=1, api_name="/generate")
        leaver.kill()  # nothing is said to the server
    assert waiting.result(timeout=PATIENCE)["state"] == "done"
    assert records_of(served, "a-portrait-of-a-plumber")[-1]["type"] == "summary"


def test_who_waits_sees_their_place_and_a_page_that_is_closed_ends_nothing(
    browser: Browser, served: Served
) -> None:
    first, second = open_page(browser, served), open_page(browser, served)
    first.locator("#fg-prompt textarea").fill("a portrait of a baker")
    first.locator("#fg-count input[type=number]").fill("6")
    first.click("#fg-go")
    first.wait_for_selector("#fg-cards .fg-pic-button img")
    second.locator("#fg-prompt textarea").fill("a portrait of a butcher")
    second.locator("#fg-count input[type=number]").fill("1")
    second.click("#fg-go")
    second.wait_for_selector("#fg-status >> text=Place 1 in the queue.")
    first.context.close()
    second.wait_for_selector("#fg-status .fg-status-done")
    second.context.close()
    assert records_of(served, "a-portrait-of-a-baker")[-1]["type"] == "summary"


def test_a_queue_that_is_full_says_so(tmp_path: Path) -> None:
    from fairgen.errors import UserError
    from fairgen.ui.work.audit import AuditState
    from fairgen.ui.work.visits import Runs
    from fairgen.ui.work.workshop import Workshop

    gate, runs, shop = threading.Event(), Runs(tmp_path), Workshop(1)

    def steps(state: AuditState) -> Iterator[AuditState]:
        gate.wait(PATIENCE)
        state.state = "done"
        yield state

    def order() -> Work:
        run = runs.claim("ann", "audit", "x")
        state = AuditState(run, 1)
        return shop.submit(run, "audit", state, lambda: steps(state))

    first = order()
    while shop.of(first.run)["audit"].state.place:
        time.sleep(0.01)
    second = order()
    assert second.state.place == 1
    with pytest.raises(UserError, match="queue is full"):
        order()
    shop.stop(second.run)
    assert (second.ended, second.state.state) == (True, "stopped")
    third = order()
    gate.set()
    while not third.ended:
        time.sleep(0.01)
    assert (first.state.state, third.state.state) == ("done", "done")
    shop.close()
    with pytest.raises(UserError, match="ending"):
        order()


def test_a_stop_that_comes_after_the_next_order_ends_nothing(tmp_path: Path) -> None:
    from fairgen.ui.work.audit import AuditState
    from fairgen.ui.work.visits import Runs
    from fairgen.ui.work.workshop import Workshop

    runs, shop = Runs(tmp_path), Workshop(9)
    run = runs.claim("ann", "audit", "x")

    def steps(state: AuditState) -> Iterator[AuditState]:
        state.state = "stopped" if run.stop.wait(0.2) else "done"
        yield state

    def order() -> Work:
        state = AuditState(run, 1)
        return shop.submit(run, "audit", state, lambda: steps(state))

    first, known = order(), run.orders
    shop.stop(run, known)
    while not first.ended:
        time.sleep(0.01)
    second = order()
    shop.stop(run, known)
    while not second.ended:
        time.sleep(0.01)
    shop.close()
    assert (first.state.state, second.state.state) == ("stopped", "done")
