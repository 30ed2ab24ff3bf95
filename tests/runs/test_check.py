"""Damage to a run is found and named, or harmless; what is broken is moved aside, and made again."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairgen import cli
from fairgen.audit.plan import plan_of
from fairgen.audit.runner import Audit, look_back
from fairgen.errors import UserError
from fairgen.report.images import MISSING
from fairgen.runs import RUN_FILE, RunCheck, RunWriter, SessionRun, check_run, read_run, repair_run
from fairgen.runs.chain import unchained
from tests.doubles.mutations import mutate
from tests.doubles.session_doubles import InfoReader, files_of, unlinked
from tests.doubles.worker_doubles import BATCH, RUN, model, plan

OLD = Path(__file__).resolve().parents[1] / "fixtures" / "run_0_1"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished audit of three blocks, made in the folder above it."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for _ in Audit(plan(folder), model(), InfoReader(), RUN, batch_size=BATCH).run():
            pass
    return folder / RUN


@pytest.fixture
def run(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in the working directory."""
    shutil.copytree(whole, tmp_path / RUN)
    monkeypatch.chdir(tmp_path)
    return RUN


def go_on(run: Path) -> None:
    left = look_back(run)
    for _ in Audit(plan_of(left.audit), model(), InfoReader(), run, batch_size=BATCH, left=left).run():
        pass


def content(run: Path) -> tuple[Any, dict[str, str]]:
    """What a run says, whatever the order of its sessions, and its pictures."""
    for aside in run.glob("broken-*"):
        aside.rename(run.absolute().parent / f"{aside.name} of {len(list(Path().glob('broken-*')))}")
    files = files_of(run)
    del files[RUN_FILE]
    found = read_run(run)
    assert found.audit is not None
    return [found.audit.prompts, {name: timeless(one) for name, one in found.sessions.items()}], files


def timeless(session: SessionRun) -> list[Any]:
    records = [session.record, *session.pictures, *session.fills, session.summary]
    return [r.model_dump(exclude={"started_at", "seconds"}) for r in records if r is not None]


def edit(run: Path, change: Callable[[list[bytes]], object], *, linked: bool = True) -> None:
    """Change the lines of a run file; without their links only the records can tell."""
    data = (run / RUN_FILE).read_bytes() if linked else unlinked(run / RUN_FILE)
    lines = data.splitlines(keepends=True)
    change(lines)
    (run / RUN_FILE).write_bytes(b"".join(lines))


def texts(found: RunCheck) -> str:
    return "\n".join(fault.text for fault in found.faults)


def place(lines: list[bytes], *words: bytes) -> int:
    return next(k for k, line in enumerate(lines) if all(word in line for word in words))


def test_a_sound_run_has_no_fault(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["run", "check", "run"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    assert repair_run(run) is None
    assert not Path("run/broken-1").exists()


@pytest.mark.parametrize("folder", ["whole", "stopped", "generate"])
def test_an_old_run_has_no_fault(folder: str) -> None:
    assert check_run(OLD / folder).faults == []


# Each contradiction, where no link between lines tells ---------------------------------------------------


def drop(*words: bytes) -> Callable[[list[bytes]], object]:
    return lambda lines: lines.pop(place(lines, *words))


def double(*words: bytes) -> Callable[[list[bytes]], object]:
    return lambda lines: lines.insert(place(lines, *words) + 1, lines[place(lines, *words)])


def replace(old: bytes, new: bytes, *words: bytes) -> Callable[[list[bytes]], object]:
    def change(lines: list[bytes]) -> None:
        at = place(lines, old, *words)
        lines[at] = lines[at].replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop(b'"index":1,'), "where picture 1 follows"),
        (double(b'"index":1,'), "is picture 1 of session '01-a-doctor.none', where picture 2 follows"),
        (drop(b'"index":4,'), "counts 5 pictures of session '01-a-doctor.none' as generated"),
        (double(b'"type":"session"'), "opens session '01-a-doctor.none' a second time"),
        (drop(b'"type":"session"'), "which the file does not open"),
        (double(b'"type":"summary"'), "after its summary"),
        (lambda lines: lines.insert(5, lines[0]), "line 6 begins a run file once more"),
        (lambda lines: lines.insert(5, lines[1]), "line 6 is an audit's record, which belongs into line 2"),
        (lambda lines: lines.pop(0), "line 1 is not the run record"),
        (replace(b'"index":2,', b'"index":7,'), "is picture 7"),
        (replace(b'"slot":2,', b'"slot":3,'), "attempt"),
        (replace(b'"decision":"kept"', b'"decision":"abstained"'), "was read and that it was not"),
        (replace(b'"generated":5', b'"generated":6'), "counts 6 pictures"),
        (replace(b'"count":5', b'"count":4', b'"type":"session"'), "asks for 5 pictures by class and 4"),
        (replace(b"01-a-doctor.none", b"01-a-doctor.nine", b'"session"'), "is no part of the audit"),
        (replace(b'"prompt":"a doctor"', b'"prompt":"a dogtor"', b'"type":"session"'), "otherwise than"),
        (replace(b'"prompt":"a doctor"', b'"prompt":"a dogtor"', b'"type":"summary"'), "another prompt"),
    ],
)
def test_a_contradiction_is_found_and_its_line_named(
    run: Path, change: Callable[[list[bytes]], object], said: str
) -> None:
    edit(run, change, linked=False)
    assert said in texts(check_run(run))
    with pytest.raises(UserError, match=r"run.jsonl, line \d+ .*fairgen run check run"):
        read_run(run)


