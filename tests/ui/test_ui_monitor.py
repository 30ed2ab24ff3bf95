"""The tab of monitors: what it shows, what it serves, and what it never tells."""

from __future__ import annotations

import http.client
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from fairgen.cli.serve import check_monitors
from fairgen.errors import UserError
from fairgen.monitor.onlooker import Onlooker
from fairgen.monitor.reading import Tone
from fairgen.ui.work.monitors import ADDRESS, Monitors, thumbnail
from tests.doubles.monitored import OFF, feed, monitored, write_state
from tests.doubles.ui_server import LONG, open_tab

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.doubles.ui_server import Served


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def marks(body: str) -> list[str]:
    """Of the pictures that are shown."""
    return re.findall(rf'<img src="{ADDRESS}/([0-9a-f]{{32}})"', body)


def test_monitors_have_names_and_visitors_see_no_path(tmp_path: Path) -> None:
    states = [tmp_path / "a" / "shop.sqlite", tmp_path / "b" / "shop.sqlite", tmp_path / "b" / "chat.db"]
    write_state(states[0])
    monitors = Monitors(states)
    assert monitors.names == ("shop 1", "shop 2", "chat")
    looks = monitors.look()
    assert [bool(one.body) for one in looks] == [True, False, False]
    assert "Nothing has been written here yet" in looks[1].trouble
    told = "".join(one.body + one.trouble for one in looks)
    assert "1 of 2 contexts has alarmed" in told
    assert str(tmp_path) not in told
    assert "<b>shop</b>" not in told
    shown = [monitors.picture(mark) for mark in marks(told)]
    assert len(shown) == 18  # a warning and an alarm, with four before and after each
    assert all(found is not None and found.parent == tmp_path / "a" / "pictures" for found in shown)
    assert monitors.picture("0" * 32) is None


def test_only_pictures_that_are_there_have_an_address(tmp_path: Path) -> None:
    state = tmp_path / "shop.sqlite"
    write_state(state)
    clock = Clock()
    monitors = Monitors([state], clock=clock)
    before = marks(monitors.look()[0].body)
    gone = monitors.picture(before[0])
    assert gone is not None
    content = thumbnail(gone)
    assert content is not None
    assert content[8:12] == b"WEBP"
    gone.unlink()
    assert thumbnail(gone) is None
    gone.write_text("no picture")
    assert thumbnail(gone) is None
    gone.unlink()
    with closing(sqlite3.connect(state)) as db:  # as an earlier version wrote it
        db.execute("UPDATE pictures SET path = 'pictures/relative.png' WHERE path LIKE '%-9.png'")
        db.commit()
    clock.now += 100
    after = marks(monitors.look()[0].body)
    assert 0 < len(after) < len(before)
    assert set(after) < set(before)
    assert monitors.picture(before[0]) is None


def test_a_state_is_looked_at_once_a_second_and_read_where_it_was_written(tmp_path: Path) -> None:
    state, clock = tmp_path / "shop.sqlite", Clock()
    monitors = Monitors([state], clock=clock)
    assert monitors.look()[0].trouble
    write_state(state)
    assert monitors.look()[0].trouble  # that was within the same second
    clock.now += 1.5
    first = monitors.look()[0]
    assert first.body
    clock.now += 1.5
    assert monitors.look()[0] is first
    with monitored(state) as monitor:
        feed(monitor, "chat", ("tan",), tmp_path / "pictures", 1)
    clock.now += 1.5
    assert "49 skin tones read of 50" in monitors.look()[0].body


def test_figures_stay_while_a_state_is_locked_and_go_where_it_is_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairgen.monitor.store._PATIENCE", 0.05)
    state, clock = tmp_path / "shop.sqlite", Clock()
    write_state(state)
    monitors = Monitors([state], clock=clock)
    body = monitors.look()[0].body
    with closing(sqlite3.connect(state, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        clock.now += 100
        locked = monitors.look()[0]
    assert locked.body == body
    assert "kept by another program" in locked.trouble
    clock.now += 100
    again = monitors.look()[0]
    assert (again.body, again.trouble) == (body, "")
    state.write_text("this is no database, but a text that is long enough to be looked at as one" * 20)
    clock.now += 100
    foreign = monitors.look()[0]
    assert foreign.body == ""
    assert "not the state of a monitor" in foreign.trouble
    assert monitors.picture(marks(body)[0]) is None


def test_who_asks_while_a_state_is_read_waits_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "shop.sqlite"
    write_state(state)
    monitors, meanwhile = Monitors([state]), list[str]()
    look = Onlooker.look

    def slow(onlooker: Onlooker) -> bool:
        meanwhile.extend(one.trouble for one in monitors.look())
        return look(onlooker)

    monkeypatch.setattr(Onlooker, "look", slow)
    assert monitors.look()[0].body
    assert meanwhile == ["It is being read for the first time."]


def test_of_many_contexts_those_that_alarmed_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairgen.ui.work.monitors.MOST", 3)
    state = tmp_path / "shop.sqlite"
    with monitored(state) as monitor:
        feed(monitor, "first", ("tan",), tmp_path / "pictures", 1)
        for number in range(4):
            monitor.take(lambda: Tone("tan"), f"user {number}")
        for _ in range(30):
            monitor.take(lambda: Tone("tan"), "loud")
    body = Monitors([state]).look()[0].body
    assert body.count("<section>") == 3
    assert "loud" in body
    assert "user 3" not in body
    assert "3 more are not shown here" in body


def test_a_state_that_cannot_be_one_is_refused_and_one_to_come_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("this is no database, but a text that is long enough to be looked at as one" * 20)
    for state, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "s.sqlite", "lies in no folder"),
        (text, "cannot be shown"),
    ):
        with pytest.raises(UserError, match=words):
            check_monitors([state])
    later = tmp_path / "later.sqlite"
    assert check_monitors([later]) == (later,)
    assert "nobody has written" in capsys.readouterr().err
    write_state(later)
    assert check_monitors([later]) == (later,)
    assert capsys.readouterr().err == ""


