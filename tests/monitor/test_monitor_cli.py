"""``fairgen monitor`` as a user meets it: streams, pages, metrics, webhooks, kills."""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairgen import cli
from fairgen.errors import UserError
from fairgen.monitor import Monitor
from fairgen.monitor.kept_page import KeptPage
from fairgen.monitor.metrics import metrics_text, serving
from fairgen.monitor.page import write_page
from fairgen.monitor.reading import Tone
from fairgen.targets import load_spec
from skin_tone import SCALES
from tests.doubles.fake_run import draw_face, tone_of

CLASSES = SCALES["ita6"].classes
OFF = (0.35, 0.25, 0.15, 0.1, 0.1, 0.05)


def lines(count: int, shares: tuple[float, ...] = (1 / 6,) * 6, seed: int = 0) -> bytes:
    tones = np.random.default_rng(seed).choice(CLASSES, size=count, p=shares)
    return b"".join(json.dumps({"id": str(n), "tone": str(t)}).encode() + b"\n" for n, t in enumerate(tones))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)

    def command(stdin: bytes | io.BytesIO, *args: str) -> tuple[int, str, str]:
        given = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given))
        code = cli.run(["monitor", *args])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def test_a_stream_on_target_ends_with_0_and_one_off_target_with_3(run: Any) -> None:
    code, out, err = run(lines(200), "-")
    assert code == 0
    assert "200 read of 200 offered" in out
    assert "reader's errors: none" in err
    code, out, _ = run(lines(200, OFF), "-", "--state", "off.sqlite")
    assert code == 3
    assert out.startswith("ALARM: “all” is off target: after ")
    code, again, _ = run(lines(200, OFF), "-", "--state", "off.sqlite")
    assert code == 3
    assert again.strip() == out.strip().splitlines()[-1]  # nothing is counted twice, and no alarm told twice


def test_it_may_end_at_the_first_alarm(run: Any) -> None:
    code, out, _ = run(lines(5_000, OFF), "-", "--stop", "--json")
    first, end = map(json.loads, out.splitlines())
    assert code == 3
    assert (first["type"], first["test"], end["type"]) == ("alarm", "target", "end")
    assert end["contexts"][0]["read"] == first["picture"] < 200


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("absent",), "absent is no folder"),
        (("-", "--level", "2"), "--level is 2"),
        (("-", "--every", "0"), "--every is 0"),
        (("-", "--contexts", "-3"), "--contexts is -3"),
        (("-", "--interval", "0"), "--interval is 0"),
        (("-", "--metrics", "x"), "--metrics x is no port"),
        (("-", "--metrics", "99999"), "--metrics 99999 is no port"),
        (("-", "--webhook", "ftp://x"), "--webhook ftp://x is no address"),
        (("-", "--reader", "third"), "--reader must be one of"),
        (("-", "--reader-error", "absent.json"), "absent.json cannot be read"),
        (("-", "--state", "."), "is a folder"),
        (("-", "--spec", "absent"), "absent"),
    ],
)
def test_bad_input_gets_one_sentence_and_2(run: Any, args: tuple[str, ...], words: str) -> None:
    code, out, err = run(b"", *args)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert words in err
    assert not list(Path().glob("*.sqlite"))


def test_a_bad_line_ends_it_and_what_came_before_is_kept(run: Any) -> None:
    code, _, err = run(lines(10) + b"nonsense\n", "-")
    assert code == 2
    assert err.splitlines()[-1].startswith("fairgen: Line 11 of standard input")
    assert "10 read of 10" in run(b"", "-")[1]


def test_a_folder_is_read_by_the_reader_once(run: Any, tmp_path: Path) -> None:
    folder = tmp_path / "served"
    for number, tone in enumerate(("dark", "very_light", "tan")):
        (folder / "shop").mkdir(parents=True, exist_ok=True)
        draw_face(folder / "shop" / f"{number}.png", tone_of(tone, number), number)
    (folder / "broken.png").write_bytes(b"x")
    for file in folder.rglob("*.png"):
        os.utime(file, (1e9, 1e9))
    code, out, err = run(b"", str(folder), "--once", "--by-folder", "--json", "--page", "page.html")
    end = json.loads(out)
    assert code == 0
    assert "not opened" in err
    assert "478 portraits" in err
    contexts = {c["context"]: c for c in end["contexts"]}
    assert contexts["shop"]["offered"] == 3
    assert contexts["shop"]["read"] + sum(contexts["shop"]["abstained"].values()) == 3
    assert contexts["all"]["unreadable"] == 1
    page = Path("page.html").read_text(encoding="utf-8")
    assert "No alarm so far" in page
    again = json.loads(run(b"", str(folder), "--once", "--by-folder", "--json")[1])
    assert again["contexts"] == end["contexts"]


