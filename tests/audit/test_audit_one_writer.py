"""A run folder has one writer, which locks it before it reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fairgen import cli
from fairgen._version import __version__
from fairgen.audit.plan import plan_of
from fairgen.audit.runner import Audit, look_back
from fairgen.common.files import now
from fairgen.runs import RUN_FILE, RunRecord, RunWriter, line_of
from tests.doubles.session_doubles import BatchBound, InfoReader, files_of

AUDIT = ["audit", "--prompts", "list.txt", "--count", "3", "--steering", "none,prompt", "--batch-size", "2"]


class Model(BatchBound):
    stop_after: int | None = None

    def generate(self, requests: Any, steering: Any = None) -> Any:
        if self.stop_after is not None and len(self.batches) >= self.stop_after:
            raise KeyboardInterrupt
        return super().generate(requests, steering)


def fresh(stop_after: int | None = None) -> Model:
    model = Model(spread=10.0, plain=60.0)
    model.stop_after = stop_after
    return model


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The command line on a double, in a folder with a list of prompts."""
    monkeypatch.setattr("fairgen.models.loading.load_model", lambda *_, **__: fresh())
    monkeypatch.setattr("skin_tone.SkinToneReader", InfoReader)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("a doctor\na judge\n")
    return monkeypatch


def stopped(load: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """A whole run in ``whole``, whose files come back, and a stopped one in ``run``."""
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    Path("run").rename("whole")
    with load.context() as patch:
        patch.setattr("fairgen.models.loading.load_model", lambda *_, **__: fresh(3))
        assert cli.run([*AUDIT, "--out", "run"]) == 130
    capsys.readouterr()
    return files_of(Path("whole"))


def test_a_second_resume_is_refused_before_the_first_has_loaded_its_model(
    load: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = stopped(load, capsys)
    codes: list[int] = []

    def loading(*_: Any, **__: Any) -> Model:
        load.setattr("fairgen.models.loading.load_model", lambda *_, **__: fresh())
        codes.append(cli.run(["audit", "--resume", "run"]))
        return fresh()

    load.setattr("fairgen.models.loading.load_model", loading)
    assert cli.run(["audit", "--resume", "run"]) == 0
    assert codes == [2]
    assert "being written by another fairgen" in capsys.readouterr().err
    assert files_of(Path("run")) == whole


def test_what_was_read_before_the_lock_is_read_again(
    load: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The web app reads a run long before it goes on with it."""
    whole = stopped(load, capsys)
    stale = look_back(Path("run"))
    assert cli.run(["audit", "--resume", "run"]) == 0
    list(Audit(plan_of(stale.audit), fresh(), InfoReader(), Path("run"), batch_size=2, left=stale).run())
    assert files_of(Path("run")) == whole


def test_two_audits_do_not_begin_in_one_folder(
    load: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    codes: list[int] = []

    def loading(*_: Any, **__: Any) -> Model:
        load.setattr("fairgen.models.loading.load_model", lambda *_, **__: fresh())
        codes.extend(cli.run([*AUDIT, "--out", "run", *more]) for more in ((), ("--force",)))
        return fresh()

    load.setattr("fairgen.models.loading.load_model", loading)
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    assert codes == [2, 2]
    kinds = [json.loads(line)["type"] for line in Path("run", RUN_FILE).read_text().splitlines()]
    assert kinds.count("audit") == kinds.count("run") == 1


@pytest.mark.parametrize("left", ["nothing", "torn", "header"])
def test_a_run_killed_before_its_first_record_is_begun_again(
    load: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], left: str
) -> None:
    head = line_of(RunRecord(created_at=now(), fairgen=__version__))
    Path("run").mkdir()
    Path("run", RUN_FILE).write_bytes({"nothing": b"", "torn": head[:20], "header": head}[left])
    assert cli.run(["audit", "--resume", "run"]) == 2
    assert "Begin it again" in capsys.readouterr().err
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    kinds = [json.loads(line)["type"] for line in Path("run", RUN_FILE).read_text().splitlines()]
    assert kinds[:3] == ["run", "audit", "session"]
    assert kinds.count("run") == 1


def test_a_command_that_made_nothing_leaves_nothing(tmp_path: Path) -> None:
    RunWriter(tmp_path / "runs" / "a", fairgen_version="0").close()
    assert list(tmp_path.iterdir()) == []
