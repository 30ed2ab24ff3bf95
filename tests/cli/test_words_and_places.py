"""Sentences that count rightly, places that cannot be written to, work that is refused before it is done."""

from __future__ import annotations

import json
import os
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from fairgen import cli
from fairgen.cli import audit_live, live
from fairgen.cli.audit_live import rate
from fairgen.common.files import write_text
from fairgen.errors import UserError
from fairgen.loop.calibrate import Plan, calibrate
from fairgen.models.loading import load_model
from tests.doubles.fake_audit import write_fake_audit
from tests.doubles.fake_run import write_fake_run


@pytest.mark.parametrize(
    ("pictures", "seconds", "says"),
    [(0, 30, ""), (1, 100, "100 s a picture"), (30, 30, "1.0 pictures/s"), (900, 30, "30.0 pictures/s")],
)
def test_a_rate_is_never_zero(pictures: int, seconds: float, says: str) -> None:
    assert rate(pictures, seconds) == says


@pytest.mark.parametrize("place", ["x" * 300, "/proc/nowhere", "/proc/self/nowhere"])
def test_a_place_that_cannot_be_written_to_is_one_sentence(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_fake_run(tmp_path / "run", arms=("none",))
    out = tmp_path / place  # an absolute path stays as it is
    assert cli.run(["report", str(run), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line
    with pytest.raises(UserError, match="cannot be written"):
        write_text(out / "a.txt", "")


def test_an_out_of_over_255_characters_is_refused_before_the_model_loads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "a.png"
    picture.touch()
    assert cli.run(["verify", str(picture), "--out", str(tmp_path / ("x" * 300))]) == 2
    assert "cannot be written (File name too long)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you"),
        RuntimeError("can't start new thread"),
        OSError(12, "Cannot allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
)
def test_too_little_memory_is_said_as_such(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("fairgen.report.write_report", broken)
    assert cli.run(["report", str(tmp_path)]) == 2
    assert "The memory ran out" in capsys.readouterr().err


def test_a_calibration_of_too_few_pictures_makes_none() -> None:
    # Anything else that is asked of it is an error.
    generator: Any = SimpleNamespace(default_batch_size=4, check_techniques=lambda _techniques: None)
    work = calibrate(generator, SimpleNamespace(), "embedding", plan=Plan(prompts=("a doctor",), seeds=2))
    with pytest.raises(UserError, match="2 pictures are too few at each strength"):
        next(work)


@pytest.mark.parametrize(
    ("line", "says"),
    [("source: null", "not null"), ("source: true", "not true"), ("source: [uniform]", "not a list")],
)
def test_a_refused_value_is_told_as_it_was_written(
    tmp_path: Path, line: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"name: mine\nversion: 1\nscale: lmd3\n{line}\ntarget: {{light: 1, medium: 0, dark: 0}}\n"
        "about: An ideal.\nwhy: A test.\ndeclared_by: A. Person\ndeclared_on: 2026-11-20\n"
    )
    assert cli.run(["spec", "check", str(path)]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert not any(python in error for python in ("None", "True", "['"))


def test_commands_that_are_suggested_can_be_pasted(tmp_path: Path) -> None:
    from fairgen.cli import common
    from fairgen.cli.live import watch

    folder = tmp_path / "my runs; rm -rf"

    def events() -> Any:
        from fairgen.loop.events import Started

        yield Started(SimpleNamespace(target={"tan": 1.0}, count=1))  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with pytest.raises(common.Interrupted, match="fairgen report") as told:
        watch(events(), "Steered", folder)
    assert f"`fairgen report {shlex.quote(str(folder))}`" in str(told.value)


def test_resume_of_the_run_file_itself_names_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_fake_run(tmp_path / "run", arms=("none",))
    assert cli.run(["audit", "--resume", str(run / "run.jsonl")]) == 2
    assert f"{run} holds no audit to resume" in capsys.readouterr().err
    assert cli.run(["audit", "--resume", str(tmp_path / "run.jsonl")]) == 2
    assert f"{tmp_path} is no run folder" in capsys.readouterr().err


def test_a_folder_whose_name_is_no_utf8_loses_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    run = write_fake_audit(odd / "run", [("a doctor", None)], count=4, arms=("none", "prompt"))
    assert cli.run(["report", str(run)]) == 0
    assert (run / "pictures.parquet").stat().st_size > 100
    for command in (
        ["score", run],
        ["compare", run, run],
        ["run", "check", run],
        ["evidence", run, "-o", odd / "pack.zip"],
    ):
        capfd.readouterr()
        assert cli.run([*map(str, command), "--json"]) == 0, command
        told = capfd.readouterr().out
        assert "caf\\\\xe9" in told
        json.dumps(json.loads(told), ensure_ascii=False).encode()  # it holds no half of a surrogate pair


@pytest.mark.parametrize("name", [b"caf\xe9", b"caf\xe9/a.safetensors", b"\xff.yaml"])
def test_a_model_whose_path_is_no_utf8_is_refused(name: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="is no UTF-8: rename"):
        load_model(os.fsdecode(name))
    assert cli.run(["model", "info", os.fsdecode(name), "--json"]) == 2
    assert "is no UTF-8: rename" in capsys.readouterr().err


def test_one_of_a_kind_is_told_in_the_singular(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_fake_audit(tmp_path / "run", [("a doctor", None)], count=1, arms=("none",))
    assert cli.run(["report", str(run)]) == 0
    assert cli.run(["score", str(run)]) == 0
    assert cli.run(["compare", str(run), str(run)]) == 0
    told = capsys.readouterr().out + (run / "report.html").read_text(encoding="utf-8")
    assert "1 prompt in 1 arm" in told
    nouns = "pictures|prompts|places|sets|rows|arms|tries|seeds"
    assert re.findall(rf"(?<![\d.,])(?<!of )1 (?:{nouns})\b", told) == []


def test_a_distance_is_told_once_there_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fairgen.loop.events import Finished, PictureDone, Started

    def events() -> Any:
        yield Started(SimpleNamespace(target={"tan": 1.0}, count=2))  # type: ignore[arg-type]
        records: list[Any] = [
            SimpleNamespace(decision="abstained", measured=None),
            SimpleNamespace(decision="kept", measured="tan"),
        ]
        for done, record in enumerate(records, 1):
            yield PictureDone(record, Image.new("RGB", (1, 1)), None, done, 2)
        yield Finished(SimpleNamespace(count=2))  # type: ignore[arg-type]

    live.watch(events(), "Steered", tmp_path)
    assert capsys.readouterr().err == "Steered: 1 of 2\nSteered: 2 of 2, TV 0.00\n"
    audit: Any = SimpleNamespace(
        prompts=[SimpleNamespace(count=4)], arms=["none"], session=lambda p, arm: arm
    )
    board = audit_live._Board(audit, ())
    assert audit_live._line(board, 4, 30.0) == "Audit: 0 of 4"
    board.arms["none"].tvs.append(0.25)
    assert audit_live._line(board, 4, 30.0) == "Audit: 0 of 4; TV none 0.25"
