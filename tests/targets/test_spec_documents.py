"""Spec documents: what is accepted, what is refused and where, loading and saving."""

from __future__ import annotations

import os
import time
from datetime import date
from pathlib import Path

import pytest

from fairgen.errors import UserError
from fairgen.targets import SpecError, dump_spec, load_spec, parse_spec, save_spec, spec_from_shares
from fairgen.targets.strict_yaml import MAX_BYTES
from tests.doubles.spec_documents import MINIMAL


def test_minimal_document_loads_with_defaults() -> None:
    spec = parse_spec(MINIMAL)
    assert spec.target == {"light": 0.2, "medium": 0.3, "dark": 0.5}
    assert (spec.allocation, spec.mapping, spec.citations, spec.approved_by) == ("exact", "", [], None)
    assert spec.declared_on == date(2026, 11, 23)


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("dark: 0.5", "dark: 0.6", 4, r"'target' sums to 1.1 and not to 1"),
        ("dark: 0.5", "dark: 0.500002", 4, r"sums to 1.000002 and not to 1"),
        ("light: 0.2", "light: -0.2", 5, r"'target.light' must be from 0 to 1, not -0.2"),
        ("light: 0.2", "light: .nan", 5, "from 0 to 1, not nan"),
        ("light: 0.2", "light: .inf", 5, "from 0 to 1, not inf"),
        ("light: 0.2", "light: yes", 5, "must be a number from 0 to 1, or a fraction such as 1/6, not True"),
        ("light: 0.2", "light: 1/0", 5, "fraction such as 1/6, not '1/0'"),
        ("light: 0.2", "light: 3/2", 5, "fraction such as 1/6, not '3/2'"),
        ("light: 0.2", "light: " + "9" * 50, 5, "a number longer than 40 characters"),
        ("  light: 0.2\n", "", 4, "has no share for light"),
        ("light: 0.2", "pale: 0.2", 5, "is no class of lmd3, whose classes are light, medium, dark"),
        ("medium: 0.3", "light: 0.3", 6, "the key 'light' is given twice, first on line 5"),
        ("scale: lmd3", "scale: fitzpatrick", 3, "must be 'ita6', 'monk10' or 'lmd3', not 'fitzpatrick'"),
        ("why: a wish", "wyh: a wish", 10, "'wyh' is an unknown key: did you mean 'why'"),
        ("why: a wish\n", "", None, "'why' is missing"),
        ("why: a wish", "why: ' '", 10, "'why' must not be empty"),
        ("name: mine", "name: 'My spec'", 1, "'name' must be of lower-case letters"),
        ("version: 1", "version: 1.5", 2, "'version' must be a valid integer"),
        ("version: 1", "version: yes", 2, "'version' must be a valid integer"),
        ("source: user", "source: uniform", 8, "the shares differ"),
        ("source: user", "source: llm", None, "'elicitation' is given exactly when 'source' is 'llm'"),
        ("declared_on: 2026-11-23", "declared_on: soon", 12, "must be a date such as 2026-11-23"),
        ("declared_on: 2026-11-23", "declared_on: 2026-02-31", 12, "'2026-02-31' is not a valid date"),
        ("why: a wish", "why: &a a wish", 10, "anchors and aliases"),
        ("why: a wish", "why: *a", 10, "anchors and aliases"),
        (
            "why: a wish",
            "why: !!python/name:os.system x",
            10,
            "the tag 'tag:yaml.org,2002:python/name:os.system' is not allowed",
        ),
        ("why: a wish", "why: !x {a: 1}", 10, "the tag '!x' is not allowed"),
        ("why: a wish", "why: [a", 11, "not valid YAML"),
        ("why: a wish", "? [why]\n: x", 10, "a key must be a plain word"),
        ("why: a wish", "why: a\0", 10, "control character"),
        ("why: a wish", 'why: "a\\e[2J"', 10, "'why' holds control characters"),
        ("why: a wish", "why: [a]", 10, "'why' must be text"),
        ("target:\n", "target: 3\nx:\n", 4, "'target' must be a mapping"),
        ("why: a wish", "why: w\nconfidence: {overall: 2}", 11, "'confidence.overall' must be from 0 to 1"),
        ("why: a wish", "why: w\nconfidence:\n  classes: {tan: 1}", 12, "is no class of lmd3"),
        ("why: a wish", "why: w\napproved_on: 2026-11-23", None, "name who approved"),
    ],
)
def test_refusals_name_the_line_and_the_reason(old: str, new: str, line: int | None, reason: str) -> None:
    assert old in MINIMAL
    with pytest.raises(SpecError) as caught:
        parse_spec(MINIMAL.replace(old, new), origin="mine.yaml")
    assert any(problem.line == line for problem in caught.value.problems), caught.value.problems
    assert reason in str(caught.value)
    assert str(caught.value).startswith("mine.yaml, ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "the document is empty"),
        (b"# only a comment\n", "the document is empty"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"hello", "must be a mapping"),
        (b"a: 1\n---\nb: 2\n", "another document"),
        (b"a: b\nc: \xff\xfe", "line 2: not UTF-8"),
        (MINIMAL.encode("utf-16"), "not UTF-8"),
        (b"x" * (MAX_BYTES + 1), "larger than 4 MiB"),
        (b"[" * 5000, "levels deep"),
        (b"a: [" + b"1," * 51_000 + b"]", "more than 50000 values"),
        (b"a: " + b"1:" * 200_000 + b"1", "a number longer than"),
        (b"a: " + b"1" * 1_000_000, "a number longer than"),
        (b"a: " + b"1" * 1_000_000 + b"x", "'name' is missing"),
        (b"a: " + b"1" * 1_000_000 + b"e5", "a number longer than"),
        (
            b"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",  # the start of a billion laughs
            "line 1: anchors and aliases",
        ),
    ],
)
def test_hostile_documents_are_refused_quickly(raw: bytes, reason: str) -> None:
    began = time.process_time()
    with pytest.raises(SpecError, match=reason):
        parse_spec(raw)
    assert time.process_time() - began < 5


