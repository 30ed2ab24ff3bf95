"""The Generate tab in a browser: what a visitor sees, held against what the run file says."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from tests.doubles.ui_server import PATIENCE, serious

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.doubles.ui_server import Served

pytestmark = pytest.mark.embedded
HOSTILE = "<i>nurse</i> ${1} {{a}} `"
"""As long as the embedded model reads."""
DONE = "#fg-status .fg-status-done"


def make(page: Page, count: int, prompt: str = "a portrait of a CEO") -> None:
    """Fill in the controls and ask for the pictures."""
    page.locator("#fg-prompt textarea").fill(prompt)
    page.locator("#fg-count input[type=number]").fill(str(count))
    page.locator("#fg-count input[type=number]").blur()
    page.click("#fg-go")


def loaded(page: Page, within: str) -> list[int]:
    """The natural widths of the pictures inside an element, once all of them have loaded."""
    pictures = f"[...document.querySelectorAll('{within} .fg-pic-button img')]"
    page.wait_for_function(f"{pictures}.every(i => i.complete)")
    widths: list[int] = page.evaluate(f"{pictures}.map(i => i.naturalWidth)")
    return widths


def newest_summary(served: Served) -> dict[str, Any]:
    """The last session of the run that was started last."""
    run = max(served.runs.glob("web-generate-*"), key=lambda folder: folder.stat().st_mtime_ns)
    sessions: list[dict[str, Any]] = json.loads((run / "summary.json").read_text())["sessions"]
    return sessions[-1]


def test_a_first_visitor_gets_a_set_its_chart_its_report_and_its_twins(
    page: Page, served: Served, tmp_path: Path, embedded_side: int
) -> None:
    make(page, 6)
    page.wait_for_selector("#fg-cards .fg-pic-button img")
    page.wait_for_selector(DONE)

    assert loaded(page, "#fg-cards") == [embedded_side] * 6
    summary = newest_summary(served)
    rows = page.locator("#fg-chart tbody tr")
    shown = {row["class"]: row for row in rows.evaluate_all("rows => rows.map(r => ({...r.dataset}))")}
    assert {key: int(row["count"]) for key, row in shown.items()} == summary["measured"]
    assert {key: int(row["first"]) for key, row in shown.items()} == summary["first_pass"]
    assert float(page.get_attribute("#fg-chart [data-tv]", "data-tv") or "nan") == pytest.approx(
        summary["tv"], abs=1e-6
    )
    assert float(page.get_attribute("#fg-chart [data-floor]", "data-floor") or "nan") == pytest.approx(
        summary["noise_floor_tv"], abs=1e-6
    )
    labels = page.locator("#fg-cards .fg-cap-name").all_inner_texts()
    assert len(labels) == 6
    assert all(labels)

    page.locator("#fg-cards .fg-pic-button").first.focus()
    page.keyboard.press("Enter")
    reading = page.locator("#fg-cards .fg-pop:popover-open")
    assert "How likely each class is" in reading.inner_text()
    assert not serious(page)
    page.keyboard.press("Escape")
    assert not reading.is_visible()

    with page.context.expect_page() as opened:
        page.click("text=Open the report")
    report = opened.value
    report.wait_for_load_state()
    expect(report.locator("body")).to_contain_text("a portrait of a CEO")
    report.close()
    with page.expect_download() as started:
        page.click("text=Download it")
    file = tmp_path / "report.html"
    started.value.save_as(file)
    assert "fairgen report" in file.read_text(encoding="utf-8")

    page.click("#fg-twin-go")
    page.wait_for_function("document.querySelectorAll('#fg-twins .fg-twin').length === 6")
    page.wait_for_selector("#fg-twins >> visible=true")
    pictures = "[...document.querySelectorAll('#fg-twins .fg-compare img')]"
    page.wait_for_function(f"{pictures}.every(i => i.complete)")
    assert page.evaluate(f"{pictures}.map(i => i.naturalWidth)") == [embedded_side] * 12
    page.wait_for_selector("text=By itself the model has")
    end = time.monotonic() + PATIENCE
    while newest_summary(served)["steering"] != "none":  # written a moment after the last picture is shown
        assert time.monotonic() < end
        page.wait_for_timeout(100)
    by_itself = page.locator("#fg-chart [data-plain]").evaluate_all("all => all.map(e => +e.dataset.plain)")
    assert by_itself == list(newest_summary(served)["measured"].values())
    line = page.locator("#fg-twins .fg-compare input").first
    line.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert line.evaluate("i => getComputedStyle(i.parentElement).getPropertyValue('--at')") == "40%"
    page.locator("#fg-twins .fg-side-open").nth(1).click()
    reading = page.locator("#fg-twins .fg-pop:popover-open")
    told = reading.inner_text()
    for part in ("Seen", "Estimated", "Patches", "Strength", "Seed", "Prompt"):
        assert part in told
    assert reading.locator(".fg-face polygon").count() >= 3
    page.keyboard.press("Escape")
    assert newest_summary(served)["steering"] == "none"
    assert not serious(page)

    before = json.loads(page.evaluate("localStorage.getItem('fairgen-runs')"))
    page.locator("#fg-cards .fg-pic-button").first.click()
    opened_one = page.locator("#fg-cards .fg-pop:popover-open")
    tone = opened_one.locator("h4").inner_text().strip()
    opened_one.get_by_text("More like this").click()
    page.wait_for_selector(f"{DONE} >> text=Like one picture")
    assert page.locator("#fg-cards .fg-pic").count() == 4
    made = newest_summary(served)
    labels = page.locator("#fg-chart tbody tr").evaluate_all(
        "rows => rows.map(r => [r.dataset.class, r.innerText])"
    )
    assert {key: share for key, share in made["target"].items() if share} == {
        next(key for key, text in labels if text.strip().startswith(tone)): 1.0
    }
    assert made["prompt"] == "a portrait of a CEO"
    after = json.loads(page.evaluate("localStorage.getItem('fairgen-runs')"))
    assert [run["id"] for run in after[1:]] == [run["id"] for run in before]  # kept, and found again


def test_stop_keeps_what_is_done_and_says_so(page: Page, served: Served) -> None:
    make(page, 60)
    page.wait_for_selector("#fg-cards .fg-pic-button img")
    page.click("#fg-stop")
    page.wait_for_selector("text=Stopping …")
    run = max(served.runs.glob("web-generate-*"), key=lambda folder: folder.stat().st_mtime_ns)
    by_then = (run / "run.jsonl").read_text().count('"type":"picture"')
    page.wait_for_selector("#fg-status .fg-status-stopped")
    kept = page.locator("#fg-cards .fg-pic-button").count()
    assert 1 <= kept < 60
    assert "are kept" in page.inner_text("#fg-status")
    page.wait_for_selector("text=Open the report")
    recorded = (run / "run.jsonl").read_text().count('"type":"picture"')
    assert kept <= recorded <= by_then + 4  # within one batch
    assert page.locator("#fg-go").is_enabled()


def test_shares_by_hand_always_sum_to_one_and_locks_hold(page: Page) -> None:
    page.get_by_text("By hand", exact=True).click()
    page.wait_for_selector("#fg-shares .fg-edit", state="visible")

    def shares() -> list[int]:
        typed = page.locator("#fg-shares .fg-edit-typed input")
        return [round(10 * float(text)) for text in typed.evaluate_all("all => all.map(i => i.value)")]

    def move(index: int, value: int) -> None:
        page.locator("#fg-shares input[type=range]").nth(index).evaluate(
            "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input'));"
            " slider.dispatchEvent(new Event('change')); }",
            value,
        )

    assert sum(shares()) == 1000
    move(0, 500)
    assert shares()[0] == 500
    assert sum(shares()) == 1000
    page.locator("#fg-shares .fg-edit-row button").nth(0).click()
    for index, value in ((5, 1000), (2, 335), (3, 0), (1, 85)):
        move(index, value)
        assert sum(shares()) == 1000
        assert shares()[0] == 500
    page.locator("#fg-shares input[type=range]").nth(4).focus()
    page.keyboard.press("ArrowRight")
    assert sum(shares()) == 1000
    page.wait_for_function(  # the chart follows
        """parts => {
            const shown = [...document.querySelectorAll("#fg-chart tbody td:last-child")];
            const share = (cell) => parseFloat(cell.innerText.replace("<", ""));
            return shown.length === parts.length
                && shown.every((cell, i) => Math.abs(share(cell) - parts[i] / 10) <= 0.51);
        }""",
        arg=shares(),
    )
    page.select_option("#fg-shares select >> nth=0", "lmd3")
    assert len(shares()) == 3
    assert sum(shares()) == 1000
    page.locator("#fg-shares .fg-edit-typed input").nth(2).fill("62.5")
    page.keyboard.press("Enter")
    assert shares()[2] == 625
    assert sum(shares()) == 1000
    page.select_option("#fg-shares [data-preset]", "dark")
    assert shares() == [167, 333, 500]
    widths = page.locator("#fg-shares .fg-strip span").evaluate_all("all => all.map(s => s.style.width)")
    assert widths == ["16.7%", "33.3%", "50%"]
    page.locator("#fg-count input[type=number]").fill("2")
    page.locator("#fg-count input[type=number]").blur()
    page.wait_for_selector("#fg-few >> text=2 pictures are fewer than the 3 classes of the target")


def test_what_cannot_be_used_is_refused_in_place_and_leaves_the_set(page: Page) -> None:
    make(page, 2, "a portrait\nof a judge")  # a box of two lines invites them
    page.wait_for_selector(DONE)
    assert "“a portrait of a judge” · Even, six tones · 2 pictures" in page.inner_text(
        "#fg-status"
    ).translate({0x2068: None, 0x2069: None})
    refused = {  # no answer like the one before: it has to be seen to come
        "": "prompt is empty",
        "a\u0007b": "control characters",
        "   ": "prompt is empty",
        "a " * 40: "too long for this model",
        "x" * 100_000: "100,000 characters",
    }
    for prompt, says in refused.items():
        make(page, 2, prompt)
        page.wait_for_selector(f"#fg-status .fg-status-error >> text={says}")
        page.wait_for_function("!document.querySelector('#fg-go').disabled")
        assert page.locator("#fg-cards .fg-pic").count() == 2
        assert page.locator("#fg-links a").count() == 5


def test_the_chance_band_stays_within_the_chart(page: Page) -> None:
    for count in ("2", "60"):
        page.locator("#fg-count input[type=number]").fill(count)
        page.locator("#fg-count input[type=number]").blur()
        page.wait_for_selector(f"#fg-chart >> text=/of {count} would not fit/")
        ends = page.locator("#fg-chart .fg-plot > svg").evaluate_all(
            "all => all.map(s => [s.getBoundingClientRect().right,"
            " s.querySelector('.fg-band').getBoundingClientRect().right])"
        )
        assert all(band <= track + 0.5 for track, band in ends), ends


def test_markup_in_a_prompt_is_shown_as_text(page: Page) -> None:
    make(page, 1, HOSTILE)
    page.wait_for_selector(DONE)
    page.locator("#fg-cards .fg-pic-button").first.click()
    shown = page.locator("#fg-cards .fg-pop:popover-open").inner_text()
    assert HOSTILE in shown
