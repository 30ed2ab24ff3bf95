"""`Onlooker`: a state is looked at while another process writes it, or though none does."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from fairgen.errors import UserError
from fairgen.monitor import Monitor
from fairgen.monitor.onlooker import Onlooker
from fairgen.monitor.page import page_text
from fairgen.monitor.reading import Tone
from fairgen.monitor.store import StateError, Store
from fairgen.targets import load_spec
from skin_tone import SCALES

CLASSES = SCALES["ita6"].classes
OFF = (0.75, 0.15, 0.04, 0.03, 0.02, 0.01)


def watching(state: Path | None, **more: Any) -> Monitor:
    more = {"reader": None, "reader_error": "none"} | more
    return Monitor(load_spec("uniform"), state=state, **more)


def feed(monitor: Monitor, count: int, context: str | None = None, folder: Path = Path()) -> None:
    """Tones off target, of pictures that may be in a folder."""
    start = sum(watch.offered for watch in monitor.watches())
    for number, tone in enumerate(np.random.default_rng(start).choice(CLASSES, size=count, p=OFF), start):
        monitor.take(lambda t=str(tone): Tone(t), context, id=str(number), path=str(folder / f"{number}.png"))  # type: ignore[misc]


def figures(page: str) -> str:
    """A page without the minute in which it was made."""
    return re.sub(r"as of [-\d: ]+ UTC", "", page)


@pytest.mark.parametrize("error", ["none", "validated"])
def test_it_sees_what_the_monitors_own_page_shows(tmp_path: Path, error: str) -> None:
    state = tmp_path / "s.sqlite"
    onlooker = Onlooker(state)
    reader = None if error == "none" else "calibrated"
    with watching(state, contexts=2, reader=reader, reader_error=error) as monitor:
        for context in ("a", "b", "one too many"):
            feed(monitor, 40, context)
        monitor.take(lambda: Tone(abstained="small_face", estimate="dark"), "a")
        assert onlooker.look()
        assert figures(page_text(onlooker)) == figures(page_text(monitor))
        assert "alarm" in {alarm.level for alarm in onlooker.raised} or error == "validated"
        assert not onlooker.look()
        feed(monitor, 10, "a")
        assert onlooker.look()
        assert figures(page_text(onlooker)) == figures(page_text(monitor))
        last = figures(page_text(monitor))
    onlooker.look()
    assert figures(page_text(onlooker)) == last
    fresh = Onlooker(state)
    fresh.look()
    assert figures(page_text(fresh)) == last


def test_settings_that_cannot_be_read_leave_what_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "s.sqlite"
    onlooker = Onlooker(state)
    with watching(state) as monitor:
        feed(monitor, 20)
        onlooker.look()
        before = onlooker.spec, onlooker.rules, onlooker.every
        feed(monitor, 1)
        other = {"spec": onlooker.spec.model_copy(update={"name": "other"}).model_dump_json()}
        monkeypatch.setattr(Store, "described", lambda _: other | {"reader_error": {"counts": None}})
        with pytest.raises(StateError, match="another version"):
            onlooker.look()
    assert (onlooker.spec, onlooker.rules, onlooker.every) == before


def test_nothing_is_written_beside_a_state_that_nobody_writes(tmp_path: Path) -> None:
    state = tmp_path / "s.sqlite"
    with watching(state) as monitor:
        feed(monitor, 20)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    Onlooker(state).look()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_monitor_that_begins_to_write_while_it_is_read_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "s.sqlite"
    with watching(state) as monitor:
        feed(monitor, 20)
    began: list[Monitor] = []
    contexts = Store.contexts

    def begin(store: Store) -> Any:
        if not began:
            monkeypatch.setattr(Store, "contexts", contexts)
            began.append(watching(state))
            feed(began[0], 5)
        return contexts(store)

    monkeypatch.setattr(Store, "contexts", begin)
    onlooker = Onlooker(state)
    onlooker.look()
    assert onlooker.watches()[0].read == 25
    began[0].close()


def test_every_look_is_of_one_moment_and_stops_nobody(tmp_path: Path) -> None:
    state = tmp_path / "s.sqlite"
    with watching(state) as monitor:
        writer = Thread(target=feed, args=(monitor, 150))
        writer.start()
        onlooker, seen = Onlooker(state), [0]
        while writer.is_alive():
            if onlooker.look() and onlooker.watches():
                watch = onlooker.watches()[0]
                assert watch.history.points[-1][0] <= watch.read == watch.offered
                assert onlooker.last is not None  # the picture of that number is there
                seen.append(watch.read)
        writer.join()
        onlooker.look()
        assert seen == sorted(seen)
        assert len(set(seen)) > 2
        assert onlooker.watches()[0].read == 150 == monitor.watches()[0].read


def trouble(state: Path) -> str:
    with pytest.raises(StateError) as caught:
        Onlooker(state).look()
    return caught.value.trouble


def test_what_cannot_be_shown_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "s.sqlite"
    assert trouble(state) == "missing"
    state.touch()
    assert trouble(state) == "missing"
    assert trouble(tmp_path / "no" / "folder") == "missing"
    assert trouble(tmp_path / ("long" * 100)) == "closed"
    state.write_text("this is no database, but a text that is long enough to be looked at as one" * 20)
    assert trouble(state) == "foreign"
    state.unlink()
    with closing(sqlite3.connect(state)) as other:
        other.execute("CREATE TABLE a (b)")
        assert trouble(state) == "foreign"
        other.execute("PRAGMA user_version = 1")
        assert trouble(state) == "foreign"
    state.unlink()
    with watching(state) as monitor:
        feed(monitor, 20)
    with closing(sqlite3.connect(state, isolation_level=None)) as other:
        other.execute("PRAGMA user_version = 2")
    assert trouble(state) == "version"
    with closing(sqlite3.connect(state, isolation_level=None)) as other:
        other.execute("PRAGMA user_version = 1")
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("fairgen.monitor.store._PATIENCE", 0.05)
        assert trouble(state) == "locked"


def test_a_state_of_an_earlier_version_is_shown_once_its_monitor_was_started_again(tmp_path: Path) -> None:
    state = tmp_path / "s.sqlite"
    with watching(state) as monitor:
        feed(monitor, 20)
    with closing(sqlite3.connect(state, isolation_level=None)) as old:
        old.execute("DROP TABLE about")
    assert trouble(state) == "version"
    watching(state).close()
    onlooker = Onlooker(state)
    onlooker.look()
    assert onlooker.watches()[0].read == 20


def test_a_state_that_was_begun_anew_is_another_one(tmp_path: Path) -> None:
    state = tmp_path / "s.sqlite"
    onlooker = Onlooker(state)
    for contexts in (("a", "b", "c"), ("c", "a")):
        for file in tmp_path.iterdir():
            file.unlink()
        with watching(state, contexts=2) as monitor:
            for context in contexts:
                feed(monitor, 40, context)
            onlooker.look()
            assert figures(page_text(onlooker)) == figures(page_text(monitor))


def test_pictures_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with watching(Path("s.sqlite")) as monitor:
        feed(monitor, 40, folder=Path("served"))
        around = monitor.pictures_about(monitor.raised[0])
    assert [picture.path for picture in around] == [
        str(tmp_path / "served" / f"{picture.id}.png") for picture in around
    ]


def test_a_state_to_look_at_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no state of a monitor"):
        Store(tmp_path / "s.sqlite", read_only=True)
