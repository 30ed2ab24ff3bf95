"""`Monitor` as a library: what counts, what alarms, what survives."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fairgen.errors import UserError
from fairgen.evidence import identity
from fairgen.evidence.identity import reader_identity
from fairgen.monitor import Alarm, Monitor
from fairgen.monitor.reading import PictureReader, Tone
from fairgen.targets import FairnessSpec, load_spec, spec_from_shares
from skin_tone import SCALES, ToneReading

CLASSES = SCALES["ita6"].classes


@pytest.fixture
def spec() -> FairnessSpec:
    return load_spec("uniform")


def reading(tone: str) -> ToneReading:
    return ToneReading(box=(0, 0, 9, 9), classes={"ita6": tone, "lmd3": "light"})


def plain(spec: FairnessSpec, state: Path | None = None, **more: Any) -> Monitor:
    return Monitor(spec, state=state, reader=None, reader_error="none", **more)


def feed(monitor: Monitor, tones: list[str], context: str | None = None, start: int = 0) -> list[Alarm]:
    """Tones with ids; the alarms that they raised."""
    raised: list[Alarm] = []
    for number, tone in enumerate(tones, start):
        done = monitor.observe(reading(tone), context, id=f"{context}-{number}")
        assert done is not None
        raised += done.alarms
    return raised


def tones(count: int, shares: tuple[float, ...] = (1 / 6,) * 6, seed: int = 0) -> list[str]:
    return [str(tone) for tone in np.random.default_rng(seed).choice(CLASSES, size=count, p=shares)]


OFF = (0.35, 0.25, 0.15, 0.1, 0.1, 0.05)


def test_a_stream_off_target_alarms_once_and_one_on_target_does_not(spec: FairnessSpec) -> None:
    with plain(spec) as monitor:
        assert feed(monitor, tones(300)) == []
        assert not monitor.alarmed
    with plain(spec) as monitor:
        alarms = feed(monitor, tones(300, OFF))
        assert [(a.level, a.test) for a in alarms][:1] == [("alarm", "target")]
        assert len({(a.level, a.test) for a in alarms}) == len(alarms)
        assert alarms[0].evidence >= alarms[0].line == pytest.approx(1 / 0.045)
        assert monitor.raised == alarms
        assert monitor.alarmed


def test_a_stream_that_is_off_target_from_the_start_but_stays_the_same_did_not_change(
    spec: FairnessSpec,
) -> None:
    with plain(spec) as monitor:
        assert {a.test for a in feed(monitor, tones(600, OFF))} == {"target"}


def test_a_change_is_found_though_the_readers_errors_could_explain_both_sides(spec: FairnessSpec) -> None:
    usual, later = (0.1, 0.2, 0.25, 0.2, 0.2, 0.05), (0.3, 0.4, 0.15, 0.05, 0.05, 0.05)
    k = len(CLASSES)
    anything = {"classes": list(CLASSES), "counts": [[1] * k] * k}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_text", lambda *a, **b: json.dumps(anything))
        monitor = Monitor(spec, reader=None, reader_error="anything.json")
    with monitor:
        alarms = feed(monitor, tones(1_000, usual) + tones(300, later, seed=1))
        assert {a.test for a in alarms} == {"change"}
        assert min(a.picture for a in alarms) > 1_000


def test_contexts_share_the_level_and_one_too_many_can_only_warn(spec: FairnessSpec) -> None:
    with plain(spec, contexts=2) as monitor:
        for name in ("a", "b", "c"):
            feed(monitor, tones(10), name)
        a, b, c = (found.tests["target"] for found in monitor.figures())
        assert a.line == b.line == pytest.approx(2 / 0.045)
        assert a.alone == pytest.approx(1 / 0.045)
        assert c.line is None
        levels = {alarm.level for alarm in feed(monitor, tones(400, OFF), "c", 10)}
        assert levels == {"warning"}
        assert not monitor.alarmed
        assert [alarm.level for alarm in feed(monitor, tones(400, OFF), "a", 10)][:2] == ["warning", "alarm"]


def test_prompts_choose_the_target_of_a_spec_with_contexts(spec: FairnessSpec) -> None:
    document = spec.model_dump(mode="json") | {"source": "user"}
    mostly = dict(zip(CLASSES, (0.5, 0.1, 0.1, 0.1, 0.1, 0.1), strict=True))
    document["contexts"] = [{"prompts": ["a nurse*"], "target": mostly}]
    with plain(FairnessSpec.model_validate(document)) as monitor:
        monitor.observe(reading("dark"), prompt="a nurse at work")
        monitor.observe(reading("dark"), prompt="a plumber")
        nurse, rest = monitor.figures()
        assert (nurse.context, nurse.target["very_light"]) == ("a nurse*", 0.5)
        assert rest.context == "all"
        assert rest.target["very_light"] == pytest.approx(1 / 6)
        assert monitor.contexts == 2
        with pytest.raises(UserError, match="two targets"):
            monitor.observe(reading("dark"), "all", prompt="a nurse")
        assert monitor.figures() == [nurse, rest]


def test_a_picture_whose_id_was_seen_counts_once(spec: FairnessSpec, tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    with plain(spec, state) as monitor:
        feed(monitor, tones(20))
        assert monitor.observe(reading("dark"), id="None-3") is None
    with plain(spec, state) as monitor:
        assert monitor.observe(reading("dark"), id="None-19") is None
        assert monitor.figures()[0].read == 20
        assert monitor.observe(reading("dark")) is not None  # without an id each is another
        assert monitor.observe(reading("dark")) is not None
        assert monitor.figures()[0].read == 22


def test_a_monitor_that_was_closed_goes_on_as_if_it_never_was(spec: FairnessSpec, tmp_path: Path) -> None:
    stream = tones(60) + tones(120, OFF)
    with plain(spec, contexts=1) as whole:
        feed(whole, stream)
    for cut in range(0, len(stream), 45):
        with plain(spec, tmp_path / "state.sqlite") as part:
            feed(part, stream[cut : cut + 45], start=cut)
    with plain(spec, tmp_path / "state.sqlite") as again:
        assert again.figures() == whole.figures()
        assert [a.picture for a in again.raised] == [a.picture for a in whole.raised] != []
        assert again.watches()[0].history.points == whole.watches()[0].history.points


def test_sampling_looks_at_every_nth_and_says_so(spec: FairnessSpec, tmp_path: Path) -> None:
    looked: list[int] = []

    def look(number: int) -> Tone:
        looked.append(number)
        return Tone("tan")

    for start in (0, 25):  # the rhythm goes on after a stop
        with plain(spec, tmp_path / "s.sqlite", every=10) as monitor:
            for number in range(start, start + 25):
                done = monitor.take(lambda n=number: look(n), id=str(number))  # type: ignore[misc]
                assert done is not None
                assert done.skipped == (number % 10 != 0)
    with plain(spec, tmp_path / "s.sqlite", every=10) as monitor:
        found = monitor.figures()[0]
        assert monitor.take(lambda: look(-1), id="7") is None
    assert looked == [0, 10, 20, 30, 40]
    assert (found.offered, found.read) == (50, 5)


def test_contexts_that_take_turns_are_all_sampled(spec: FairnessSpec) -> None:
    with plain(spec, every=2, contexts=2) as monitor:
        for number in range(20):
            monitor.observe(reading("tan"), "ab"[number % 2])
        assert [(found.offered, found.read) for found in monitor.figures()] == [(10, 5), (10, 5)]


def test_an_id_may_look_like_those_that_are_given_to_pictures_without_one(spec: FairnessSpec) -> None:
    with plain(spec) as monitor:
        monitor.observe(reading("tan"), id="#2")
        for _ in range(3):
            assert monitor.observe(reading("tan")) is not None
        assert monitor.figures()[0].read == 4


def test_pictures_that_are_not_read_are_counted_by_reason_and_by_tone(spec: FairnessSpec) -> None:
    with plain(spec) as monitor:
        monitor.observe(ToneReading(abstained="no_face"))
        for estimate in ("dark", "dark", None):
            monitor.take(lambda e=estimate: Tone(abstained="small_face", estimate=e))  # type: ignore[misc]
        monitor.observe([reading("dark"), reading("tan")])
        found = monitor.figures()[0]
    assert found.abstained == {"no_face": 1, "small_face": 3}
    assert found.abstained_by_tone["dark"] == (2, 3)
    assert (found.read, found.offered, found.counts["dark"]) == (1, 5, 1)


class OneTone:
    """A reader of the user's own."""

    def read(self, image: Image.Image) -> list[ToneReading]:
        return [reading("tan" if image.getpixel((0, 0)) != (0, 0, 0) else "dark")]