def raw(
    served: Served, method: str, path: str, headers: dict[str, str] | None = None
) -> tuple[int, bytes, str]:
    """(status, body, ETag) of the answer to a path as it is."""
    line = http.client.HTTPConnection(str(urlsplit(served.url).netloc), timeout=60)
    try:
        line.putrequest(method, path)
        for name, value in (headers or {}).items():
            line.putheader(name, value)
        line.endheaders()
        answer = line.getresponse()
        return answer.status, answer.read(), answer.headers.get("etag", "")
    finally:
        line.close()


@pytest.mark.embedded
def test_by_raw_http_nothing_is_served_but_what_the_named_states_show(served: Served) -> None:
    status, body, tag = raw(served, "GET", f"/{ADDRESS}")
    assert status == 200
    assert raw(served, "GET", f"/{ADDRESS}", {"If-None-Match": tag})[:2] == (304, b"")
    assert served.monitored is not None
    secret = served.monitored.parent
    for told in (str(secret), secret.name, ".sqlite", "pictures/"):
        assert told.encode() not in body
    found = marks(body.decode())
    assert len(found) >= 18
    for mark in found:
        status, content, _ = raw(served, "GET", f"/{ADDRESS}/{mark}")
        assert (status, content[8:12]) == (200, b"WEBP")
    hidden = secret / "pictures" / "chat-0.png"  # read by the monitor, but around no alarm
    assert hidden.is_file()
    (secret / "pictures" / "other.png").write_bytes(hidden.read_bytes())
    for path in (
        "0" * 32,
        found[0][:-1],
        found[0].upper(),
        f"{found[0]}/",
        f"../{ADDRESS}/{'f' * 32}",
        "pictures/other.png",
        "..%2f..%2fpictures%2fother.png",
        "shop.sqlite",
        str(hidden),
        str(hidden).replace("/", "%2F"),
        "0/../../shop.sqlite",
        "%00",
        "\xff".encode("latin-1").hex(),
        f"{found[0]}?path={hidden}".replace(found[0], "f" * 32),
    ):
        status, content, _ = raw(served, "GET", f"/{ADDRESS}/{path}")
        assert content[8:12] != b"WEBP", path
        assert hidden.read_bytes() != content
        assert status in (307, 400, 404), path
        assert str(secret).encode() not in content
    for method in ("POST", "PUT", "DELETE"):
        assert raw(served, method, f"/{ADDRESS}/{found[0]}", {"Content-Length": "0"})[0] == 405
    foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert raw(served, "GET", f"/{ADDRESS}", foreign)[0] == 403
    assert "Traceback" not in served.log.read_text()


@pytest.mark.embedded
def test_the_tab_follows_a_monitor_without_flicker(page: Page, served: Served) -> None:
    assert served.monitored is not None
    open_tab(page, "Monitor")
    shown = page.locator("#fg-monitor")
    expect(shown.get_by_role("heading", name="1 of 2 contexts has alarmed")).to_be_visible(timeout=LONG)
    assert shown.locator("article").count() == 2
    expect(shown.get_by_text("later: Nothing has been written here yet")).to_be_visible(timeout=LONG)
    assert shown.get_by_role("heading", name="<b>shop</b> alarm").count() == 1
    pictures = shown.locator(".moment img")
    pictures.first.scroll_into_view_if_needed()
    expect(pictures).to_have_count(18, timeout=LONG)
    page.wait_for_function(
        "[...document.querySelector('.fg-monitor-shown').shadowRoot.querySelectorAll('img')]"
        ".every(one => one.complete && one.naturalWidth === 128)"
    )
    expect(shown.get_by_role("row", name=re.compile("^dark .* 16.7")).first).to_contain_text(
        "1 of 1", timeout=LONG
    )
    table = shown.get_by_role("region", name="Shares in chat")
    table.focus()
    assert table.evaluate("one => getComputedStyle(one).outlineStyle") == "none"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")  # by the keyboard, what has the focus is seen
    assert table.evaluate("one => getComputedStyle(one).outlineStyle") != "none"
    table.evaluate("one => { one.kept = true; }")
    pictures.first.evaluate("one => { one.kept = true; }")
    with monitored(served.monitored) as monitor:
        feed(monitor, "chat", OFF, served.monitored.parent / "pictures", 8)
        expect(shown.get_by_role("heading", name="2 of 2 contexts have alarmed")).to_be_visible(timeout=LONG)
    assert table.evaluate("one => one.kept && one === one.getRootNode().activeElement")
    assert pictures.first.evaluate("one => one.kept")
    with monitored(served.monitored.with_name("later.sqlite")) as monitor:
        feed(monitor, "new", OFF[:1], served.monitored.parent / "pictures", 1)
        expect(shown.get_by_text("later: monitor of")).to_be_visible(timeout=LONG)
    page.route(f"**/{ADDRESS}", lambda route: route.fulfill(status=204))
    expect(shown.get_by_text("The server does not answer. The figures are those of")).to_be_visible(
        timeout=LONG
    )
    expect(shown.get_by_text("later: monitor of")).to_be_visible(timeout=LONG)
    page.unroute(f"**/{ADDRESS}")
    expect(shown.get_by_text("The server does not answer")).to_have_count(0, timeout=LONG)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_tab(page, "About")
    page.wait_for_timeout(2600)
    assert not [url for url in asked if url.endswith(ADDRESS)], "nobody sees it, and it asks all the same"
