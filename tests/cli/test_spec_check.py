"""``fairgen spec check --citations``: nothing without leave, a table of states, and files that keep them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from fairgen import cli
from fairgen.errors import UserError
from fairgen.targets import FairnessSpec, citations, load_spec, parse_spec, save_spec
from fairgen.targets.checked import all_citations, save_checked, with_citations
from tests.doubles.web_server import WebServer, page, web_server

DOCUMENT = """\
# who wrote this, and why
name: cited
version: 3
scale: lmd3
target: {{light: 0.2, medium: 0.3, dark: 0.5}}
source: user
citations:   # the sources
  - title: A report   # first
    url: {url}/
    quote: >-
      twelve per cent of the nurses
      were born abroad
    claim: a share
    checked: unchecked   # by nobody yet
  - title: A book
    claim: |
      something else

about: a shop
why: a wish
declared_by: me
declared_on: 2026-11-23
contexts:
  - prompts: [a nurse]
    target: {{light: 0, medium: 0, dark: 1}}
    citations:
      - title: A page that is gone
        url: {url}/gone
        quote: thirteen per cent of the nurses were born abroad
        claim: a share
        checked: found
        checked_at: 2020-01-01T00:00:00Z
"""
HTML = "<p>Twelve per cent of the <b>nurses</b> were born abroad.</p>"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """A web server, and the checker's rule for addresses loosened for it alone."""
    with web_server({"/": page(HTML)}) as running:
        loose = citations.Fetcher(refuse=running.refuse)
        monkeypatch.setattr(citations.check, "Fetcher", lambda: loose)
        yield running


@pytest.fixture
def file(server: WebServer, tmp_path: Path) -> Path:
    path = tmp_path / "cited.yaml"
    path.write_text(DOCUMENT.format(url=server.url("").rstrip("/")), encoding="utf-8")
    return path


def test_a_plain_check_asks_no_server(
    server: WebServer, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file.read_bytes()
    assert cli.run(["spec", "check", str(file)]) == 0
    assert "sound; cited version 3" in capsys.readouterr().out
    assert server.requests == []
    assert file.read_bytes() == before


def test_a_check_of_citations_says_whom_it_asks_and_what_came_out(
    server: WebServer, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    before = file.read_bytes()
    assert cli.run(["spec", "check", str(file), "uniform", "--citations"]) == 0
    out, err = capsys.readouterr()
    assert "Fetching 2 pages from 127.0.0.1 (2)" in err
    lines = {line.strip() for line in out.splitlines()}
    rows = {line.split("  ")[0]: line for line in lines}
    assert "found" in rows["A report"]
    assert "the page holds the quote" in rows["A report"]
    assert "not checked: it gives no web address" in rows["A book"]
    assert "not found" in rows["A page that is gone"]
    assert "no such page (HTTP 404)" in rows["A page that is gone"]
    assert "1 found, 1 unchecked, 1 not found" in lines
    assert "uniform cites nothing." in lines
    assert server.paths == ["/", "/gone"]
    assert file.read_bytes() == before


def test_written_states_leave_comments_and_approval_as_they_are(server: WebServer, file: Path) -> None:
    assert cli.run(["spec", "approve", str(file), "--by", "A. Person"]) == 0
    before = file.read_text(encoding="utf-8").splitlines()
    assert cli.run(["spec", "check", str(file), "--citations", "--write"]) == 0
    spec = load_spec(file)
    assert [c.checked for c in all_citations(spec)] == ["found", "unchecked", "not_found"]
    assert spec.approval == "approved"
    after = file.read_text(encoding="utf-8").splitlines()
    changed = [line.strip() for line in after if line not in before]
    assert changed[0] == "checked: found   # by nobody yet"
    assert changed[1].startswith('checked_at: "2')
    assert "checked: not_found" in changed
    assert len(changed) <= 6
    assert set(before) - set(after) <= {line for line in before if "checked" in line}
    assert cli.run(["spec", "check", str(file), "--citations", "--write"]) == 0
    assert [c.checked for c in all_citations(load_spec(file))] == ["found", "unchecked", "not_found"]


def test_json_stays_json_and_braces_are_written_anew(
    server: WebServer, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_json = tmp_path / "cited.json"
    as_json.write_text(load_spec(file).model_dump_json(), encoding="utf-8")
    braces = tmp_path / "braces.yaml"
    text = file.read_text(encoding="utf-8")
    start, end = text.index("citations:"), text.index("about:")
    cited = f'{{title: A, claim: b, url: "{server.url("/")}", quote: twelve per cent of the nurses}}'
    braces.write_text(text[:start] + f"citations: [{cited}]\n" + text[end:], encoding="utf-8")
    assert cli.run(["spec", "check", str(as_json), str(braces), "--citations", "--write"]) == 0
    assert json.loads(as_json.read_text(encoding="utf-8"))["citations"][0]["checked"] == "found"
    assert load_spec(braces).citations[0].checked == "found"
    out = capsys.readouterr().out
    assert out.count("its comments are lost") == 1
    assert [entry.name for entry in sorted(tmp_path.iterdir())] == ["braces.yaml", "cited.json", "cited.yaml"]


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["FILE", "--write"], "add --citations"),
        (["uniform", "--citations", "--write"], "uniform-ita6 ships with fairgen and is not written over"),
        (["nowhere.yaml", "--citations", "--write"], "no spec or file"),
    ],
)
def test_refusals_come_before_anything_is_fetched(
    server: WebServer, file: Path, capsys: pytest.CaptureFixture[str], args: list[str], reason: str
) -> None:
    assert cli.run(["spec", "check", *(arg.replace("FILE", str(file)) for arg in args)]) == 2
    assert reason in capsys.readouterr().err
    assert server.requests == []


def test_a_void_approval_ends_with_code_3_after_all_was_checked(server: WebServer, file: Path) -> None:
    assert cli.run(["spec", "approve", str(file), "--by", "A. Person"]) == 0
    file.write_text(file.read_text(encoding="utf-8").replace("a wish", "a whim"), encoding="utf-8")
    assert cli.run(["spec", "check", str(file), "--citations"]) == 3
    assert server.paths == ["/", "/gone"]


def test_ctrl_c_keeps_nothing(
    server: WebServer, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(citations, "judge_citations", interrupt)
    before = file.read_bytes()
    assert cli.run(["spec", "check", str(file), "--citations", "--write"]) == 130
    assert "nothing was kept" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_a_file_that_changed_in_between_is_not_written(server: WebServer, file: Path) -> None:
    spec = load_spec(file)
    checked = with_citations(spec, citations.check_citations(all_citations(spec)))
    changed = parse_spec(file.read_bytes()).model_copy(update={"why": "another wish"})
    save_spec(changed, file)
    with pytest.raises(UserError, match="was changed while its citations were checked"):
        save_checked(checked, file)
    assert load_spec(file) == changed


def test_check_states_are_no_part_of_what_is_signed(server: WebServer, file: Path) -> None:
    spec: FairnessSpec = load_spec(file).approved("A. Person", date(2026, 11, 24))
    checked = with_citations(spec, citations.check_citations(all_citations(spec)))
    assert checked != spec
    assert checked.content_hash() == spec.content_hash()
    assert checked.approval == "approved"