def test_a_changed_reading_is_found_in_old_files_too(run: Path) -> None:
    edit(run, replace(b'"measured":"', b'"measured":"brown","x":"'), linked=False)
    assert "no record that this version of fairgen reads" in texts(check_run(run))


def test_a_class_that_its_reading_does_not_give_is_found(run: Path) -> None:
    def change(lines: list[bytes]) -> None:
        at = place(lines, b'"index":0,')
        record = json.loads(lines[at])
        record["measured"] = next(c for c in ("dark", "light") if c != record["measured"])
        lines[at] = json.dumps(record).encode() + b"\n"

    edit(run, change, linked=False)
    assert "another class than its own reading" in texts(check_run(run))


def test_any_change_breaks_the_links(run: Path) -> None:
    """A number that nothing else contradicts."""
    lines = (run / RUN_FILE).read_bytes().splitlines()
    edit(run, replace(b'"ita":', b'"ita":1'))
    found = check_run(run)
    assert [fault.line for fault in found.faults] == [1 + place(lines, b'"ita":')]
    assert "does not follow from the line before it" in texts(found)


def test_an_old_run_goes_on_with_links(run: Path) -> None:
    """The first lines have none, the later ones have."""
    edit(run, lambda lines: lines.__delitem__(slice(-30, None)), linked=False)
    go_on(run)
    lines = (run / RUN_FILE).read_bytes().splitlines()
    links = [unchained(line)[1] is not None for line in lines]
    assert links == sorted(links)
    assert any(links)
    assert check_run(run).faults == []
    edit(run, lambda lines: lines.pop(-3))
    assert check_run(run).faults


def test_a_torn_last_line_is_no_fault(run: Path) -> None:
    path = run / RUN_FILE
    path.write_bytes(path.read_bytes()[:-20])
    found = check_run(run)
    assert found.faults == []
    assert any("torn" in note for note in found.notes)


# Pictures ------------------------------------------------------------------------------------------------


