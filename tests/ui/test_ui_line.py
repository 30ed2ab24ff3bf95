"""Lines that drop, servers that are killed: the work goes on at the server, and the page finds it again."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.doubles.cutting_proxy import proxy_to
from tests.doubles.ui_server import LONG, Served, environment, free_port, open_page, open_tab, wait_for
from tests.doubles.warm_commands import WarmCommand
from tests.ui.test_ui_generate import DONE, loaded, make

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.embedded
SOON = 5.0
"""Seconds after the line's return in which the page shall show its work again, on a machine that idles."""
SHOWN = "#fg-cards .fg-pic-button img"


def port_of(served: Served) -> int:
    """The port of a server."""
    return int(served.url.rstrip("/").rpartition(":")[2])


def through(served: Served, url: str) -> Served:
    """The same server, reached at another address."""
    return Served(url, served.runs, served.log, served.started, served.pid)


@contextmanager
def serving(folder: Path, port: int, model: Path) -> Iterator[tuple[Served, WarmCommand]]:
    """A server of its own, which a test may kill."""
    log = folder / "server.log"
    asked = ("serve", "--port", str(port), "--runs", str(folder / "runs"), "--model", str(model))
    process = WarmCommand(*asked, cwd=folder, stdout=log, stderr=log, env=environment())
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_for(url, process, log)
        yield Served(url, folder / "runs", log, time.monotonic(), process.pid), process
    finally:
        process.terminate()
        process.wait(30)


def pictures(page: Page) -> int:
    """Pictures of the set that the page shows."""
    return page.locator("#fg-cards .fg-pic-button").count()


LATER = """number => {
  const real = window.fetch;
  window.fgSame = true;
  window.fgPulses = 0;
  window.fetch = async (what, how) => {
    if (String(what) !== "pulse") return real(what, how);
    if (number-- > 0) throw new DOMException("the answer came too late", "TimeoutError");
    const answer = await real(what, how);
    window.fgPulses += 1;
    return answer;
  };
}"""
"""The next answers to the page's pulse come too late."""


END_COMES_LATE = """() => {
  const real = window.fetch;
  let joined;
  window.fetch = async (...given) => {
    const where = String(given[0]?.url || given[0]), answer = await real(...given);
    if (where.includes("/queue/join") && joined) setTimeout(joined, 200);
    if (!where.includes("/queue/data")) return answer;
    const passed = new TransformStream({
      async transform(chunk, out) {
        const text = new TextDecoder().decode(chunk), end = text.indexOf('data: {"msg":"close_stream"');
        if (end < 0 || !window.fgHold) return out.enqueue(chunk);
        window.fgHold = false;
        out.enqueue(new TextEncoder().encode(text.slice(0, end)));
        window.fgHeld = true;
        await new Promise((done) => { joined = done; });
        out.enqueue(new TextEncoder().encode(text.slice(end)));
      },
    });
    return new Response(answer.body.pipeThrough(passed), answer);
  };
}"""
"""The end of a stream of answers reaches the page after the answer to what it asked next."""


def test_what_is_asked_while_the_stream_of_answers_ends_is_answered(browser: Browser, served: Served) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(LONG)
    context.add_init_script(f"({END_COMES_LATE})()")
    page = context.new_page()
    page.goto(served.url)
    page.wait_for_selector("#fg-model-facts [data-technique]")
    open_tab(page, "Specs")
    page.click("#fg-import button")
    page.evaluate("window.fgHold = true")
    for text, answer in (("name: x", "is missing"), ("- x", "mapping")):
        page.locator("#fg-spec-text textarea").fill(text)
        page.click("#fg-spec-add")
        page.wait_for_selector(f"#fg-spec-message .fg-status-error >> text={answer}")
        page.wait_for_function("window.fgHeld")
    context.close()


def test_a_server_that_is_busy_for_a_moment_is_no_line_that_dropped(browser: Browser, served: Served) -> None:
    page = open_page(browser, served)
    make(page, 60, "a portrait of a stoker")
    page.wait_for_selector(SHOWN)
    page.evaluate(LATER, 2)
    page.wait_for_function("window.fgPulses >= 2")
    assert page.evaluate("window.fgSame") is True
    page.evaluate(LATER, 3)
    page.wait_for_function("window.fgSame === undefined")  # loaded anew
    page.wait_for_selector(SHOWN)
    page.click("#fg-stop")
    page.wait_for_selector("#fg-status .fg-status-stopped")
    page.context.close()


def test_a_set_whose_line_drops_goes_on_and_comes_back_without_a_reload_by_hand(
    browser: Browser, served: Served
) -> None:
    with proxy_to(port_of(served)) as proxy:
        page = open_page(browser, through(served, proxy.url))
        make(page, 9, "a portrait of a sailor")
        page.wait_for_selector(SHOWN)
        proxy.cut(1)
        page.wait_for_selector(DONE)
        assert len(loaded(page, "#fg-cards")) == 9
        assert page.locator("#fg-prompt textarea").input_value() == "a portrait of a sailor"
        assert page.locator("#fg-count input[type=number]").input_value() == "9"
        assert page.locator("#fg-go").is_enabled()
        assert len(list(served.runs.glob("web-generate-a-portrait-of-a-sailor-*"))) == 1
        page.context.close()


def test_an_audit_goes_on_while_its_page_is_away_and_is_stopped_where_the_visitor_asked(
    browser: Browser, served: Served
) -> None:
    with proxy_to(port_of(served)) as proxy:
        page = open_page(browser, through(served, proxy.url))
        open_tab(page, "Audit")
        page.locator("#fg-audit-prompts textarea").fill("\n".join(f"a carter {n}" for n in range(8)))
        page.locator("#fg-audit-count input[type=number]").fill("6")
        page.click("#fg-audit-go")
        page.wait_for_selector("#fg-audit-status .fg-status-sampling")
        proxy.cut(3)
        page.wait_for_selector("#fg-audit-status .fg-status-sampling >> visible=true")  # on its own tab
        page.click("#fg-audit-stop")
        page.wait_for_selector("#fg-audit-status .fg-status-stopped")
        assert page.locator("#fg-audit-go-on").is_visible()
        page.context.close()


