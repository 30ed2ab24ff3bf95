"""``fairgen spec list``, ``show``, ``check`` and ``approve``, and what other commands say of an approval."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from PIL import Image

from fairgen import cli
from fairgen.common.text import visible
from fairgen.targets import FairnessSpec, dump_spec, load_spec, parse_spec, save_spec
from tests.doubles.spec_documents import CITATION, MINIMAL, WITH_CONTEXTS, documents

DAY = date(2026, 11, 24)
SIGNED = dump_spec(parse_spec(MINIMAL).approved("A. Person", DAY))
VOID = SIGNED.replace("a wish", "a whim")


def _file(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def _run(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    assert cli.run(args) == code
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return err if code == 2 else out


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def test_list_names_approval_and_templates(capsys: pytest.CaptureFixture[str]) -> None:
    out = _run(capsys, "spec", "list")
    assert "by-hand-example" in out
    assert "unapproved" in out
    assert "templates" in out.splitlines()[-1]


def test_show_is_for_people(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = _run(capsys, "spec", "show", _file(tmp_path, WITH_CONTEXTS))
    assert "Default target, for every other prompt" in out
    assert "Context 2 of 2" in out
    assert "a * worker" in out
    assert "seen too rarely" in out
    assert "100.0 %" in out
    assert "Not approved by anybody" in out
    bars = [line.count("█") for line in out.splitlines() if "%" in line]
    assert bars[0] < bars[1] < bars[2] < bars[-1], "bars grow with their shares"


def test_show_has_the_evidence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fields = documents()["asked"]
    fields["citations"] = [{**CITATION, "checked": "not_found", "checked_at": "2026-11-25T10:00:00Z"}]
    fields["confidence"] = {"overall": 0.7, "classes": {"dark": 0.25}}
    path = tmp_path / "mine.yaml"
    save_spec(FairnessSpec.model_validate(fields), path)
    out = _run(capsys, "spec", "show", str(path))
    for part in (
        "not found (2026-11-25)",
        "“half of them”",
        "https://example.org/a",
        "a-model on 2026-11-23",
    ):
        assert part in out
    for part in ("2 replies kept, agreement 0.50", "0.70 overall", "confidence 0.25"):
        assert part in out


def test_a_narrow_terminal_leaves_the_hash_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    lines = _run(capsys, "spec", "show", "uniform").splitlines()
    assert load_spec("uniform").content_hash() in lines[-1]
    assert max(map(len, lines[1:-1])) <= 50, "all else is wrapped"


def test_show_hides_nothing_and_obeys_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    hostile = "[red]x[/red] \u202egnp.exe\u202c z\u200bw \ufeff no\u00a0break [link=http://x]y[/link]"
    path = tmp_path / "mine.yaml"
    spec = parse_spec(MINIMAL).model_copy(update={"why": hostile, "declared_by": hostile})
    save_spec(spec, path)
    out = _run(capsys, "spec", "show", str(path))
    assert "[red]x[/red] <U+202E>gnp.exe<U+202C> z<U+200B>w <U+FEFF> no break [link=http://x]y[/link]" in out
    assert not set(out) & set("\u202e\u202c\u200b\ufeff\x1b")


def test_show_as_yaml_and_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = _file(tmp_path, SIGNED)
    assert _run(capsys, "spec", "show", path, "--yaml") == SIGNED
    shown = json.loads(_run(capsys, "spec", "show", path, "--json"))
    assert (shown["approval"], shown["hash"]) == ("approved", shown["approved_hash"])
    assert "give one of them" in _run(capsys, "spec", "show", path, "--yaml", "--json", code=2)


def test_check_tells_the_states_apart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "sound; mine version 1, lmd3, not approved" in _run(
        capsys, "spec", "check", _file(tmp_path, MINIMAL)
    )
    assert "2 contexts" in _run(capsys, "spec", "check", _file(tmp_path, WITH_CONTEXTS))
    assert "approved by A. Person on 2026-11-24" in _run(capsys, "spec", "check", _file(tmp_path, SIGNED))
    out = _run(capsys, "spec", "check", _file(tmp_path, VOID), "uniform", code=3)
    assert "mine.yaml: VOID; mine version 1, lmd3, approval void: changed after A. Person" in out
    assert "uniform: sound" in out, "the others are checked too"


def test_approve_signs_and_says_what_it_replaces(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = _file(tmp_path, "# mine\n" + VOID)
    out = _run(capsys, "spec", "approve", path, "--by", "B. Person", "--on", "2026-12-01")
    assert "mine version 1 approved by B. Person on 2026-12-01, sha256:" in out
    assert "This replaces what stood there: approval void: changed after A. Person approved it" in out
    spec = load_spec(path)
    assert (spec.approval, spec.approved_by, spec.approved_on) == ("approved", "B. Person", date(2026, 12, 1))
    assert Path(path).read_text().startswith("# mine\n")
    again = _run(capsys, "spec", "approve", path, "--by", "C. Person")
    assert "This replaces what stood there: approved by B. Person on 2026-12-01." in again
    assert load_spec(path).approved_on == date.today()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["uniform", "--by", "me"], "copy it first"),
        (["mine.yaml"], "Missing option '--by'"),
        (["mine.yaml", "--by", " "], "is no name"),
        (["mine.yaml", "--by", "a\x1bb"], "is no name (holds control characters"),
        (["mine.yaml", "--by", "me", "--on", "tomorrow"], "--on 'tomorrow' is no date: write it as"),
        (["nowhere.yaml", "--by", "me"], "no spec or file"),
        ([".", "--by", "me"], "is not a file"),
    ],
)
def test_approve_refuses(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    says: str,
) -> None:
    _file(tmp_path, MINIMAL)
    monkeypatch.chdir(tmp_path)
    err = _run(capsys, "spec", "approve", *args, code=2)
    assert says in err
    assert len(err.strip().splitlines()) == 1
    assert Path("mine.yaml").read_text() == MINIMAL


def test_commands_that_use_a_void_spec_say_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "#bb8866").save(tmp_path / "plain.png")
    for text, warned in ((VOID, True), (SIGNED, False)):
        assert cli.run(["verify", str(tmp_path), "--spec", _file(tmp_path, text), "--json"]) == 0
        out, err = capsys.readouterr()
        assert ("mine: approval void: changed after A. Person approved it on 2026-11-24" in err) == warned
        assert json.loads(out)["approval"] == ("void" if warned else "approved")


def test_verify_takes_the_target_of_the_prompt(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "#bb8866").save(tmp_path / "plain.png")
    args = ["verify", str(tmp_path), "--spec", _file(tmp_path, WITH_CONTEXTS), "--out", str(tmp_path / "out")]
    assert "no prompt was given, so its default target was used" in _run(capsys, *args)
    args += ["--force", "--prompt", "A farm worker"]
    found = json.loads(_run(capsys, *args, "--json"))
    assert found["prompt"] == "A farm worker"
    assert found["target"] == {"light": 0.0, "medium": 0.0, "dark": 1.0}
    assert found["notes"] == ["The spec mine was declared by me; nobody has signed its approval."]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "context 2 of 2" in page
    assert "not approved by anybody" in page


def test_visible_text() -> None:
    assert visible("a\tb\nc\u200dd\U000e0041") == "a b\nc<U+200D>d<U+E0041>"
