"""The other tabs in a browser, accessibility, small screens, and the dark scheme."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.doubles.ui_server import open_tab, serious

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.doubles.ui_server import Served

pytestmark = pytest.mark.embedded
TABS = ("Generate", "Check my pictures", "Audit", "Monitor", "Specs", "About")
ALL = ("minor", "moderate", "serious", "critical")
EDGES = "(b => `${b.left} to ${b.right}`)(document.querySelector('.fg-head').getBoundingClientRect())"
COVERED = """() => {
    const one = document.activeElement, box = one.getBoundingClientRect();
    if (one === document.body || !box.width) return null;
    const seen = (x, y) => {
        const top = document.elementFromPoint(x, y);
        const list = top?.closest("[role=listbox]")?.id;  // a box may be under the list that it opened
        if (list && one.getAttribute("aria-controls") === list) return true;
        return top && (one.contains(top) || top.contains(one) || top.closest("label")?.contains(one));
    };
    const middle = Math.min(Math.max((box.top + box.bottom) / 2, 1), innerHeight - 1);
    const inside = box.bottom > 0 && box.top < innerHeight;
    return inside && seen((box.left + box.right) / 2, middle) ? null : one.outerHTML.slice(0, 160);
}"""
"""The element with the focus, where something lies over its middle or it is off the screen."""
HOSTILE = """
name: hostile
version: 1
scale: lmd3
target: {light: 1/2, medium: 1/4, dark: 1/4}
source: user
about: "<script>document.title='owned'</script><img src=x onerror=alert(1)> ${1+1} {{this}} `"
why: "because </dd><h1>why</h1>"
declared_by: "<b>somebody</b>"
declared_on: 2026-11-23
citations:
  - title: "<i>title</i>"
    url: "https://example.org/?<script>"
    quote: "</blockquote><script>document.title='owned'</script>"
    claim: "<u>claim</u>"