def test_pictures_that_were_exchanged_are_named_and_not_shown(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = sorted((run / "01-a-doctor.none").glob("*.png"))[:2]
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)
    assert cli.run(["run", "check", "run", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {fault["file"] for fault in found["faults"]} == {str(p.relative_to(run)) for p in (one, two)}


@pytest.mark.parametrize("kind", ["audit", "plain"])
def test_a_report_names_wrong_pictures_and_does_not_show_them(
    run: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "01-a-doctor.none"
    if kind == "plain":
        edit(run, lambda lines: lines.__setitem__(slice(1, None), of_session(lines, name)), linked=False)
        edit(run, replace(b'"audit":true', b'"audit":false'), linked=False)
    one, two, third = sorted((run / name).glob("*.png"))[:3]
    one.write_bytes(two.read_bytes())
    third.unlink()
    assert cli.run(["report", "run"]) == 0
    problems = json.loads((run / "report.json").read_text())["problems"]
    assert f"1 picture is gone ({name}/{third.name}): counted as it was read, and not shown." in problems
    assert any(f"is not what was recorded ({name}/{one.name})" in problem for problem in problems)
    page = (run / "report.html").read_text()
    assert page.count(MISSING) >= 2
    assert "is not what was recorded" in page


def of_session(lines: list[bytes], name: str) -> list[bytes]:
    return [line for line in lines if json.loads(line).get("session") == name]


def test_a_report_of_a_run_that_contradicts_itself_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(run, drop(b'"index":1,'))
    for command in (["report", "run"], ["score", "run"], ["audit", "--resume", "run"]):
        assert cli.run(command) == 2
        assert "`fairgen run check run` lists what is wrong" in capsys.readouterr().err
    assert not (run / "report.html").exists()


# Repair --------------------------------------------------------------------------------------------------


def test_a_repaired_audit_ends_as_if_nothing_had_happened(
    run: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(run, replace(b'"ita":', b'"ita":1'))
    spoilt = sorted((run / "05-a-janitor.prompt").glob("*.png"))[0]
    spoilt.write_bytes(b"no picture")
    before = (run / RUN_FILE).read_bytes()
    assert cli.run(["run", "check", "run"]) == 1
    assert "--repair" in capsys.readouterr().out
    assert cli.run(["run", "check", "run", "--repair"]) == 0
    out = capsys.readouterr().out
    assert "does not follow from the line before it" in out
    assert "fairgen audit --resume run" in out
    assert "left. Continue the run to mend that." in out
    assert (run / "broken-1" / RUN_FILE).read_bytes() == before, "nothing is deleted"
    broken = next(p.name for p in (run / "broken-1").iterdir() if p.is_dir() and p.name.endswith(".none"))
    assert any((run / "broken-1" / broken).iterdir())
    assert not (run / broken).exists()
    assert (run / "broken-1" / spoilt.relative_to(run)).read_bytes() == b"no picture"
    go_on(run)
    assert content(run) == content(whole)
    assert check_run(run).faults == []


def test_a_run_without_its_first_line_is_repaired(run: Path, whole: Path) -> None:
    edit(run, lambda lines: lines.pop(0))
    with pytest.raises(UserError, match="line 1 is not the run record"):
        read_run(run)
    repair_run(run)
    go_on(run)
    assert content(run) == content(whole)


def test_an_audit_whose_plan_is_broken_cannot_be_repaired(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(run, replace(b'"tolerance":', b'"tolerance":0'))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert cli.run(["run", "check", "run", "--repair"]) == 2
    assert "line 2" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("linked", [True, False])
def test_an_audit_without_its_second_line_is_no_run_without_an_audit(
    run: Path, linked: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(run, lambda lines: lines.pop(1), linked=linked)
    says = "line 2 is not the audit's record, which line 1 says follows: it was lost"
    assert says in texts(check_run(run))
    for command in (["report", "run"], ["audit", "--resume", "run"], ["run", "check", "run", "--repair"]):
        assert cli.run(command) == 2
        assert says in capsys.readouterr().err
    edit(run, lambda lines: lines.__setitem__(slice(1, None), []), linked=False)
    with pytest.raises(UserError, match=r"audit's record, line 2 of .*, is lost"):
        look_back(run)


def test_a_run_that_is_written_is_not_repaired(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunWriter(run, fairgen_version="0"):
        assert cli.run(["run", "check", "run", "--repair"]) == 2
    assert "being written by another fairgen" in capsys.readouterr().err


def test_what_is_no_run_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--repair"]):
        assert cli.run(["run", "check", str(tmp_path), *more]) == 2
        assert "is no run folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_session_name_that_leads_outside_moves_nothing(run: Path) -> None:
    Path("secret").mkdir()
    edit(run, replace(b'"session":"01-a-doctor.none"', b'"session":"../secret"'))
    repair_run(run)
    assert Path("secret").is_dir()


# At random -----------------------------------------------------------------------------------------------


def survives(run: Path, whole: Path) -> str:
    """What became of a damaged run: "named", or "harmless"; it must end equal either way."""
    found = check_run(run)
    if found.faults:
        assert all(fault.text for fault in found.faults)
        try:
            repair_run(run)
        except UserError:
            assert any(fault.line == 2 for fault in found.faults)
            return "named, begun again"
    if not (run / RUN_FILE).read_bytes().count(b"\n") > 1:
        return "begun again"
    if look_back_or_none(run) is None:
        return "named, begun again"
    go_on(run)
    assert content(run) == content(whole)
    assert check_run(run).faults == []
    return "named" if found.faults else "harmless"


def look_back_or_none(run: Path) -> object | None:
    """None where line 2, the audit's plan, is gone: that cannot be told from a run without one."""
    if read_run(run).audit is None:
        return None
    return look_back(run)


@pytest.mark.parametrize("seed", range(8))
def test_random_damage_is_named_or_harmless(run: Path, whole: Path, seed: int) -> None:
    survives_one(run, whole, seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(5))
def test_500_random_damages_are_named_or_harmless(run: Path, whole: Path, part: int) -> None:
    for seed in range(100 + 100 * part, 200 + 100 * part):
        shutil.rmtree(run)
        shutil.copytree(whole, run)
        survives_one(run, whole, seed)


def survives_one(run: Path, whole: Path, seed: int) -> None:
    rng = random.Random(seed)
    what = mutate(run, rng)
    if rng.random() < 0.3:
        what = f"{what}; {mutate(run, rng)}"
    try:
        survives(run, whole)
    except Exception as error:
        error.add_note(f"seed {seed}: {what}")
        raise