def test_metrics_are_served_on_this_machine_alone(tmp_path: Path) -> None:
    with Monitor(load_spec("uniform"), reader=None, reader_error="none") as monitor:
        for tone in np.random.default_rng(0).choice(CLASSES, size=200, p=OFF):
            monitor.take(lambda t=str(tone): Tone(t), 'a "b"\\')  # type: ignore[misc]
        monitor.take(lambda: Tone(abstained="no_face"), 'a "b"\\')
        with serving("127.0.0.1", 0, lambda: metrics_text(monitor, 7)) as port:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    name = r'context="a \"b\"\\"'
    assert values["fairgen_monitor_offered_total{" + name + "}"] == "201"
    assert values["fairgen_monitor_not_read_total{" + name + ',reason="no_face"}'] == "1"
    assert values["fairgen_monitor_state{" + name + ',test="target"}'] == "2"
    assert values["fairgen_monitor_alarms_total{" + name + ',test="target"}'] == "1"
    assert values["fairgen_monitor_waiting"] == "7"
    read = [v for k, v in values.items() if k.startswith("fairgen_monitor_read_total")]
    assert sum(map(int, read)) == 200
    helped = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {k.split("{")[0] for k in values} == helped


@contextmanager
def hook(status: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that collects what is posted to it."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", got
        server.shutdown()
        thread.join()


def test_a_webhook_is_told_of_each_alarm_and_a_dead_one_is_no_end(run: Any) -> None:
    with hook(204) as (url, got):
        code, out, _ = run(lines(200, OFF), "-", "--webhook", url)
    assert code == 3
    assert [g["text"] for g in got] == [line for line in out.splitlines() if line.startswith("ALARM")]
    assert set(got[0]) == {
        "level", "test", "context", "picture", "evidence", "line", "at", "id", "text",
    }  # fmt: skip
    with hook(500) as (url, got):
        code, _, err = run(lines(200, OFF), "-", "--webhook", url, "--state", "b.sqlite")
    assert code == 3
    assert "it answered 500" in err
    code, _, err = run(lines(200, OFF), "-", "--webhook", "http://127.0.0.1:9/", "--state", "c.sqlite")
    assert code == 3
    assert "The webhook was not told" in err


@pytest.mark.parametrize(("reader", "quicker"), [("calibrated", True), ("second", False)])
def test_it_says_how_many_pictures_wait_and_what_to_do(
    reader: str, quicker: bool, run: Any, tmp_path: Path
) -> None:
    for number in range(100):
        file = tmp_path / "served" / f"{number}.png"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"no picture, so that no model is needed")
        os.utime(file, (1e9, 1e9))
    err = run(b"", "served", "--once", "--reader", reader)[2]
    (said,) = re.findall(r"Behind: 79 pictures wait, [\d.]+ a second are read\. (.*)", err)
    assert "--every 2" in said
    assert ("--reader second" in said) == quicker


def test_the_page_shows_alarms_without_script_or_network(run: Any) -> None:
    name = '"context": "<b>chat</b>", '
    stream = lines(300, OFF).replace(b'"tone"', name.encode() + b'"tone"')
    run(stream, "-", "--page", "page.html")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "1 of 1 context has alarmed" in page
    assert "Reader of pictures that came without a reading: calibrated" in page  # it read none of these
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert "<b>chat" not in page
    assert "&lt;b&gt;chat" in page
    assert page.count('class="here"') == 1