"""


def test_uploads_are_read_and_held_against_a_target(
    page: Page, face: Path, tmp_path: Path, embedded_side: int
) -> None:
    broken = tmp_path / "<img src=x onerror=alert(1)>.png"
    broken.write_bytes(b"no picture")
    open_tab(page, "Check my pictures")
    page.locator("#fg-files input[type=file]").set_input_files([face, broken])
    page.wait_for_selector("#fg-files >> text=.png")
    page.click("#fg-check-go")
    page.wait_for_selector("#fg-check-status .fg-status-done")
    assert "1 counted, 0 not read" in page.inner_text("#fg-check-status")
    assert "1 not opened" in page.inner_text("#fg-check-status")
    picture = page.locator("#fg-check-cards .fg-pic-button img")
    assert picture.evaluate("i => i.naturalWidth") == embedded_side
    counts = page.locator("#fg-check-chart tbody tr").evaluate_all("rows => rows.map(r => +r.dataset.count)")
    assert sum(counts) == 1
    page.locator("#fg-check-cards .fg-pic-button").click()
    reading = page.locator("#fg-check-cards .fg-pop:popover-open")
    reading.wait_for()
    assert reading.locator("svg polygon").count() >= 3
    with page.context.expect_page() as opened:
        reading.get_by_text("All faces as read").click()
    assert opened.value.locator("img").evaluate("i => i.naturalWidth") == 660


def test_a_check_without_pictures_says_what_to_do(page: Page) -> None:
    open_tab(page, "Check my pictures")
    page.click("#fg-check-go")
    page.wait_for_selector("#fg-check-status .fg-status-error")
    assert "add some first" in page.inner_text("#fg-check-status")


def test_pictures_are_held_against_shares_by_hand(page: Page, face: Path) -> None:
    open_tab(page, "Check my pictures")
    page.click("#fg-check-go")
    page.wait_for_selector("#fg-check-status .fg-status-error")
    page.locator("#fg-files input[type=file]").set_input_files([face])
    page.wait_for_selector("#fg-check-status .fg-status-error", state="detached")  # there are some now
    page.locator("#fg-check-spec input").click()
    page.get_by_role("option", name="By hand", exact=True).click()
    page.wait_for_selector("#fg-check-shares .fg-edit", state="visible")
    page.select_option("#fg-check-shares select >> nth=0", "lmd3")
    page.locator("#fg-check-shares .fg-edit-typed input").first.fill("100")
    page.keyboard.press("Enter")
    page.click("#fg-check-go")
    page.wait_for_selector("#fg-check-status .fg-status-done")
    declared = page.locator("#fg-check-chart tbody td:last-child").all_inner_texts()
    assert [share.split()[0] for share in declared] == ["100", "0", "0"]


def test_a_spec_with_markup_is_taken_in_shown_as_text_approved_and_chosen(page: Page) -> None:
    title = page.title()
    open_tab(page, "Specs")
    page.click("#fg-import button")
    page.locator("#fg-spec-text textarea").fill("name: x")
    page.click("#fg-spec-add")
    page.wait_for_selector("#fg-spec-message .fg-status-error")
    assert "is missing" in page.inner_text("#fg-spec-message")
    page.locator("#fg-spec-text textarea").fill(HOSTILE)
    page.click("#fg-spec-add")
    page.wait_for_selector("#fg-spec-page >> text=<b>somebody</b>")
    shown = page.inner_text("#fg-spec-page")
    for text in (
        "<script>document.title='owned'</script>",
        "${1+1} {{this}} `",
        "<i>title</i>",
        "<u>claim</u>",
    ):
        assert text in shown
    assert page.locator("#fg-spec-page script, #fg-spec-page img, #fg-spec-page h1").count() == 0
    assert page.title() == title
    page.click("#fg-approve button")
    page.locator("#fg-approve-name input, #fg-approve-name textarea").fill("A. <i>Person</i>")
    page.click("#fg-approve-go")
    page.wait_for_selector("#fg-spec-page >> text=Approved by A. <i>Person</i>")
    with page.expect_download() as started:
        page.click("text=Export as YAML")
    from fairgen.targets import load_spec

    spec = load_spec(started.value.path())
    assert spec.approval == "approved"
    assert spec.approved_by == "A. <i>Person</i>"
    open_tab(page, "Generate")
    page.wait_for_selector(".fg-spec input[value=hostile]")
    page.reload()  # this browser keeps them
    page.wait_for_selector(".fg-spec input[value=hostile]")
    open_tab(page, "Specs")
    page.click("#fg-spec-forget")
    page.wait_for_selector("#fg-spec-message >> text=are forgotten")
    open_tab(page, "Generate")
    page.wait_for_selector(".fg-spec input[value=hostile]", state="detached")


def test_the_document_is_edited_loaded_from_a_file_and_needs_a_name_of_its_own(
    page: Page, tmp_path: Path
) -> None:
    open_tab(page, "Specs")
    page.click("#fg-import button")
    box = page.locator("#fg-spec-text textarea")
    shown = box.input_value()
    assert "name: uniform-ita6" in shown
    box.fill(shown.replace("declared_by: fairgen", "declared_by: somebody"))
    page.click("#fg-spec-add")
    page.wait_for_selector("#fg-spec-message .fg-status-error >> text=give yours another name")
    file = tmp_path / "mine.yaml"
    file.write_text(shown.replace("name: uniform-ita6", "name: mine"))
    with page.expect_file_chooser() as asked:
        page.click("#fg-spec-load")
    asked.value.set_files(file)
    page.wait_for_selector("#fg-spec-message >> text=Loaded")
    assert "name: mine" in box.input_value()
    page.click("#fg-spec-add")
    page.wait_for_selector("#fg-spec-message >> text=is valid")
    open_tab(page, "Generate")
    page.wait_for_selector(".fg-spec input[value=mine]")


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (360, "dark"),
        (768, "light"),
        (1920, "light"),
        *(
            pytest.param(width, scheme, marks=pytest.mark.exhaustive)
            for width, scheme in ((360, "light"), (1280, "dark"), (1920, "dark"))
        ),
    ],
)
def test_every_tab_is_accessible_fits_and_follows_the_scheme(
    browser: Browser, served: Served, width: int, scheme: Any
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(served.url)
    page.wait_for_selector("#fg-go")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(int(part) for part in background[4:-1].split(",")[:3]) > 380
    assert light == (scheme == "light")
    used = page.locator(".fg-work").first.evaluate("e => e.getBoundingClientRect().width")
    assert used > min(0.85 * width, 1400)
    edges = set()
    for name in TABS:
        open_tab(page, name)
        page.wait_for_timeout(250)
        edges.add(page.evaluate(EDGES))
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} px wide"
        assert not serious(page, ALL), (name, serious(page, ALL))
    assert len(edges) == 1, f"the page jumps sideways: {edges}"
    context.close()


def test_forced_colours_keep_tones_and_the_selected_tab(browser: Browser, served: Served) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, forced_colors="active")
    page = context.new_page()
    page.goto(served.url)
    page.wait_for_selector("#fg-go")
    tones = page.locator(".fg-spec .fg-strip").first.locator("span")
    assert len(set(tones.evaluate_all("all => all.map(s => getComputedStyle(s).backgroundColor)"))) == 6
    background = "all => all.map(t => getComputedStyle(t).backgroundColor)"
    tabs = page.get_by_role("tab").evaluate_all(background)
    assert tabs.count(tabs[0]) == 1, "the selected tab looks like the others"
    for name in TABS:
        open_tab(page, name)
        page.wait_for_timeout(250)
        assert not serious(page, ALL), (name, serious(page, ALL))
    context.close()


def test_tabs_follow_the_arrows_and_folds_say_whether_they_are_open(page: Page) -> None:
    page.get_by_role("tab", name="Generate", exact=True).focus()
    for key, name in (("ArrowRight", "Check my pictures"), ("End", "About"), ("ArrowRight", "Generate")):
        page.keyboard.press(key)
        page.wait_for_selector(f"[role=tab][aria-selected=true]:focus >> text={name}")
    fold = page.locator("#fg-more button.label-wrap")
    assert fold.get_attribute("aria-expanded") == "false"
    fold.click()
    page.wait_for_selector("#fg-more button.label-wrap[aria-expanded=true]")


@pytest.mark.parametrize(("width", "height"), [(640, 450), (360, 780)])
def test_what_has_the_keyboard_is_seen_and_stop_is_in_reach(
    browser: Browser, served: Served, width: int, height: int
) -> None:
    """640 x 450 is a window of 1280 x 900 at 200 %."""
    context = browser.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page = context.new_page()
    page.goto(served.url)
    page.wait_for_selector("#fg-model-facts [data-technique]")  # what is offered comes with it
    page.click("#fg-more button")
    page.locator("#fg-prompt textarea").focus()
    hidden = []
    for _ in range(60):
        page.keyboard.press("Tab")
        found = page.evaluate(COVERED)
        for _ in range(20):  # the list of the box before it takes a moment to go
            if found is None:
                break
            page.wait_for_timeout(100)
            found = page.evaluate(COVERED)
        if found:
            hidden.append(found)
    assert not hidden
    page.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    for button in ("#fg-go", "#fg-stop"):
        box = page.locator(button).bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= height
    context.close()


def test_the_keyboard_reaches_everything_and_starts_a_set(page: Page) -> None:
    wanted = {
        "prompt": "#fg-prompt textarea",
        "example": ".fg-chips button",
        "target": ".fg-spec input",
        "full": "#fg-read-spec",
        "bring": "#fg-bring",
        "count": "#fg-count input[type=number]",
        "advanced": ".fg-controls .label-wrap",
        "go": "#fg-go",
        "why": ".fg-why",
    }
    where = "ways => Object.keys(ways).filter(name => document.activeElement.matches(ways[name]))"
    page.get_by_role("tab", name="Generate", exact=True).focus()
    seen: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen += [name for name in page.evaluate(where, wanted) if name not in seen]
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        shadow = page.evaluate("getComputedStyle(document.activeElement).boxShadow")
        if page.evaluate("document.activeElement.matches('button, a')"):
            assert outline != "none" or shadow != "none", page.evaluate("document.activeElement.outerHTML")
    assert sorted(seen, key=list(wanted).index) == list(wanted)
    assert seen.index("prompt") < seen.index("target") < seen.index("count") < seen.index("go")
    page.locator(".fg-spec input").first.focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#fg-chart tbody tr:nth-child(3):last-child")  # three tones
    page.locator("#fg-count input[type=number]").fill("1")
    page.locator("#fg-go").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#fg-status .fg-status-done")


def test_a_target_is_read_in_full_and_asked_for_from_where_it_is_chosen(page: Page) -> None:
    page.locator(".fg-spec", has=page.locator("input[value=by-hand-example]")).click()
    page.click("#fg-read-spec")
    page.wait_for_selector("#fg-spec-page >> text=Example: the walls of a clinic")
    open_tab(page, "Generate")
    page.click("#fg-bring")
    page.wait_for_selector("#fg-ask-model >> visible=true")


def test_a_model_is_asked_its_target_shown_edited_and_approved_before_it_is_used(
    page: Page, served: Served
) -> None:
    from tests.doubles.llm_server import fixture_reply, replies, serving

    key = "sk-visitors-own-0123456789abcdef"
    with serving(replies(fixture_reply(about="<b>Nurses</b> of the fixture."))) as server:
        open_tab(page, "Specs")
        page.click("#fg-ask button")
        page.locator("#fg-ask-model input, #fg-ask-model textarea").fill("fixture-model")
        page.locator("#fg-ask-url input, #fg-ask-url textarea").fill(f"{server.url}")
        page.locator("#fg-ask-key input").fill(key)
        page.locator("#fg-ask-samples input[type=number]").fill("2")
        page.click("#fg-ask-go")
        page.wait_for_selector("#fg-spec-page >> text=<b>Nurses</b> of the fixture.")
        sent = [{k.lower(): v for k, v in request.headers.items()} for request in server.requests]
        assert [headers["authorization"] for headers in sent] == [f"Bearer {key}"] * 2
    shown = page.inner_text("#fg-spec-page")
    assert "Fixture census" in shown
    assert "Nobody has checked whether the quote is there." in shown
    assert "replies agree to 100" in shown
    assert page.locator("#fg-ask-key input").input_value() == ""
    assert "source: llm" in page.locator("#fg-spec-text textarea").input_value()
    open_tab(page, "Check my pictures")
    page.locator("#fg-check-spec input").click()
    page.get_by_role("option", name="a-portrait-of-a-nurse").click()
    page.click("#fg-check-go")
    page.wait_for_selector("#fg-check-status .fg-status-error >> text=approve it")
    open_tab(page, "Generate")
    page.locator(".fg-spec", has=page.locator("input[value=a-portrait-of-a-nurse]")).click()
    page.locator("#fg-count input[type=number]").fill("1")
    page.click("#fg-go")
    page.wait_for_selector("#fg-status .fg-status-error")
    assert "approve it" in page.inner_text("#fg-status")
    open_tab(page, "Specs")
    page.click("#fg-approve button")
    page.locator("#fg-approve-name input, #fg-approve-name textarea").fill("A. Person")
    page.click("#fg-approve-go")
    page.wait_for_selector("#fg-spec-page >> text=Approved by A. Person")
    open_tab(page, "Generate")
    page.click("#fg-go")
    page.wait_for_selector("#fg-status .fg-status-done")
    written = [served.log, *served.runs.rglob("*")]
    assert not [f for f in written if f.is_file() and key.encode() in f.read_bytes()]
    assert key not in page.content()


def test_an_audit_is_started_followed_opened_again_and_compared(page: Page) -> None:
    open_tab(page, "Audit")
    page.locator("#fg-audit-spec input").click()
    page.get_by_role("option", name="By hand", exact=True).click()
    page.select_option("#fg-audit-shares select >> nth=0", "lmd3")
    page.locator("#fg-audit-count input[type=number]").fill("2")
    page.wait_for_selector("#fg-audit-few >> text=fewer than the 3 classes of the target")
    page.locator("#fg-audit-prompts textarea").fill("# [high]\na portrait of a CEO\n# [low]\na janitor")
    for _ in range(2):
        page.locator("#fg-audit-count input[type=number]").fill("2")
        page.click("#fg-audit-go")
        page.wait_for_selector("#fg-audit-status .fg-status-sampling")
        page.wait_for_selector("#fg-audit-status .fg-status-done")
    rows = page.locator("#fg-audit-status tbody tr")
    assert rows.evaluate_all("rows => rows.map(r => r.dataset.arm)") == ["none", "embedding"]
    assert "4 of 4" in rows.first.inner_text()
    bars = page.locator("#fg-audit-chart dd[data-arm]")
    told = bars.evaluate_all("all => all.map(d => [d.dataset.arm, +d.dataset.counts])")
    assert told == [["none", 4], ["embedding", 4]]
    assert page.locator("#fg-audit-pictures .fg-pic").count() >= 8
    page.locator("#fg-audit-pictures .fg-pic-button").first.click()
    assert "Seed" in page.locator("#fg-audit-pictures .fg-pop:popover-open").inner_text()
    page.keyboard.press("Escape")
    with page.context.expect_page() as opened:
        page.click("#fg-audit-links >> text=Open the report")
    expect(opened.value.locator("body")).to_contain_text("a portrait of a CEO")
    page.click("#fg-past button")
    page.wait_for_function("document.querySelector('#fg-past-second input')?.value")
    page.click("#fg-past-compare")
    page.wait_for_selector("#fg-past-shown table")
    assert page.locator("#fg-past-shown tbody tr").count() == 4
    assert page.locator("#fg-past-shown .fg-beside-pair").count() == 4
    thumbs = "[...document.querySelectorAll('#fg-past-shown .fg-samples img')]"
    page.locator("#fg-past-shown .fg-samples img").last.scroll_into_view_if_needed()
    assert page.evaluate(f"{thumbs}.length") == 16
    page.click("#fg-past-open")
    page.wait_for_selector("#fg-past-shown >> text=Open the report")
    page.locator("#fg-audit-prompts textarea").fill("")
    page.click("#fg-audit-go")
    page.wait_for_selector("#fg-audit-status .fg-status-error")
    assert "holds no prompts" in page.inner_text("#fg-audit-status")