def test_a_stop_that_the_line_swallowed_reaches_the_server_later(browser: Browser, served: Served) -> None:
    with proxy_to(port_of(served)) as proxy:
        page = open_page(browser, through(served, proxy.url))
        make(page, 60, "a portrait of a miller")
        page.wait_for_selector(SHOWN)
        page.context.set_offline(True)
        page.click("#fg-stop")
        page.wait_for_timeout(1000)
        page.context.set_offline(False)
        page.wait_for_selector("#fg-status .fg-status-stopped")
        assert 0 < pictures(page) < 60
        page.context.close()


def test_a_killed_server_loses_nothing(browser: Browser, quick_model: Path, tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port, quick_model) as (served, process):
        page = open_page(browser, served)
        make(page, 3, "a portrait of a sexton")
        page.wait_for_selector(DONE)
        report = page.locator("#fg-links a").first.get_attribute("href")
        make(page, 60, "a portrait of a cooper")
        page.wait_for_function(f"document.querySelectorAll('{SHOWN}').length > 3")
        page.locator("#fg-prompt textarea").fill("a portrait of a wright")
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    with serving(tmp_path, port, quick_model) as (served, _):
        page.wait_for_selector("#fg-status .fg-status-stopped")  # by itself
        assert "a portrait of a cooper" in page.inner_text("#fg-status")
        assert page.locator("#fg-prompt textarea").input_value() == "a portrait of a wright"
        kept = pictures(page)
        assert 0 < kept < 60
        assert httpx.get(f"{served.url}{report}").status_code == 200
        page.wait_for_selector(".fg-past >> nth=1")
        assert page.locator(".fg-past img").count() >= 6
        page.click("#fg-go-on")
        page.wait_for_function(f"document.querySelectorAll('{SHOWN}').length > {kept}")
        page.click("#fg-stop")
        page.wait_for_selector("#fg-status .fg-status-stopped")
        page.locator(".fg-past", has_text="a sexton").get_by_role("button", name="Use the settings").click()
        page.wait_for_function("document.querySelector('#fg-count input[type=number]').value === '3'")
        assert page.locator("#fg-prompt textarea").input_value() == "a portrait of a sexton"
        page.once("dialog", lambda dialog: dialog.accept())
        page.locator(".fg-past", has_text="a sexton").get_by_role("button", name="Delete").click()
        page.wait_for_selector("text=Your earlier sets (1)")
        assert not list(served.runs.glob("web-generate-a-portrait-of-a-sexton-*"))
        assert httpx.get(f"{served.url}{report}").status_code == 404
        page.context.close()
        assert "Traceback" not in served.log.read_text()


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory, quick_model: Path) -> Iterator[Served]:
    """A server on the quick model alone."""
    with serving(tmp_path_factory.mktemp("quick-server"), free_port(), quick_model) as (found, _):
        yield found


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(40))
def test_whatever_the_moment_nothing_is_lost(browser: Browser, quick: Served, number: int) -> None:
    """30 sets and 10 audits; each line drops for 1, 10 or 60 s at a moment that is drawn, and every third
    one is stopped after that.
    """
    rng = random.Random(number)
    seconds = (1, 10, 60)[number % 3]
    audit, stopped = number >= 30, number % 9 == 0
    where = "#fg-audit-status" if audit else "#fg-status"
    with proxy_to(port_of(quick)) as proxy:
        page = open_page(browser, through(quick, proxy.url))
        words = f"a portrait of number {number}"
        if audit:
            open_tab(page, "Audit")
            page.locator("#fg-audit-prompts textarea").fill(f"{words}\na tailor\na weaver")
            page.locator("#fg-audit-count input[type=number]").fill("9")
            page.click("#fg-audit-go")
        else:
            make(page, 24, words)
        page.wait_for_selector(f"{where} .fg-seen[data-running='1']", state="attached")
        time.sleep(rng.uniform(0, 6))
        proxy.cut(seconds)
        back = time.monotonic()
        page.wait_for_function(  # what the server has is what the page shows
            """async (where) => {
                const mark = document.querySelector(`${where} .fg-seen`)?.dataset;
                if (!mark) return false;
                if (mark.running === "0") return true;
                const body = JSON.stringify({ runs: [{ id: mark.run, key: mark.key }], stop: null });
                const headers = { "content-type": "application/json" };
                const answer = await fetch("pulse", { method: "POST", headers, body }).catch(() => null);
                const now = answer && (await answer.json()).runs[mark.run];
                return Boolean(now) && Number(mark.version) >= now.version - 2;
            }""",
            arg=where,
        )
        took = time.monotonic() - back
        if stopped and page.locator(f"{where} .fg-seen[data-running='1']").count():
            page.click("#fg-audit-stop" if audit else "#fg-stop")
        page.wait_for_selector(f"{where} .fg-seen[data-running='0']", state="attached")
        state = page.locator(f"{where} .fg-status-done, {where} .fg-status-stopped")
        assert state.count() == 1
        if not stopped:
            assert page.locator(f"{where} .fg-status-done").count() == 1
        page.context.close()
    with Path(os.environ.get("FAIRGEN_LINE_LOG", os.devnull)).open("a") as file:
        file.write(json.dumps({"number": number, "cut": seconds, "back": round(took, 2)}) + "\n")
    assert took < SOON
