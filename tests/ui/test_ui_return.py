"""Visitors who come back in a browser: after a reload, a stop, with two tabs, or with quick fingers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.doubles.ui_server import open_page, open_tab
from tests.ui.test_ui_generate import DONE, loaded, make, newest_summary

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.doubles.ui_server import Served

pytestmark = pytest.mark.embedded


def counts(page: Page) -> dict[str, int]:
    """Class -> pictures, as the chart says."""
    rows = page.locator("#fg-chart tbody tr").evaluate_all("rows => rows.map(r => ({...r.dataset}))")
    return {row["class"]: int(row["count"]) for row in rows}


@pytest.fixture
def visitor(browser: Browser, served: Served) -> Iterator[Page]:
    """A visitor who may reload: Gradio writes to the console that a reload cut its connection."""
    page = open_page(browser, served)
    yield page
    page.context.close()


def test_a_set_goes_on_through_a_reload_and_is_found_again_later(
    visitor: Page, browser: Browser, served: Served
) -> None:
    page = visitor
    make(page, 9, "a portrait of a florist")
    page.wait_for_selector("#fg-cards .fg-pic-button img")
    page.reload()
    page.wait_for_selector(DONE)  # of itself
    assert len(loaded(page, "#fg-cards")) == 9
    assert counts(page) == newest_summary(served)["measured"]
    assert page.locator("#fg-prompt textarea").input_value() == "a portrait of a florist"
    assert len(list(served.runs.glob("web-generate-a-portrait-of-a-florist-*"))) == 1
    page.wait_for_selector("text=Your earlier sets (1)")
    card = page.locator(".fg-past", has_text="a florist")
    assert not card.is_visible()  # the list pushes nothing down unless a set waits to be gone on with
    page.click("#fg-earlier button")
    page.wait_for_selector(".fg-past >> text=9 pictures")
    assert "Being made" not in card.inner_text()
    other = page.context.new_page()  # a tab that has shown nothing yet
    other.goto(served.url)
    other.click("#fg-earlier button")
    other.click(".fg-past-show")
    other.wait_for_selector(DONE)
    assert counts(other) == counts(page)
    thumbs = other.locator(".fg-past img")
    assert thumbs.count() == 4
    other.wait_for_function("[...document.querySelectorAll('.fg-past img')].every(i => i.naturalWidth > 0)")
    other.close()
    page.click("#fg-twin-go")
    page.wait_for_selector("#fg-twins .fg-twin")
    page.click("#fg-stop")
    page.wait_for_selector("text=Stopped after")
    stranger = open_page(browser, served)
    stranger.wait_for_timeout(500)
    assert not stranger.locator("#fg-earlier").is_visible()
    forged = json.dumps([{"id": served.runs.name, "key": "x"}, {"id": 7}, None, "<b>"])
    stranger.evaluate("kept => localStorage.setItem('fairgen-runs', kept)", forged)
    stranger.reload()
    stranger.wait_for_selector("#fg-go")
    stranger.wait_for_timeout(500)
    assert not stranger.locator("#fg-earlier").is_visible()
    stranger.context.close()
    if not page.locator("#fg-earlier-forget").is_visible():
        page.click("#fg-earlier button")
    page.click("#fg-earlier-forget")
    page.wait_for_selector("#fg-earlier", state="hidden")
    assert page.evaluate("localStorage.getItem('fairgen-runs')") == "[]"


def test_a_second_tab_follows_the_set_that_the_first_makes(page: Page, served: Served) -> None:
    make(page, 60, "a portrait of a grocer")  # not done before the other tab is open, however slow that is
    page.wait_for_selector("#fg-cards .fg-pic-button img")
    other = page.context.new_page()
    other.goto(served.url)
    other.click(".fg-past-show")  # the gallery is open, since the set is not done
    other.wait_for_selector("#fg-cards .fg-pic-button img")
    page.click("#fg-stop")
    for tab in (page, other):
        tab.wait_for_selector("#fg-status .fg-status-stopped")
    assert len(loaded(other, "#fg-cards")) == len(loaded(page, "#fg-cards")) < 60
    assert counts(other) == counts(page)
    assert sum(counts(other).values()) == len(loaded(other, "#fg-cards"))
    other.close()


def test_a_set_that_waits_is_stopped_at_once(page: Page, browser: Browser, served: Served) -> None:
    first = open_page(browser, served)
    make(first, 60, "a portrait of a first visitor")
    first.wait_for_selector("#fg-cards .fg-pic-button img")
    make(page, 3, "a portrait of a second visitor")
    page.wait_for_selector("text=Place 1 in the queue.")
    page.click("#fg-stop")
    page.wait_for_selector("text=Stopped: 0 of 3 pictures found.")
    assert page.locator("#fg-go").is_enabled()
    first.click("#fg-stop")
    first.wait_for_selector("#fg-status .fg-status-stopped")
    first.context.close()
    page.click("#fg-go-on")
    page.wait_for_selector(DONE)


def test_quick_fingers_start_one_set_and_stop_it_once(page: Page, served: Served) -> None:
    page.locator("#fg-prompt textarea").fill("a portrait of a jeweller")
    page.locator("#fg-count input[type=number]").fill("60")
    page.locator("#fg-count input[type=number]").blur()
    page.dblclick("#fg-go")
    page.wait_for_selector("#fg-cards .fg-pic-button img")
    page.locator("#fg-stop").dblclick()
    page.wait_for_selector("#fg-status .fg-status-stopped")
    made = page.locator("#fg-cards .fg-pic-button").count()
    assert len(list(served.runs.glob("web-generate-a-portrait-of-a-jeweller-*"))) == 1
    assert page.locator("#fg-stop").inner_text() == "Stop"
    assert page.locator("#fg-stop").is_disabled()
    page.click("#fg-go-on")
    page.wait_for_function(f"document.querySelectorAll('#fg-cards .fg-pic-button').length > {made}")
    page.click("#fg-stop")
    page.wait_for_selector("#fg-status .fg-status-stopped")


def test_who_goes_on_at_once_is_not_stopped_by_the_stop_before(page: Page) -> None:
    make(page, 60, "a portrait of a saddler")
    page.wait_for_selector("#fg-cards .fg-pic-button img")
    page.route("**/pulse", lambda _: None)  # the page cannot repeat the stop before the visitor goes on
    page.click("#fg-stop")
    page.wait_for_selector("#fg-status .fg-status-stopped")
    assert page.evaluate("sessionStorage.getItem('fairgen-stop')")
    page.click("#fg-go-on")
    assert page.evaluate("sessionStorage.getItem('fairgen-stop')") is None
    page.unroute("**/pulse")
    page.click("#fg-stop")
    page.wait_for_selector("#fg-status .fg-status-stopped")


def test_a_stopped_audit_is_gone_on_with_in_the_page(visitor: Page) -> None:
    page = visitor
    open_tab(page, "Audit")
    page.locator("#fg-audit-prompts textarea").fill("# [a]\na potter\na tailor\n# [b]\na weaver")
    page.locator("#fg-audit-count input[type=number]").fill("3")
    page.click("#fg-audit-go")
    said = "document.querySelector('#fg-audit-status .fg-status-sampling p span')?.innerText"
    page.wait_for_function(f"/^[1-9]/.test({said} || '')")
    page.click("#fg-audit-stop")
    page.wait_for_selector("#fg-audit-status .fg-status-stopped")
    done = int(page.inner_text("#fg-audit-status p span").split(" of ")[0])
    assert 0 < done < 18
    page.reload()  # the browser still has its key
    open_tab(page, "Audit")
    page.click("#fg-past button")
    page.wait_for_function(
        "document.querySelector('#fg-past-first input')?.value.includes('Audit of 3 prompts')"
    )
    page.click("#fg-past-resume")
    page.wait_for_selector("#fg-audit-status .fg-status-sampling")
    page.wait_for_selector("#fg-audit-status .fg-status-done")
    assert "18 of 18" in page.inner_text("#fg-audit-status")
    rows = page.locator("#fg-audit-status tbody tr")
    assert ["9 of 9" in text for text in rows.all_inner_texts()] == [True, True]
    with page.context.expect_page() as opened:
        page.click("#fg-audit-links >> text=Open the report")
    expect(opened.value.locator("body")).to_contain_text("a weaver")
