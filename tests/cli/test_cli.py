"""The command line as a user meets it: help, exit codes, one sentence for each mistake."""

from __future__ import annotations

import errno
import json
import os
import pty
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from fairgen import cli
from fairgen.cli import common
from fairgen.common.resources import specs_dir
from fairgen.common.text import one_line
from fairgen.errors import UserError
from fairgen.targets import dump_spec, load_spec
from tests.doubles.fake_run import write_fake_run

HEAVY = (
    "torch",
    "diffusers",
    "transformers",
    "mediapipe",
    "gradio",
    "skimage",
    "scipy",
    "PIL",
    "numpy",
    "pydantic",
)


def _fails(capsys: pytest.CaptureFixture[str], code: int, *args: str) -> str:
    """Run a command line that must fail: its one line on standard error."""
    assert cli.run(args) == code
    out, err = capsys.readouterr()
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("fairgen: ")
    assert "Traceback" not in err
    assert out == ""
    return lines[0]


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, fairgen, fairgen.cli\n"
        "assert fairgen.cli.run(['--help']) == 0\n"
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Processor time, since a wall clock would measure how busy the machine is.
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert "HEAVY []" in done.stdout
    assert "generate" in done.stdout
    assert seconds < 1


def test_public_names_load_lazily() -> None:
    import fairgen

    assert set(fairgen.__all__) <= set(dir(fairgen))
    assert fairgen.UserError is UserError
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fairgen.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["verify"], "Missing argument"),
        (["nonsense"], "No such command"),
        (["verify", "--nonsense"], "No such option"),
        (["verify", "there-is-no-such-file.png"], "does not exist"),
        (["verify", ".", "--spec", "unifrom"], "did you mean uniform"),
        (["verify", ".", "--target", "light=0.5,medium=0.5"], "dark"),
        (["verify", ".", "--target", "light:0.5"], "not of the form class=share"),
        (["verify", ".", "--target", "light=0.5,medium=0.3,dark=0.3"], "sums to"),
        (
            ["verify", ".", "--spec", "uniform-lmd3", "--target", "light=1,medium=0,dark=0"],
            "give one of them",
        ),
        (["verify", ".", "--tolerance", "2"], "--tolerance is 2"),
        (["verify", ".", "--tolerance", "nan"], "--tolerance is nan"),
        (["report", "there-is-no-such-run"], "no run folder"),
        (["report", "there-is-no-such-run", "--max-mb", "0"], "--max-mb is 0: give a number from 0.1"),
        (["spec", "check", "there-is-no-such-spec"], "no spec or file"),
        (["spec", "show", "uniform", "--nonsense"], "No such option"),
        (["model", "info", "no such model"], "There is no model"),
    ],
)
def test_a_mistake_gets_one_sentence_and_code_2(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    says: str,
) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    assert says in _fails(capsys, 2, *args)


def test_spec_file_with_a_mistake_names_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    text = (specs_dir() / "uniform-ita6.yaml").read_text()
    path.write_text(text + "colour: red\n")
    line = _fails(capsys, 2, "spec", "check", str(path))
    assert "mine.yaml" in line
    assert f"line {len(text.splitlines()) + 1}" in line
    assert "colour" in line