def test_the_page_is_brought_up_to_date_while_standard_input_is_silent(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, whole, seen = Path("page.html"), threading.Event(), list[str]()

    def written(monitor: Monitor, path: Path) -> None:
        write_page(monitor, path)
        if sum(context.offered for context in monitor.figures()) == 3:
            whole.set()

    class Silent(io.BytesIO):
        def readline(self, most: int | None = -1) -> bytes:
            if line := super().readline(most):
                return line
            assert whole.wait(60), "the page stayed behind"
            seen.append(page.read_text(encoding="utf-8"))
            return b""

    monkeypatch.setattr("fairgen.cli.monitor._PAGE_SECONDS", 0.02)
    monkeypatch.setattr("fairgen.monitor.kept_page.write_page", written)
    code, out, _ = run(Silent(lines(3)), "-", "--page", str(page))
    assert code == 0
    assert "3 read of 3 offered" in out
    assert len(seen) == 1
    assert "3 read" in seen[0]


def test_a_page_that_cannot_be_written_while_nothing_comes_is_said_at_once(tmp_path: Path) -> None:
    said, told = list[UserError](), threading.Event()

    def failed(error: UserError) -> None:
        said.append(error)
        told.set()

    with (
        Monitor(load_spec("uniform"), reader=None, reader_error="none") as monitor,
        KeptPage(monitor, tmp_path, seconds=0.01, failed=failed) as kept,
    ):
        assert told.wait(60)
        with pytest.raises(UserError):  # and the next picture ends it
            kept.taken(alarm=False)
    assert str(tmp_path) in str(said[0])


def kill_and_finish(tmp_path: Path, kills: int, count: int) -> None:
    """Kill the command at random moments, then let it end; it must end as one that nobody killed."""
    source = tmp_path / "lines.jsonl"
    source.write_bytes(lines(count // 2) + lines(count, OFF, seed=1)[len(lines(count // 2, OFF, seed=1)) :])
    state = tmp_path / "killed.sqlite"
    command = [sys.executable, "-m", "fairgen", "monitor", "-", "--json", "--state"]
    rng = random.Random(0)
    stops = sorted(rng.sample(range(1, count), kills))
    for stop in stops:
        with source.open("rb") as given, (tmp_path / "out").open("wb") as out:
            process = subprocess.Popen([*command, str(state)], stdin=given, stdout=out, stderr=out)
            while process.poll() is None and _written(state) < stop:
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            assert process.wait() in (-signal.SIGKILL, 3), (tmp_path / "out").read_text()
    ends = []
    for file in (state, tmp_path / "whole.sqlite"):
        with source.open("rb") as given:
            done = subprocess.run([*command, str(file)], stdin=given, capture_output=True, check=False)
        assert done.returncode == 3, done.stderr
        end = json.loads(done.stdout.splitlines()[-1])
        for alarm in end["alarms"]:
            del alarm["at"]
        ends.append(end)
    assert ends[0] == ends[1]
    assert ends[0]["contexts"][0]["read"] == count
    assert [a["test"] for a in ends[0]["alarms"]]


def _written(state: Path) -> int:
    if not state.is_file():
        return 0
    try:
        with closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM pictures").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # the table is still to come


def test_killed_three_times_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    kill_and_finish(tmp_path, 3, 600)


@pytest.mark.exhaustive
def test_killed_fifty_times_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    kill_and_finish(tmp_path, 50, 6_000)


def test_the_page_about_it_tells_the_truth(
    project_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its example runs, its JSON is JSON, and it names every metric and no other."""
    monkeypatch.chdir(project_root)
    monkeypatch.setenv("COLUMNS", "200")
    text = (project_root / "docs" / "monitoring.md").read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    exec(compile(blocks["python"], "docs/monitoring.md", "exec"), {})
    assert capsys.readouterr().out.endswith(" False\n")
    panel = json.loads(blocks["json"])
    with Monitor(load_spec("uniform"), reader=None, reader_error="none") as monitor:
        monitor.take(lambda: Tone("tan"))
        names = set(re.findall(r"^# TYPE (\S+)", metrics_text(monitor), re.MULTILINE))
    assert {target["expr"] for target in panel["targets"]} <= names
    rows = re.findall(r"^\| (`fairgen_monitor_.*?) \|", text, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {n if n.startswith("fairgen") else f"fairgen_monitor{n}" for n in told} == names
    options = set(re.findall(r"(--[a-z][a-z-]+)", text)) - {"--no-install-recommends", "--no-cache-dir"}
    of_serve = set(re.findall(r"fairgen serve (--[a-z-]+)", text))
    for command, named in (("monitor", options - of_serve), ("serve", of_serve)):
        assert cli.run([command, "--help"]) == 0
        assert named <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) | {"--help"}
