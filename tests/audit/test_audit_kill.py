"""SIGKILL at random moments, a full disk, a folder that may not be written: `--resume` ends as if nothing had
happened.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from fairgen import cli
from fairgen.runs import RUN_FILE, read_run
from tests.doubles import audit_kills, warm_commands
from tests.doubles.session_doubles import BatchBound, InfoReader, files_of
from tests.doubles.warm_commands import WarmCommand

LIST = "# [high]\na doctor\na judge\n# [low]\na janitor\n"


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "places"), [(20, 10), pytest.param(50, 15, marks=pytest.mark.exhaustive)])
def test_kills_change_nothing(project_root: Path, tmp_path: Path, kills: int, places: int) -> None:
    """The true runner in a process of its own, on a model whose pictures depend on their whole batch."""
    command = [sys.executable, "-m", "tests.doubles.audit_kills", str(tmp_path)]
    done = subprocess.run(
        [*command, "--kills", str(kills), "--seed", "20"],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=project_root,
    )
    assert done.returncode == 0, done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    struck = [line for run in runs for line in run["killed_after_lines"]]
    assert len(struck) >= kills
    assert len(set(struck)) > places, "the kills struck at many places"
    assert [run for run in runs if not run["equal"]] == []


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The command line on the double, in a folder with a list of prompts."""
    model = BatchBound(spread=18.0, unreadable=0.1, plain=25.0)
    monkeypatch.setattr("fairgen.models.loading.load_model", lambda *_, **__: model)
    monkeypatch.setattr("skin_tone.SkinToneReader", InfoReader)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text(LIST)
    return tmp_path


AUDIT = ["audit", "--prompts", "list.txt", "--count", "6", "--steering", "none,prompt", "--batch-size", "3"]


@pytest.fixture
def whole(doubles: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What the audit leaves when nothing goes wrong."""
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    capsys.readouterr()
    (doubles / "run").rename(doubles / "whole")
    return files_of(doubles / "whole")


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes, as if a quota were used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _is_whole(run: Path) -> None:
    assert (run / RUN_FILE).read_bytes().endswith(b"\n")
    found = read_run(run)
    for session in found.sessions.values():
        for picture in session.pictures:
            with Image.open(run / str(picture.file)) as image:
                image.load()
    assert not list(run.rglob(".*.tmp"))


@pytest.mark.parametrize("size", [9_000, 20_011, 45_500])
def test_a_limit_on_files_is_one_sentence(
    doubles: Path, whole: dict[str, str], capsys: pytest.CaptureFixture[str], size: int
) -> None:
    with largest_file(size):
        assert cli.run([*AUDIT, "--out", "run"]) == 2
    err = capsys.readouterr().err.strip().splitlines()
    assert "may not grow further" in err[-1]
    _is_whole(doubles / "run")
    assert cli.run(["audit", "--resume", "run"]) == 0
    assert files_of(doubles / "run") == whole


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A disk in memory, where this user may mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("this user may not mount a disk in memory")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(doubles: Path) -> Iterator[Path]:
    with mounted(doubles / "disk", "size=100k") as folder:
        yield folder


def test_a_full_disk_is_one_sentence(
    small_disk: Path, whole: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*AUDIT, "--out", str(small_disk / "run")]) == 2
    assert "No space is left" in capsys.readouterr().err.strip().splitlines()[-1]
    _is_whole(small_disk / "run")
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    assert cli.run(["audit", "--resume", str(small_disk / "run")]) == 0
    found = files_of(small_disk / "run")
    assert found.keys() == whole.keys()
    assert {name: held.replace(str(small_disk / "run"), "run") for name, held in found.items()} == whole


@pytest.fixture
def locked(doubles: Path) -> Iterator[Path]:
    """A folder that this user may not write to."""
    if os.getuid() == 0:
        with mounted(doubles / "locked", "ro") as folder:
            yield folder
    else:
        folder = doubles / "locked"
        folder.mkdir(mode=0o555)
        yield folder


def test_a_folder_that_may_not_be_written_is_one_sentence(
    locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*AUDIT, "--out", str(locked / "run")]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "cannot be written" in line
    assert "--out" in line


# The true command on a real model --------------------------------------------------------------


@pytest.mark.embedded
def test_kills_of_the_true_command(tmp_path: Path, quick_model: Path) -> None:
    (tmp_path / "list.txt").write_text("a portrait of a CEO\na portrait of a janitor\n")
    begin = (
        "--prompts",
        "list.txt",
        "--count",
        "3",
        "--steering",
        "none,embedding",
        "--batch-size",
        "2",
        "--model",
        str(quick_model),
    )
    folders = [tmp_path / name for name in ("whole", "killed")]
    for folder in folders:
        folder.mkdir()
        (folder / "list.txt").write_text((tmp_path / "list.txt").read_text())
    done = warm_commands.run("audit", *begin, "--out", "run", cwd=folders[0])
    assert done.returncode == 0, done.stderr
    total = (folders[0] / "run" / RUN_FILE).read_bytes().count(b"\n")
    rng = random.Random(3)
    path = folders[1] / "run" / RUN_FILE
    for number in range(2):
        arguments = ("--resume", "run") if number else (*begin, "--out", "run")
        child = WarmCommand("audit", *arguments, cwd=folders[1])
        line = 4 + number * (total - 8) // 2 + rng.randint(0, 3)
        while not (path.exists() and path.read_bytes().count(b"\n") >= line):
            assert child.poll() is None, "it ended before it was killed"
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.5))
        child.send_signal(signal.SIGKILL)
        child.wait()
    again = warm_commands.run("audit", "--resume", "run", "--json", cwd=folders[1])
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["interrupted"] == []
    assert files_of(folders[1] / "run") == files_of(folders[0] / "run")


def test_what_a_kill_left_of_the_summary_is_gone_once_the_run_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = audit_kills.plan(tmp_path)
    audit_kills.run(asked, tmp_path)
    whole = files_of(tmp_path)
    (tmp_path / audit_kills.RUN / ".summary.json.0123abcd.tmp").write_text("{")
    audit_kills.run(asked, tmp_path)
    assert files_of(tmp_path) == whole