def test_every_problem_is_kept_and_the_first_ones_are_named() -> None:
    broken = (
        MINIMAL.replace("light: 0.2", "light: x").replace("why", "wy").replace("version: 1", "version: 0")
    )
    with pytest.raises(SpecError) as caught:
        parse_spec(broken)
    assert len(caught.value.problems) == 4
    assert str(caught.value).endswith("; and 1 more.")


def test_shares_are_never_renormalised() -> None:
    nearly = parse_spec(MINIMAL.replace("dark: 0.5", "dark: 0.5000009"))
    assert nearly.target["dark"] == 0.5000009


def test_fractions_and_json_are_read() -> None:
    thirds = MINIMAL
    for share in ("0.2", "0.3", "0.5"):
        thirds = thirds.replace(f": {share}", ": 1/3")
    assert set(parse_spec(thirds).target.values()) == {1 / 3}
    spec = parse_spec(MINIMAL)
    assert parse_spec(spec.model_dump_json()) == spec


def test_target_takes_the_order_of_the_scale() -> None:
    turned = MINIMAL.replace("  light: 0.2\n", "").replace("source:", "  light: 0.2\nsource:")
    assert list(parse_spec(turned).target) == ["light", "medium", "dark"]
    assert parse_spec(turned).content_hash() == parse_spec(MINIMAL).content_hash()


@pytest.mark.parametrize("text", ["a\u2028b", "a\n\u2029b", "a\n b", "x" * 90 + "\u2028y"])
def test_unusual_line_breaks_survive(text: str) -> None:
    spec = load_spec("uniform").model_copy(update={"about": text})
    assert parse_spec(dump_spec(spec)).about == text


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unifrom", r"did you mean uniform\?"),
        ("nowhere.yaml", "no spec or file 'nowhere.yaml'"),
        ("", "no spec or file ''"),
        ("a\0b", "no spec or file|cannot be read"),
        ("x" * 5000, "cannot be read: File name too long"),
        (".", "is not a file"),
        ("/dev/zero", "is not a file"),
    ],
)
def test_what_is_no_spec_is_refused_in_one_sentence(name: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        load_spec(name)
    assert "\n" not in str(caught.value)


def test_save_and_load_by_path(tmp_path: Path) -> None:
    spec = parse_spec(MINIMAL)
    path = tmp_path / "mine.yaml"
    path.write_text("old", encoding="utf-8")
    save_spec(spec, path)
    assert load_spec(path) == load_spec(str(path)) == spec
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.yaml"]
    with pytest.raises(UserError, match="cannot be written"):
        save_spec(spec, tmp_path / "nowhere" / "mine.yaml")
    with pytest.raises(UserError, match="cannot be written"):
        save_spec(spec, tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_device_or_pipe_is_never_replaced_by_a_spec(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(UserError, match="it is no file"):
            save_spec(parse_spec(MINIMAL), tmp_path / name)
    assert (tmp_path / "pipe").is_fifo()


def test_an_unreadable_line_in_a_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert load_spec(path) == parse_spec(MINIMAL)
    path.write_bytes(path.read_bytes().replace(b"0.3", b"0.4"))
    with pytest.raises(SpecError, match=r"windows.yaml, line 4: 'target' sums to 1.1"):
        load_spec(path)


def test_spec_from_shares() -> None:
    spec = spec_from_shares(" light=1/4, medium=.25,dark=0.5,", scale="lmd3", declared_on=date(2026, 11, 23))
    assert spec.target == {"light": 0.25, "medium": 0.25, "dark": 0.5}
    assert (spec.source, spec.name, spec.declared_on) == ("user", "by-hand", date(2026, 11, 23))
    assert parse_spec(dump_spec(spec)) == spec


@pytest.mark.parametrize(
    ("shares", "scale", "reason"),
    [
        ("", "lmd3", "has no share for light, medium, dark"),
        ("light", "lmd3", "'light' is not of the form class=share"),
        ("light=.5,light=.5", "lmd3", "'target.light' is given twice"),
        ("light=.5,medium=.5,dark=a", "lmd3", "or a fraction such as 1/6, not 'a'"),
        ("light=.5,medium=.5,dark=nan", "lmd3", "from 0 to 1, not nan"),
        ("light=.5,medium=.5,dark=.5", "lmd3", "sums to 1.5"),
        ("light=1", "ita7", "'scale' must be 'ita6'"),
    ],
)
def test_spec_from_shares_refuses(shares: str, scale: str, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        spec_from_shares(shares, scale=scale)