def test_spec_list_show_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["spec", "list"]) == 0
    assert "uniform-ita6" in capsys.readouterr().out
    assert cli.run(["spec", "show", "uniform", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["scale"] == "ita6"
    assert cli.run(["spec", "check", "uniform"]) == 0
    assert shown["hash"] in capsys.readouterr().out


def test_report_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = write_fake_run(tmp_path / "run", arms=("none",))
    assert cli.run(["report", str(folder)]) == 0
    assert str(folder / "report.html") in capsys.readouterr().out
    assert (folder / "report.html").stat().st_size > 10_000


def test_out_of_disk_is_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_fake_run(tmp_path / "run", arms=("none",))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fairgen.report.tables.Path.replace", full)
    assert "No space is left" in _fails(capsys, 2, "report", str(folder))
    assert not list(folder.glob(".report*")), "the temporary file is gone"


@pytest.mark.parametrize("args", [["list"], ["show", "uniform"], ["show", "./own.yaml", "--yaml"]])
def test_any_locale_gets_the_whole_output(tmp_path: Path, args: list[str]) -> None:
    own = dump_spec(load_spec("uniform").model_copy(update={"about": "Wünsche für 上海"}))
    (tmp_path / "own.yaml").write_text(own, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "fairgen", "spec", *args],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path,
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    if "--yaml" in args:
        assert done.stdout.decode() == own


def test_a_terminal_gets_what_its_locale_holds() -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "fairgen", "spec", "show", "uniform"],
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"very light" in os.read(ours, 65_536)
    os.close(ours)


def _broken_report(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("fairgen.report.write_report", broken)


def test_unexpected_error_is_one_line_and_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _broken_report(monkeypatch, RuntimeError("first\nsecond"))
    line = _fails(capsys, 1, "report", "x")
    assert "Unexpected RuntimeError: first second" in line
    assert "--debug" in line


@pytest.mark.parametrize("args", [["report", "x", "--debug"], ["--debug", "report", "x"]])
def test_debug_shows_the_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, args: list[str]
) -> None:
    _broken_report(monkeypatch, RuntimeError("broken"))
    assert cli.run(args) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_code_130_and_says_what_was_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _broken_report(monkeypatch, KeyboardInterrupt())
    assert "Interrupted" in _fails(capsys, 130, "report", "x")
    _broken_report(monkeypatch, common.Interrupted("Interrupted: 7 pictures are kept."))
    assert "7 pictures" in _fails(capsys, 130, "report", "x")


def test_file_names_cannot_drive_the_terminal() -> None:
    assert one_line("a\x1b[31m\nb\x07") == "a [31m b "


def test_out_folder_is_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert common.claim_out(folder, force=False) == folder
    write_fake_run(folder, arms=("none",))
    (folder / "mine.txt").write_text("notes")
    before = (folder / "run.jsonl").read_bytes()
    with pytest.raises(UserError, match="not empty"):
        common.claim_out(folder, force=False)
    common.claim_out(folder, force=True)
    assert sorted(p.name for p in folder.iterdir()) == ["mine.txt", "previous-1"]
    assert (folder / "previous-1" / "run.jsonl").read_bytes() == before
    assert len(list((folder / "previous-1" / "unsteered").iterdir())) == 30
    with pytest.raises(UserError, match="is a file"):
        common.claim_out(folder / "mine.txt", force=True)


def _bomb(path: Path, side: int) -> None:
    """A PNG that claims side x side pixels and holds none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )


def test_verify_lists_bad_pictures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGB", (64, 64), "#bb8866").save(folder / "plain.png")
    whole = tmp_path / "whole.png"
    Image.effect_noise((200, 200), 60).convert("RGB").save(whole)
    (folder / "cut.png").write_bytes(whole.read_bytes()[:3000])
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.webp").touch()
    _bomb(folder / "bomb.png", 20_000)
    _bomb(folder / "wide.png", 9_000)
    out = tmp_path / "out"
    assert cli.run(["verify", str(folder), "--json", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["files"] == 6
    assert found["count"] == 0
    assert found["abstentions"] == {"no_face": 1}
    assert found["tv"] is None
    bad = {"cut.png", "text.jpg", "empty.webp", "bomb.png", "wide.png"}
    assert {Path(name).name for name in found["unreadable"]} == bad
    assert captured.err.count("not opened:") == 5
    assert "million" in found["unreadable"][str(folder / "bomb.png")]
    page = (out / "report.html").read_text()
    assert "cut.png" in page
    assert "no skin tone could be read" in page
    assert "picture on this page is synthetic" not in page, "fairgen did not make these"


def test_verify_without_a_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    assert cli.run(["verify", str(tmp_path)]) == 2
    assert "None of the files" in capsys.readouterr().err
    (tmp_path / "a.png").unlink()
    assert "No pictures in" in _fails(capsys, 2, "verify", str(tmp_path))


def test_require_is_code_3(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "#bb8866").save(tmp_path / "plain.png")
    assert cli.run(["verify", str(tmp_path), "--require", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["count"] == 0
