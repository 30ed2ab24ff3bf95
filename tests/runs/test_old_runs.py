"""Run folders that fairgen 0.1.0 wrote before its packages moved still resume, score and report as before."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from fairgen import cli, stats
from fairgen.audit.plan import plan_of
from fairgen.audit.runner import Audit, look_back
from fairgen.report import write_report
from fairgen.runs import RUN_FILE, read_run
from tests.doubles.session_doubles import BatchBound, InfoReader, files_of

OLD = Path(__file__).resolve().parents[1] / "fixtures" / "run_0_1"
EXPECTED = OLD / "expected"

INTERVALS = {"first_pass_ranges", "tv_range", "mean_tv_range", "difference_range", "mean_ita_range"}
"""Not by the method of 0.1.0, which covered too little: wider now, and none over fewer than 10 prompts."""


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the old folders, and the place to work in."""
    shutil.copytree(OLD, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def kept(then: Any, now: Any, where: str = "") -> None:
    """Whatever was said then is said now: keys may be added, none may go or change."""
    if isinstance(then, dict):
        assert isinstance(now, dict), where
        for key, value in then.items():
            assert key in now, f"{where}.{key} is gone"
            if key not in INTERVALS:
                kept(value, now[key], f"{where}.{key}")
    elif isinstance(then, list):
        assert isinstance(now, list), where
        assert len(then) == len(now), where
        for number, (one, other) in enumerate(zip(then, now, strict=True)):
            kept(one, other, f"{where}[{number}]")
    elif isinstance(then, float):
        assert now == pytest.approx(then, abs=1e-12), where
    else:
        assert then == now, where


def test_a_stopped_audit_goes_on_to_what_it_would_have_been(old: Path) -> None:
    left = look_back(Path("stopped"))
    assert left.audit is not None
    model = BatchBound(spread=18.0, unreadable=0.25, plain=25.0)
    for _ in Audit(plan_of(left.audit), model, InfoReader(), Path("stopped"), batch_size=2, left=left).run():
        pass
    found, whole = files_of(old / "stopped"), files_of(old / "whole")
    now, then = comparable(found.pop(RUN_FILE)), comparable(whole.pop(RUN_FILE))
    kept(then, now)  # processors differ in the last bits of a probability
    kept(now, then)
    # One hash names a model now; until 0.1.0 pictures had one of their own.
    assert without_weights(found) == without_weights(whole)
    for session in read_run("stopped").sessions.values():
        summary = session.summary
        assert summary is not None
        floor = stats.noise_floor(summary.target, summary.kept)
        assert summary.noise_floor_tv == floor, "also where the old version wrote the line"


def without_weights(files: dict[str, str]) -> dict[str, str]:
    return {name: re.sub(r'"weights":"sha256:\w+"', "", text) for name, text in files.items()}


def comparable(lines: str) -> list[dict[str, Any]]:
    """The lines of a run file, without the folder's name, the floor, which was of other pictures then, and
    what readings had no name for then.
    """
    records = [json.loads(line) for line in lines.splitlines()]
    for record in records:
        for reading in record.get("readings", []):
            for later in ("like_renders", "nearness"):
                assert reading.pop(later, None) is None, "what was read then is not read again"
    return [{k: v for k, v in r.items() if k not in ("out", "noise_floor_tv")} for r in records]


@pytest.mark.parametrize("folder", ["whole", "stopped", "generate"])
def test_every_record_is_read(folder: str) -> None:
    lines = (OLD / folder / RUN_FILE).read_text("utf-8").splitlines()
    run = read_run(OLD / folder)
    headers = 1 if run.audit is None else 2
    found = [len(s.pictures) + len(s.fills) + 1 + (s.summary is not None) for s in run.sessions.values()]
    assert headers + sum(found) == len(lines)


def test_it_is_scored_as_before(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["score", "whole", "--json"]) == 0
    kept(json.loads((EXPECTED / "score.json").read_text("utf-8")), json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(("folder", "prefix"), [("whole", ""), ("generate", "generate-")])
def test_it_is_reported_as_before(old: Path, folder: str, prefix: str) -> None:
    write_report(folder, "report")
    then = json.loads((EXPECTED / f"{prefix}report.json").read_text("utf-8"))
    kept(then, json.loads((old / "report" / "report.json").read_text("utf-8")))
    for name in ("sets.csv", "pictures.csv"):
        kept(rows(EXPECTED / f"{prefix}{name}"), rows(old / "report" / name))


def test_its_summary_is_shown_as_before(old: Path) -> None:
    write_report("generate", "report")
    then = json.loads((EXPECTED / "generate-summary.json").read_text("utf-8"))
    kept(then, json.loads((old / "report" / "summary.json").read_text("utf-8")))
