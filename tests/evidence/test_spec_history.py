"""Specs that are edited, or approved again, between sets: in order among a pack's decisions, and checked."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fairgen.evidence import plan_pack
from fairgen.evidence.facts import SpecUse
from fairgen.evidence.spec_history import FIRST, _in_order
from fairgen.loop.session import run_session
from fairgen.targets import FairnessSpec, load_spec
from tests.doubles.evidence_packs import WHEN, Files, Insider, edited_records, files_in
from tests.doubles.session_doubles import ConfusedGenerator, InfoReader
from tests.evidence.conftest import checked

PLAIN = load_spec("uniform")
SIGNED = PLAIN.approved("A. Person", date(2026, 11, 27))
EDITED = FairnessSpec.model_validate(
    PLAIN.model_dump()
    | {"version": 2, "source": "user", "why": "Dark skin was asked for.", "confidence": {}}
    | {"target": PLAIN.target | {"dark": 1 / 6 + 0.1, "light": 1 / 6 - 0.1}}
).approved("B. Person", date(2026, 11, 28))
RUN = "runs/first/run.jsonl"
Changed = Callable[[Files], Files | None]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unsigned pack of two runs, the later one given first."""
    folder = tmp_path_factory.mktemp("specs")
    for run, session, spec in (
        ("first", "a", PLAIN),
        ("first", "b", SIGNED),
        ("first", "c", SIGNED),
        ("second", "a", EDITED),
    ):
        for _ in run_session(
            ConfusedGenerator(), InfoReader(), "a nurse", spec, 2, steering="none", out_dir=folder / run,
            session=session,
        ):  # fmt: skip
            pass
    out = folder / "pack.zip"
    for _ in plan_pack([folder / "second", folder / "first"], created_at=WHEN, pictures="none").write(out):
        pass
    return out


def decisions(pack: Path, run: str) -> list[dict[str, str]]:
    text = files_in(pack)[f"records/{run}-decisions.csv"].decode()
    return [row for row in csv.DictReader(io.StringIO(text)) if "spec" in row["what"]]


def test_edits_and_approvals_are_decisions_in_order(mixed: Path) -> None:
    used, approved = decisions(mixed, "first")
    assert (used["session"], used["what"]) == ("a", FIRST)
    assert used["detail"].endswith("not approved by anybody")
    assert (approved["session"], approved["what"]) == ("b", "spec approved again")
    assert approved["detail"].endswith(
        "before not approved by anybody, now approved by A. Person on 2026-11-27"
    )
    assert int(used["line"]) < int(approved["line"])
    (edited,) = decisions(mixed, "second")
    assert edited["what"] == "spec edited"
    assert "uniform-ita6, version 1 to 2: target.light: 0.1667 to 0.06667, " in edited["detail"]
    assert "target.dark: 0.1667 to 0.2667" in edited["detail"]
    assert "source: uniform to user" in edited["detail"]
    assert edited["detail"].endswith("now approved by B. Person on 2026-11-28")
    assert "spec edited" in files_in(mixed)["index.html"].decode()


def test_a_check_notes_them_and_finds_no_fault_in_them(mixed: Path) -> None:
    found = checked(mixed)
    assert found.faults == []
    notes = "\n".join(one.text for one in found.findings if one.state == "note")
    assert "Set b, spec approved again: uniform-ita6 version 1" in notes
    assert "; 1 more change of specs. " in notes
    assert "Spec uniform-ita6: not approved by anybody" in notes  # a set was made before it was


def test_runs_are_put_together_by_time_then_version_and_keep_their_lines() -> None:
    early, late = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))

    def run(*uses: tuple[int, datetime, int]) -> Any:
        return SimpleNamespace(uses=[SpecUse(n, "s", at, "", {"version": v}) for n, at, v in uses])

    runs = [
        run((5, late, 1), (6, early, 3)),
        run((3, early, 2), (4, early, 1)),
        run((1, early, 1), (2, early, 1)),
    ]
    assert [use.line for _, use in _in_order(runs)] == [1, 2, 3, 4, 5, 6]


def approved_by_another(files: Files) -> None:
    name = "records/first-decisions.csv"
    files[name] = files[name].replace(b"A. Person", b"C. Person")


def edit_left_out(files: Files) -> None:
    name = "records/second-decisions.csv"
    kept = [line for line in files[name].splitlines(keepends=True) if b"spec edited" not in line]
    files[name] = b"".join(kept)


def in_set_c(change: Callable[[dict[str, Any]], object]) -> Changed:
    def forge(files: Files) -> None:
        def edit(record: dict[str, Any]) -> None:
            if record["type"] == "session" and record["session"] == "c":
                change(record["spec"])

        files[RUN] = edited_records(files[RUN], edit)

    return forge


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (approved_by_another, "records/first-decisions.csv was edited"),
        (edit_left_out, "records/second-decisions.csv was edited"),
        (in_set_c(lambda spec: spec.update(approved_hash=EDITED.approved_hash)), "an earlier version of it"),
        (in_set_c(lambda spec: spec.update(why="Other.")), "set c holds another spec than its hash names"),
        (in_set_c(lambda spec: spec.update(approved_by="C. Person")), "decisions.csv was edited"),
    ],
)
def test_a_history_that_was_tampered_with_is_found(
    change: Changed, said: str, mixed: Path, tmp_path: Path
) -> None:
    found = checked(Insider(None).forged(mixed, tmp_path / "forged.zip", change))
    assert said in "\n".join(found.faults)
