"""The report as a browser shows it: Chromium opens the file from disk, and nothing may go wrong or go out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fairgen.report import write_report
from tests.doubles.accessibility import violations
from tests.doubles.fake_audit import write_fake_audit
from tests.doubles.fake_run import write_fake_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROMPTS = [
    ("a portrait of a CEO", "high"),
    ("<script>document.title = 'broken'</script> & <b>bold</b>", "high"),
    ("Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft" * 2, "middle"),
    ("صورة شخصية لطبيبة", "middle"),
    ("a portrait of a janitor", "low"),
    ("a portrait of a cleaner", "low"),
]
LOOKS = [
    (400, 800, "dark"),
    (1600, 1000, "light"),
    pytest.param(400, 800, "light", marks=pytest.mark.exhaustive),
    pytest.param(1600, 1000, "dark", marks=pytest.mark.exhaustive),
]


@pytest.fixture(scope="module")
def audit_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    return write_report(write_fake_audit(folder / "run", PROMPTS, unfinished=["p4.prompt"])).html


@pytest.fixture(scope="module")
def session_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(write_fake_run(tmp_path_factory.mktemp("session") / "run")).html


@pytest.fixture(params=["audit_page", "session_page"])
def report_page(request: pytest.FixtureRequest) -> Path:
    page: Path = request.getfixturevalue(request.param)
    return page


class Opened:
    """A page that is open, with what it said and what it asked for."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_load_state("networkidle")

    def open_everything(self) -> None:
        self.page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")

    def overflow(self) -> int:
        """Pixels by which the document is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def opened(browser: Browser, path: Path, **options: Any) -> Opened:
    context = browser.new_context(offline=True, **options)
    return Opened(context.new_page(), path)


@pytest.mark.parametrize(("width", "height", "scheme"), LOOKS)
def test_it_reads_well_at_every_width(
    browser: Browser, report_page: Path, tmp_path: Path, width: int, height: int, scheme: Any
) -> None:
    view = opened(browser, report_page, viewport={"width": width, "height": height}, color_scheme=scheme)
    assert view.overflow() <= 0
    view.open_everything()
    assert view.overflow() <= 0
    smallest = view.page.evaluate(
        """Math.min(...[...document.querySelectorAll('main *')]
             .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && e.offsetParent)
             .map(e => parseFloat(getComputedStyle(e).fontSize)))"""
    )
    assert smallest >= 11, "no text is too small to read"
    ground = view.page.evaluate("getComputedStyle(document.body).backgroundColor")
    level = [int(part) for part in ground.removeprefix("rgb(").removesuffix(")").split(",")]
    assert (sum(level) / 3 > 128) == (scheme == "light")
    view.page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert view.said == []
    view.page.context.close()


def test_it_asks_for_nothing_and_every_picture_loads(browser: Browser, report_page: Path) -> None:
    view = opened(browser, report_page)
    view.open_everything()
    view.page.wait_for_function("[...document.images].every(i => i.complete)")
    assert view.page.evaluate("document.images.length") > 50
    assert view.page.evaluate("[...document.images].filter(i => i.naturalWidth === 0).length") == 0
    assert [url for url in view.asked if not url.startswith("data:")] == [report_page.as_uri()]
    assert view.said == []
    view.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser: Browser, report_page: Path, scheme: Any) -> None:
    # The page's own policy lets no other script in; the checker is one.
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)
    page = context.new_page()
    page.goto(report_page.as_uri())
    page.evaluate("for (const d of [...document.querySelectorAll('details')].slice(0, 3)) d.open = true")
    serious = [
        f"{rule['id']} ({rule['impact']}): {rule['nodes'][0]['html'][:200]}"
        for rule in violations(page)
        if rule["impact"] in ("serious", "critical")
    ]
    assert serious == []
    context.close()


def test_prompts_are_text_and_nothing_else(browser: Browser, audit_page: Path) -> None:
    view = opened(browser, audit_page)
    assert view.page.title() == "6 prompts · fairgen audit report"
    assert view.page.locator("#prompts h3", has_text="<b>bold</b>").count() == 1
    direction = view.page.locator("#prompts h3 bdi", has_text="صورة").evaluate(
        "e => getComputedStyle(e).unicodeBidi"
    )
    assert direction == "isolate", "a prompt from right to left does not turn its line around"
    view.page.context.close()


def test_prompts_are_sorted_and_filtered(browser: Browser, audit_page: Path) -> None:
    view = opened(browser, audit_page)
    page = view.page

    def shown() -> list[str]:
        names = page.locator("#prompts > details:not([hidden])").evaluate_all(
            "all => all.map(d => d.dataset.name)"
        )
        return [str(name) for name in names]

    worst_first = shown()
    assert len(worst_first) == 6
    assert page.locator("#prompts > details[open]").count() == 1
    page.select_option("#sort", "name")
    assert shown() == page.evaluate("all => all.sort((a, b) => a.localeCompare(b))", worst_first)
    page.select_option("#sort", label="TV, unsteered")
    values = page.locator("#prompts > details").evaluate_all(
        "all => all.map(d => +d.dataset.tv.split(' ')[0])"
    )
    assert values == sorted(values, reverse=True)
    page.select_option("#sort", "rank")
    assert shown() == worst_first
    page.select_option("#group", "low")
    assert sorted(shown()) == ["a portrait of a cleaner", "a portrait of a janitor"]
    page.fill("#find", "JAN")
    assert shown() == ["a portrait of a janitor"]
    assert page.locator("#found").inner_text() == "1 of 6 prompts"
    page.fill("#find", "")
    page.select_option("#group", "")
    page.click("#open")
    assert page.locator("#prompts > details[open]").count() == 6
    assert view.said == []
    page.context.close()


def test_it_works_without_script(browser: Browser, audit_page: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(audit_page.as_uri())
    assert page.locator("#prompts > details").count() == 6
    assert not page.locator(".tools").is_visible(), "what only a script can do is not offered"
    second = page.locator("#prompts > details").nth(1)
    second.locator("summary").first.click()
    assert second.locator("table.numbers").is_visible()
    context.close()


def test_print_shows_what_was_folded(browser: Browser, audit_page: Path) -> None:
    view = opened(browser, audit_page)
    view.page.emulate_media(media="print")
    last = view.page.locator("#prompts > details").last.locator("table.numbers")
    assert last.bounding_box() is not None
    assert (last.bounding_box() or {"height": 0})["height"] > 50
    assert len(view.page.pdf(print_background=True)) > 50_000
    view.page.context.close()
