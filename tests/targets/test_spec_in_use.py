"""What sessions, summaries and reports do with a spec of many contexts, and say of its approval."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from fairgen.loop.events import Finished, Started
from fairgen.loop.session import run_session
from fairgen.report.declaration import declaration
from fairgen.report.load import reports_of
from fairgen.report.verified import verification_report
from fairgen.runs import Summary, read_run
from fairgen.scoring.verify import Verification
from fairgen.targets import FairnessSpec, dump_spec, parse_spec
from tests.doubles.fake_run import write_fake_run
from tests.doubles.session_doubles import ConfusedGenerator, InfoReader
from tests.doubles.spec_documents import MINIMAL, WITH_CONTEXTS

MANY = parse_spec(WITH_CONTEXTS)
SIGNED = MANY.approved("A. Person", date(2026, 11, 24))
VOID = parse_spec(dump_spec(SIGNED).replace("seen too rarely", "seen too often"))
PROMPTS = [
    ("A  Nurse", 0, {"light": 6, "medium": 3, "dark": 3}),
    ("a steel worker", 1, {"light": 0, "medium": 0, "dark": 12}),
    ("a portrait of a judge", None, {"light": 2, "medium": 4, "dark": 6}),
]


def _session(prompt: str, spec: FairnessSpec, out: Path | None = None) -> tuple[Started, Summary]:
    events = list(run_session(ConfusedGenerator(), InfoReader(), prompt, spec, 12, out_dir=out))
    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    return events[0], events[-1].summary


@pytest.mark.parametrize(("prompt", "context", "requested"), PROMPTS)
def test_a_session_steers_to_the_target_of_its_prompt(
    prompt: str, context: int | None, requested: dict[str, int]
) -> None:
    started, summary = _session(prompt, MANY)
    record = started.session
    assert record.context == context
    assert record.target == summary.target == MANY.target_for(prompt)
    assert record.requested == requested
    assert record.spec_hash == summary.spec_hash == MANY.content_hash()
    assert record.spec == MANY.model_dump(mode="json"), "the whole document"
    fell_back = (
        "The spec mine has 2 contexts; none of them names this prompt, so its default target was used."
    )
    assert (fell_back in summary.notes) == (context is None)


def test_a_spec_of_one_target_needs_no_note() -> None:
    started, summary = _session("a judge", parse_spec(MINIMAL))
    assert started.session.context is None
    assert not any("contexts" in note for note in summary.notes)


@pytest.mark.parametrize(
    ("spec", "state", "words"),
    [
        (MANY, "unapproved", "not approved by anybody"),
        (SIGNED, "approved", "approved by A. Person on 2026-11-24"),
        (VOID, "void", "approval void: changed after A. Person approved it on 2026-11-24"),
    ],
)
def test_summary_and_report_say_who_approved(
    tmp_path: Path, spec: FairnessSpec, state: str, words: str
) -> None:
    _, summary = _session("a nurse", spec, tmp_path / "run")
    assert summary.approval == state
    nobody = "The spec mine was declared by me; nobody has signed its approval."
    note = nobody if state == "unapproved" else f"The spec mine: {words}."
    assert summary.notes[-1] == note
    (report,) = reports_of(read_run(tmp_path / "run"), str)
    rows = dict(report.provenance)
    assert rows["Approval"] == words
    assert rows["Target for"] == "“a nurse”, “a doctor” (context 1 of 2)"
    assert (rows["Why that target"], rows["Target is about"]) == (spec.contexts[0].why, "a shop")
    assert report.notes[-1] == note
    order = [name for name, _ in report.provenance]
    assert order.index("Approval") == order.index("Declared by") + 1

    verified = verification_report(Verification(spec, (), prompt="a nurse"), str)
    assert dict(verified.provenance)["Approval"] == words
    assert verified.target == spec.target_for("a nurse")


def test_the_default_target_is_named_as_such() -> None:
    rows = dict(declaration(MANY.model_dump(mode="json"), MANY.content_hash(), None))
    assert rows["Target for"] == "any prompt that none of the spec's 2 contexts names (the default target)"
    assert rows["Why that target"] == "a wish"
    assert dict(declaration(parse_spec(MINIMAL).model_dump(mode="json"), "", None))["Target for"] == ""


def test_many_prompts_of_a_context_are_counted() -> None:
    spec = parse_spec(WITH_CONTEXTS.replace("[a nurse, a doctor]", "[a, b, c, d, e]"))
    rows = dict(declaration(spec.model_dump(mode="json"), spec.content_hash(), 0))
    assert rows["Target for"] == "“a”, “b”, “c” and 2 more (context 1 of 2)"


def test_runs_of_before_have_a_report_still(tmp_path: Path) -> None:
    """Their records hold neither a context nor all fields of a spec."""
    (report,) = reports_of(read_run(write_fake_run(tmp_path / "run", arms=("none",))), str)
    rows = dict(report.provenance)
    assert rows["Approval"] == "not approved by anybody"
    assert "Target for" not in rows
