"""Signing: what the hash covers, when an approval is void, and how a file is signed in place."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fairgen.common.resources import specs_dir
from fairgen.errors import UserError
from fairgen.targets import FairnessSpec, SpecError, dump_spec, load_spec, parse_spec
from fairgen.targets.signing import approve_file, signed_text
from tests.doubles.spec_documents import CITATION, MINIMAL, WITH_CONTEXTS, documents, specs

DAY = date(2026, 11, 24)


def test_content_hash_follows_the_content_and_not_the_signature() -> None:
    spec = parse_spec(MINIMAL)
    assert spec.content_hash() == (
        "sha256:" + "ef28b6e7bfe8de3d540f619b22d5f09bdd8d9a53d2b03cd2a8e65bfa0f8bdde6"
    )
    asked = parse_spec(json.dumps(documents()["asked"]))  # as before there were contexts and checks
    assert asked.content_hash() == (
        "sha256:" + "8592852378969e6b2328fbec93049610945b804aa30408df79869881d6436aef"
    )
    assert parse_spec("# a comment\n" + MINIMAL).content_hash() == spec.content_hash()
    assert parse_spec(MINIMAL.replace("0.2", "1/5")).content_hash() == spec.content_hash()
    assert parse_spec(MINIMAL.replace("a wish", "a whim")).content_hash() != spec.content_hash()
    signed = spec.approved("A. Person", date(2026, 11, 24))
    assert signed.content_hash() == spec.content_hash() == signed.approved_hash


def test_a_signature_does_not_survive_a_change() -> None:
    text = dump_spec(parse_spec(MINIMAL).approved("A. Person", date(2026, 11, 24)))
    assert parse_spec(text).approval == "approved"
    assert parse_spec(text).approval_text == "approved by A. Person on 2026-11-24"
    changed = parse_spec(text.replace("a wish", "a whim"))
    assert changed.approval == "void"
    assert changed.approval_text == "approval void: changed after A. Person approved it on 2026-11-24"
    with pytest.raises(ValidationError, match="must not be empty"):
        parse_spec(MINIMAL).approved(" ", date(2026, 11, 24))


def test_contexts_are_content_and_their_absence_is_not() -> None:
    plain, several = parse_spec(MINIMAL), parse_spec(WITH_CONTEXTS)
    assert parse_spec(MINIMAL + "contexts: []\n").content_hash() == plain.content_hash()
    assert several.content_hash() != plain.content_hash()
    moved = WITH_CONTEXTS.replace("light: 1/2, medium: 1/4", "light: 1/4, medium: 1/2")
    assert parse_spec(moved).content_hash() != several.content_hash()
    signed = dump_spec(several.approved("A. Person", DAY))
    assert parse_spec(signed.replace("seen too rarely", "seen too often")).approval == "void"


def test_a_citation_that_is_checked_again_voids_nothing() -> None:
    signed = FairnessSpec.model_validate(documents()["asked"]).approved("A. Person", DAY)
    fields = signed.model_dump()
    checked = {**CITATION, "checked": "found", "checked_at": datetime(2026, 12, 1, tzinfo=UTC)}
    assert FairnessSpec.model_validate(fields | {"citations": [checked]}).approval == "approved"
    other = {**CITATION, "quote": "a third of them"}
    assert FairnessSpec.model_validate(fields | {"citations": [other]}).approval == "void"


@pytest.mark.parametrize(
    ("lines", "state", "words"),
    [
        ("", "unapproved", "not approved by anybody"),
        ("approved_by: null\n", "unapproved", "not approved by anybody"),
        ("approved_by: Jane\n", "void", "approval void: Jane is named, but no hash says what was approved"),
        (
            f"approved_by: Jane\napproved_hash: sha256:{'0' * 64}\n",
            "void",
            "approval void: changed after Jane approved it",
        ),
    ],
)
def test_states_in_words(lines: str, state: str, words: str) -> None:
    spec = parse_spec(MINIMAL + lines)
    assert (spec.approval, spec.approval_text) == (state, words)


def test_a_hash_that_is_none_is_refused() -> None:
    with pytest.raises(SpecError, match=r"line 14: 'approved_hash' must be 'sha256:'"):
        parse_spec(MINIMAL + "approved_by: Jane\napproved_hash: yes please\n")


LAYOUTS = {
    "no approval lines": MINIMAL,
    "no line break at the end": MINIMAL.rstrip("\n"),
    "an empty line to sign": MINIMAL + "approved_by:   # here\n# the end\n",
    "a null to sign": MINIMAL.replace("scale:", "approved_by: null  # here\nscale:"),
    "signed by somebody else": MINIMAL
    + f"approved_by: >-\n  Jane\n  Doe\napproved_hash: sha256:{'0' * 64}\n",
    "ends with a block of text": MINIMAL + "mapping: |\n  none\n\n\n# the end\n",
    "ends with a list": MINIMAL + "citations:\n- title: t\n  claim: c  # why\n",
    "contexts last": WITH_CONTEXTS,
    "carriage returns": MINIMAL.replace("\n", "\r\n"),
    "a byte order mark": "\ufeff" + MINIMAL,
    "indented": "".join(f"  {line}\n" for line in MINIMAL.splitlines()),
    "document markers": f"---\n{MINIMAL}...\n",
    "beyond the plane": "# \U0001f600 first\n" + MINIMAL.replace("a wish", "a wish \U0001f600"),
    "quoted keys": MINIMAL + '"approved_by": null\n',
}


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
def test_signing_changes_the_approval_and_nothing_else(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode())
    before, after = approve_file(path, 'José \U0001f600 "O\'Neil": #1', DAY)
    new = path.read_bytes().decode()
    assert load_spec(path) == after
    assert after.approval == "approved"
    assert after.content_hash() == before.content_hash()
    kept = [
        line for line in text.splitlines() if "approved" not in line and line.strip() not in ("Jane", "Doe")
    ]
    rest = [line for line in new.splitlines() if "approved_" not in line]
    assert rest == kept
    assert ("\r\n" in new) == ("\r\n" in text)
    assert "# here" in new or "# here" not in text
    assert path.read_text(encoding="utf-8").count("approved_by") == 1


@given(specs(), st.text("aZ é'\":#\\\u2028\u202e\U0001f600-", min_size=1, max_size=40).filter(str.strip))
@settings(max_examples=60, deadline=None)
def test_any_sound_document_can_be_signed_by_anybody(spec: FairnessSpec, name: str) -> None:
    signed = spec.approved(name, DAY)
    assert parse_spec(signed_text(dump_spec(spec), signed)) == signed


def test_json_is_signed_as_json(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(parse_spec(MINIMAL).model_dump_json())
    approve_file(path, "Jane", DAY)
    assert path.read_text().startswith("{\n")
    assert load_spec(path).approval_text == "approved by Jane on 2026-11-24"


def test_a_layout_without_a_place_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    flow = "{name: mine, version: 1, scale: lmd3, target: {light: 1, medium: 0, dark: 0}, source: user,"
    path.write_text(f"{flow} about: a, why: b, declared_by: c, declared_on: 2026-11-23}}\n")
    before = path.read_bytes()
    with pytest.raises(UserError, match="write every key of the document on a line of its own"):
        approve_file(path, "Jane", DAY)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "name", ["uniform", "by-hand-example", specs_dir() / "templates" / "many-contexts.yaml"]
)
def test_what_ships_is_nobodys_to_sign(name: str | Path) -> None:
    with pytest.raises(UserError, match=r"copy it first .*--yaml > mine.yaml"):
        approve_file(name, "Jane", DAY)


def test_a_link_and_its_mode_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_text(MINIMAL)
    real.chmod(0o640)
    link.symlink_to(real)
    approve_file(link, "Jane", DAY)
    assert link.is_symlink()
    assert load_spec(real).approved_by == "Jane"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_file_stays_whole_when_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MINIMAL)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("fairgen.targets.document.os.replace", full)
    with pytest.raises(UserError, match=r"cannot be written to .*: No space left"):
        approve_file(path, "Jane", DAY)
    assert path.read_text() == MINIMAL
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.yaml"]
    for name in (" ", "Jane\napproved by Mallory"):
        with pytest.raises(UserError, match="is no name"):
            approve_file(path, name, DAY)
