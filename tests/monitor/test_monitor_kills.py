"""``fairgen monitor`` on a folder that fills while it is killed again and again."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skin_tone import SCALES
from tests.doubles.fake_run import draw_face, tone_of
from tests.monitor.test_monitor_cli import OFF

CLASSES = SCALES["ita6"].classes
MONITOR = [sys.executable, "-m", "fairgen", "monitor"]
OPTIONS = ["--reader-error", "none", "--by-folder", "--json", "--interval", "0.2"]


class Product(threading.Thread):
    """Serves pictures into two folders of one folder, until it is stopped.

    It is never more than ``ahead`` pictures ahead of the monitor, which is killed more often than it reads.
    ``served`` names those that are whole.
    """

    def __init__(self, folder: Path, faces: Path) -> None:
        super().__init__()
        self.folder, self.served, self.ended = folder, list[str](), threading.Event()
        self.ahead, self.read = 20, 0
        self._faces: list[bytes] = []
        rng = np.random.default_rng(0)
        for number, tone in enumerate(rng.choice(CLASSES, size=60, p=OFF)):
            draw_face(faces / "face.png", tone_of(str(tone), number), number)
            self._faces.append((faces / "face.png").read_bytes())
        for context in ("chat", "shop"):
            (folder / context).mkdir(parents=True)

    def run(self) -> None:
        while not self.ended.wait(0.05):
            number = len(self.served)
            if number >= self.read + self.ahead:
                continue
            name = f"{('chat', 'shop')[number % 3 == 0]}/{number:05}.png"
            hidden = self.folder / f".{number}"
            hidden.write_bytes(self._faces[number % len(self._faces)])
            hidden.rename(self.folder / name)
            self.served.append(name)


def taken(state: Path) -> list[str]:
    """Names of the pictures in a state, as they are in it: without size and time."""
    if not state.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True)) as db:
            return [str(row[0]).split(":")[0] for row in db.execute("SELECT id FROM pictures")]
    except sqlite3.OperationalError:
        return []  # the table is still to come


def whole(folder: Path, state: Path) -> dict[str, Any]:
    """What the command says at its end, once it looked at all there is."""
    done = subprocess.run(
        [*MONITOR, str(folder), *OPTIONS, "--once", "--state", str(state)], capture_output=True, check=False
    )
    assert done.returncode == 3, done.stderr
    end: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for alarm in end["alarms"]:
        del alarm["at"]
    return end


@pytest.mark.exhaustive
def test_killed_fifty_times_on_a_filling_folder_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    state, rng, killed = tmp_path / "killed.sqlite", random.Random(0), list[int]()
    product = Product(tmp_path / "served", tmp_path)
    product.start()
    try:
        while len(killed) < 50:
            with (tmp_path / "out").open("wb") as out:
                command = [*MONITOR, str(product.folder), *OPTIONS, "--state", str(state)]
                process = subprocess.Popen(command, stdout=out, stderr=out)
            enough = len(taken(state)) + rng.choice((0, 1, 2, 3, 5, 8, 13))
            while (done := len(taken(state))) < enough:
                product.read = done
                assert process.poll() is None, (tmp_path / "out").read_text()
                time.sleep(0.02)
            time.sleep(rng.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            killed.append(len(taken(state)))
            print(f"kill {len(killed)}: {killed[-1]} taken of {len(product.served)} served", flush=True)
    finally:
        product.ended.set()
        product.join()
    time.sleep(1.5)  # the last ones count as whole after a second
    ends = [whole(product.folder, file) for file in (state, tmp_path / "whole.sqlite")]
    assert ends[0] == ends[1]
    assert sum(context["offered"] for context in ends[0]["contexts"]) == len(product.served)
    assert sorted(taken(state)) == sorted(product.served)
    assert len(set(killed)) > 25, "most kills came before it read anything"
    assert [alarm["level"] for alarm in ends[0]["alarms"]]
    print(f"{len(killed)} kills, {len(product.served)} pictures, {len(ends[0]['alarms'])} lines crossed")