def test_pictures_of_any_kind_are_read(spec: FairnessSpec, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.new("RGB", (8, 8), "white").save(file)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with Monitor(spec, reader=OneTone(), reader_error="none") as monitor:
        monitor.observe(Image.new("RGB", (8, 8)))
        monitor.observe(file)
        monitor.observe(str(file))
        done = monitor.observe(tmp_path / "broken.png")
        found = monitor.figures()[0]
    assert done is not None
    assert done.problem == "it is no picture, or a broken one"
    assert (found.counts["dark"], found.counts["tan"], found.unreadable) == (1, 2, 1)


def test_threads_may_share_a_monitor(spec: FairnessSpec, tmp_path: Path) -> None:
    with plain(spec, tmp_path / "s.sqlite") as monitor:
        threads = [Thread(target=feed, args=(monitor, tones(40, seed=n), f"t{n}")) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found.read for found in monitor.figures()) == [40] * 4


def test_what_could_not_be_written_was_not_learnt(spec: FairnessSpec, tmp_path: Path) -> None:
    with plain(spec, tmp_path / "s.sqlite") as monitor:
        feed(monitor, tones(30))
        before = monitor.figures()
        monitor.store._db.execute("PRAGMA query_only = ON")
        with pytest.raises(UserError, match="cannot be written"):
            monitor.observe(reading("dark"), id="lost")
        monitor.store._db.execute("PRAGMA query_only = OFF")
        assert monitor.figures() == before
        assert monitor.observe(reading("dark"), id="lost") is not None


def test_a_state_of_other_settings_or_in_use_is_refused(spec: FairnessSpec, tmp_path: Path) -> None:
    state = tmp_path / "s.sqlite"
    other = spec_from_shares("light=0.5,medium=0.3,dark=0.2")
    with plain(spec, state), pytest.raises(UserError, match="Another monitor uses"):
        plain(spec, state)
    for more, what in (({"level": 0.1}, "level"), ({"every": 5}, "sampling"), ({"contexts": 3}, "contexts")):
        with pytest.raises(UserError, match=what):
            plain(spec, state, **more)
    with pytest.raises(UserError, match="target"):
        plain(other, state)
    with pytest.raises(UserError, match="reader"):
        Monitor(spec, state=state)
    state.write_text("this is no database, but a text that is long enough to be looked at as one" * 20)
    with pytest.raises(UserError, match="cannot be used"):
        plain(spec, state)
    sqlite3.connect(tmp_path / "other.sqlite").execute("CREATE TABLE a (b)")
    with pytest.raises(UserError, match="no state of a monitor"):
        plain(spec, tmp_path / "other.sqlite")
    with pytest.raises(UserError, match="is a folder"):
        plain(spec, tmp_path)


def test_a_state_is_of_one_version_of_the_reader(
    spec: FairnessSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer fairgen may read otherwise: that is no change of the stream."""
    monkeypatch.setattr(PictureReader, "read", lambda self, picture: Tone("tan"))
    picture, state = Image.new("RGB", (8, 8)), tmp_path / "s.sqlite"
    for _ in range(2):
        with Monitor(spec, state=state) as monitor:
            monitor.observe(picture)
    other = reader_identity().model_copy(update={"identity": "sha256:" + "0" * 64})
    monkeypatch.setattr(identity, "reader_identity", lambda: other)
    with Monitor(spec, state=state) as monitor:
        monitor.observe(reading("dark"))  # which this reader did not read
        with pytest.raises(UserError, match="begun with another version of the reader"):
            monitor.observe(picture)
        assert monitor.figures()[0].offered == 3


@pytest.mark.parametrize(
    "more", [{"level": 0.0}, {"level": 1.0}, {"every": 0}, {"contexts": -1}, {"contexts": 0}]
)
def test_values_out_of_range_are_refused(spec: FairnessSpec, more: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(more))):
        plain(spec, **more)


@pytest.fixture
def given(tmp_path: Path) -> Path:
    return tmp_path / "errors.json"


def test_the_readers_errors_are_its_own_a_files_or_none(spec: FairnessSpec, given: Path) -> None:
    with Monitor(spec) as monitor:
        assert "478 portraits of Stable Diffusion 2.1" in monitor.error.about
        monitor.take(lambda: Tone("tan"))
        low, high = monitor.figures()[0].allowed["dark"]
        assert low < 1 / 6 < high  # how often the reader says "dark" by its errors alone is no alarm
    k = len(CLASSES)
    given.write_text(json.dumps({"classes": CLASSES, "counts": (np.eye(k, dtype=int) * 500).tolist()}))
    with Monitor(spec, reader=None, reader_error=str(given)) as monitor:
        monitor.take(lambda: Tone("tan"))
        low, high = monitor.figures()[0].allowed["dark"]
        assert 0.15 < low < 1 / 6 < high < 0.18
    with Monitor(spec, state=given.with_name("s"), reader=None, reader_error=str(given)):
        pass
    given.write_text(json.dumps({"classes": CLASSES, "counts": (np.eye(k, dtype=int) * 501).tolist()}))
    with pytest.raises(UserError, match="reader error"):  # another validation under the same name
        Monitor(spec, state=given.with_name("s"), reader=None, reader_error=str(given))
    for bad, words in (
        ("not json", "no JSON object"),
        ('{"classes": ["a"], "counts": [[1]]}', "its classes must be"),
        (json.dumps({"classes": CLASSES, "counts": [[1]]}), "rows"),
        (json.dumps({"classes": CLASSES, "counts": [[-1] * k] * k}), "not negative"),
    ):
        given.write_text(bad)
        with pytest.raises(UserError, match=words):
            Monitor(spec, reader=None, reader_error=str(given))
    with pytest.raises(UserError, match="cannot be read"):
        Monitor(spec, reader=None, reader_error="absent.json")
    with pytest.raises(UserError, match="another"):
        Monitor(spec, reader=None)


def test_an_alarm_that_was_not_passed_on_is_passed_on_at_the_next_start(
    spec: FairnessSpec, tmp_path: Path
) -> None:
    def fail(alarm: Alarm) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), plain(spec, tmp_path / "s.sqlite", on_alarm=fail) as monitor:
        feed(monitor, tones(300, OFF))
    told: list[Alarm] = []
    for _ in range(2):
        with plain(spec, tmp_path / "s.sqlite", on_alarm=told.append) as monitor:
            assert told == monitor.raised
            assert len(told) == 1
