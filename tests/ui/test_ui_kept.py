"""What a server that is started anew still knows: runs, their keys, and orders that it never began."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from fairgen.errors import UserError
from fairgen.targets import load_spec
from fairgen.ui.work.audit import begin_audit, checked_plan, left_in
from fairgen.ui.work.engine import Engine
from fairgen.ui.work.job import AuditOrder, Job
from fairgen.ui.work.jobs import STEERED, Services
from fairgen.ui.work.limits import AS_IT_IS, Limits
from fairgen.ui.work.reopen import glance, job_of, sets_of
from fairgen.ui.work.visits import Runs
from fairgen.ui.work.workshop import Workshop

TICKET = "a" * 16 + "b" * 32


def services(folder: Path, *models: str) -> Services:
    """A server's, just started."""
    return Services(Engine(models or ("embedded",)), Runs(folder), Limits(), Workshop(2))


def test_a_run_is_found_by_id_and_key_after_the_server_was_started_anew(tmp_path: Path) -> None:
    run = Runs(tmp_path).claim("ann", "generate", "a <b>nurse</b>", TICKET)
    assert (run.id, run.key) == (TICKET[:16], TICKET[16:])
    again = Runs(tmp_path)
    assert again.get(run.id, None, run.key).folder == run.folder
    assert again.admit(run.id, "bob", run.key) is again.get(run.id, "bob")
    for number, owner, key in (
        (run.id, "ann", None),  # visits end with their server
        (run.id, None, "x"),
        ("../" + run.id[:13], None, run.key),
        (f"{run.id}\n", None, run.key),
        ("c" * 16, None, run.key),
    ):
        with pytest.raises(UserError, match="not yours"):
            again.get(number, owner, key)
    with pytest.raises(UserError, match="on the server already"):
        again.claim("eve", "generate", "x", TICKET)
    assert stat.S_IMODE((run.folder / ".visit.json").stat().st_mode) == 0o600
    assert again.file(run.id, run.key, ".visit.json") is None
    again.delete(again.get(run.id, None, run.key))
    assert not run.folder.exists()
    for runs in (again, Runs(tmp_path)):
        with pytest.raises(UserError, match="not yours"):
            runs.get(run.id, None, run.key)


@pytest.mark.parametrize("ticket", ["x", "../" * 16, 7, ["a" * 48], "a" * 49, "a" * 47 + "/"])
def test_a_ticket_of_a_wrong_form_names_no_run(tmp_path: Path, ticket: Any) -> None:
    runs = Runs(tmp_path)
    try:
        run = runs.claim("ann", "generate", "x", ticket)
    except UserError:
        return
    assert len(run.id) == 16
    assert run.key not in str(ticket)


def test_an_index_that_was_tampered_with_opens_no_other_folder(tmp_path: Path) -> None:
    runs = Runs(tmp_path / "runs")
    run = runs.claim("ann", "generate", "x", TICKET)
    outside = tmp_path / "web-outside"
    outside.mkdir()
    (outside / ".visit.json").write_bytes((run.folder / ".visit.json").read_bytes())
    for name in ("../web-outside", "web-x/../../web-outside", str(outside), "", "web-none"):
        (tmp_path / "runs" / ".index" / run.id).write_text(name)
        with pytest.raises(UserError, match="not yours"):
            Runs(tmp_path / "runs").get(run.id, None, run.key)


def test_a_set_that_a_server_never_began_can_be_continued_by_the_next(tmp_path: Path) -> None:
    before = services(tmp_path)
    job = Job("a nurse", load_spec("uniform-lmd3"), 7, "none", 5, 2, "embedded", 1.0)
    run = before.runs.claim("ann", "generate", job.prompt)
    before.runs.keep(run, job=job.to_json())
    after = services(tmp_path)
    found = after.runs.get(run.id, None, run.key)
    assert job_of(after, found) == job
    live = sets_of(found)[STEERED]
    assert (live.state, live.prompt, live.count, live.places) == ("stopped", "a nurse", 7, 0)
    seen = glance(found.folder)
    assert seen is not None
    assert (seen.title, seen.count, seen.done, seen.audit) == ("a nurse", 7, False, False)
    (found.folder / ".visit.json").write_text('{"job": {"spec": 7}}')
    assert glance(found.folder) is None


def test_an_audit_that_a_server_never_began_can_be_continued_by_the_next(tmp_path: Path) -> None:
    before = services(tmp_path, "embedded")
    prompts = "# [a]\na nurse\na judge | count=3"
    plan = checked_plan(before, "a nurse\na judge", load_spec("uniform-lmd3"), 4, ["none", "prompt"], 9)
    run = begin_audit(before, "ann", AuditOrder(plan, "embedded"), prompts, "uniform-lmd3")
    after = services(tmp_path, "embedded")
    found = after.runs.get(run.id, None, run.key)
    assert left_in(after, found) == AuditOrder(plan, "embedded", AS_IT_IS, None)
    seen = glance(found.folder)
    assert seen is not None
    assert (seen.audit, seen.count, seen.done) == (True, 16, False)
    found.owner = "ann"
    assert after.runs.past("ann") == [found]
    assert plan.prompts[0].ties == 9  # so its odd pictures stay where they were planned


def test_models_are_called_by_their_own_names_alone(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "quick").mkdir(parents=True)
    first, second = tmp_path / "one" / "quick", tmp_path / "two" / "quick"
    engine = Engine((str(first), str(second), "org/model"))
    assert engine.models == ("quick", "quick (2)", "org/model")
    assert engine.default == "quick"
    with pytest.raises(UserError, match="choose one of those that it offers"):
        engine.check_model(str(first))
    assert Engine((str(first),), any_model=True).check_model(str(first)) == "quick"
    with pytest.raises(UserError) as failed:
        engine.load("quick (2)")  # an empty folder
    assert str(tmp_path) not in str(failed.value)
