"""``fairgen audit``, ``score`` and ``compare`` as whole commands, on a double of a model."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fairgen import cli
from fairgen.audit.runner import Audit, blocks, look_back
from fairgen.cli.audit_live import watch_audit
from fairgen.runs import RUN_FILE, AuditRecord, RunReader, read_run, record_schema
from fairgen.scoring.arms import AuditSummary
from tests.doubles.session_doubles import BatchBound, InfoReader, files_of

LIST = "# [high]\na doctor\na judge\na pilot\n# [low]\na janitor\na nurse with dark skin\n"
AUDIT = ["audit", "--prompts", "list.txt", "--count", "6", "--steering", "none,prompt", "--batch-size", "2"]
SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"


class Model(BatchBound):
    """Stops like Ctrl-C after so many batches."""

    stop_after: int | None = None

    def generate(self, requests: Any, steering: Any = None) -> Any:
        if self.stop_after is not None and len(self.batches) >= self.stop_after:
            raise KeyboardInterrupt
        return super().generate(requests, steering)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Model:
    """The command line on the double, in a folder with a list of prompts."""
    double = Model(spread=10.0, plain=60.0)
    monkeypatch.setattr("fairgen.models.loading.load_model", lambda *_, **__: double)
    monkeypatch.setattr("skin_tone.SkinToneReader", InfoReader)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text(LIST)
    return double


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    capsys.readouterr()
    assert cli.run(list(args)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    return captured.err


def test_an_audit_leaves_a_whole_run(
    model: Model, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.run([*AUDIT, "--out", "run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == found
    none, prompt = found["arms"]
    assert (none["arm"], none["prompts"], none["of"], none["hit_rate"]) == ("none", 5, 5, None)
    assert prompt["tv"] < 0.5 * none["tv"]
    assert prompt["hit_rate"] > 0.5
    assert prompt["worst_prompt"] == "a nurse with dark skin", "its tone was named, so it was not steered"
    assert set(none["groups"]) == {"high", "low"}
    assert none["groups"]["high"]["prompts"] == 3
    assert prompt["generated"] == prompt["kept"] + prompt["discarded"] + prompt["abstained"]
    assert found["interrupted"] == []

    run = read_run(tmp_path / "run")
    assert run.audit is not None
    assert run.audit.arms == ["none", "prompt"]
    assert not run.problems
    assert len(run.sessions) == 10
    for place in run.audit.prompts:
        arms = [run.sessions[run.audit.session(place, arm)] for arm in run.audit.arms]
        seeds = [{p.slot: p.seed for p in arm.pictures if p.attempt == 0} for arm in arms]
        assert seeds[0] == seeds[1], "both arms start from the same seeds"
        for arm in arms:
            assert {(tmp_path / "run" / str(p.file)).is_file() for p in arm.final_set()} == {True}
    folders = {path.name for path in (tmp_path / "run").iterdir()}
    assert folders == {RUN_FILE, "summary.json", *run.sessions}
    assert max(model.batches) == 2
    order = [name.rpartition(".")[2] for name in run.sessions]
    assert order == ["none"] * 4 + ["prompt"] * 4 + ["none", "prompt"], "arms take turns"


def test_prompts_share_batches(model: Model, tmp_path: Path) -> None:
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    made = sum(model.batches)
    assert len(model.batches) < 0.6 * made, "rounds of one picture still fill a batch"
    record = RunReader(tmp_path / "run").audit
    assert record is not None
    assert [len(block.names) for block in blocks(record)] == [4, 4, 1, 1]


def test_the_table_names_arms_groups_and_the_worst(model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    captured = capsys.readouterr()
    for word in ("made/kept", "TV by group", "high", "low", "Worst prompt, prompt: a nurse with dark skin"):
        assert word in captured.out
    assert "fairgen report run" in captured.out


def test_ctrl_c_and_on(model: Model, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    (tmp_path / "run").rename(tmp_path / "whole")
    model.batches.clear()
    model.stop_after = 7
    assert cli.run([*AUDIT, "--out", "run"]) == 130
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "`fairgen audit --resume run` goes on" in line
    assert cli.run([*AUDIT, "--out", "run"]) == 2, "a run is never overwritten"
    assert "not empty" in capsys.readouterr().err
    model.stop_after = None
    # The same command with --resume is what one types; what it says again is held against the run.
    assert cli.run([*AUDIT, "--out", "run", "--resume", "run"]) == 0
    assert files_of(tmp_path / "run") == files_of(tmp_path / "whole")
    batches = len(model.batches)
    assert cli.run(["audit", "--resume", "run"]) == 0, "nothing is left to do"
    assert len(model.batches) == batches


def test_a_report_that_is_older_than_the_run_is_named(
    model: Model, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model.stop_after = 7
    assert cli.run([*AUDIT, "--out", "run"]) == 130
    assert cli.run(["report", "run"]) == 0
    report = tmp_path / "run" / "report.html"
    os.utime(report, (0, 0))
    model.stop_after = None
    assert cli.run(["audit", "--resume", "run"]) == 0
    assert "makes the report anew: the one that lies there is older" in capsys.readouterr().out
    os.utime(report)
    assert cli.run(["audit", "--resume", "run"]) == 0
    assert "anew" not in capsys.readouterr().out


def test_lost_and_torn_are_mended_and_said(
    model: Model, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    shutil.copytree(tmp_path / "run", tmp_path / "whole")
    pictures = sorted((tmp_path / "run").rglob("*.png"))
    pictures[3].unlink()
    pictures[40].write_bytes(pictures[40].read_bytes()[:90])
    other = pictures[50].read_bytes()
    pictures[50].write_bytes(pictures[51].read_bytes())
    with (tmp_path / "run" / RUN_FILE).open("ab") as file:
        file.write(b'{"type":"pict')
    capsys.readouterr()
    assert cli.run(["audit", "--resume", "run", "--json"]) == 0
    captured = capsys.readouterr()
    assert "3 recorded pictures had lost their files, or these were torn: made again." in captured.err
    assert "The last line of the run file is torn" in captured.err
    assert len(json.loads(captured.out)["problems"]) == 2
    assert files_of(tmp_path / "run") == files_of(tmp_path / "whole")
    assert len(pictures[50].read_bytes()) == len(other)


def test_force_puts_a_run_aside(model: Model, tmp_path: Path) -> None:
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    before = files_of(tmp_path / "run")
    (tmp_path / "run" / RUN_FILE).write_bytes((tmp_path / "run" / RUN_FILE).read_bytes() + b'{"torn')
    assert cli.run([*AUDIT, "--out", "run", "--force"]) == 0
    aside = tmp_path / "run" / "previous-1"
    assert len(list(aside.rglob("*.png"))) == len(before) - 1
    shutil.rmtree(aside)
    assert files_of(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--count", "7"], "--count is not what the audit in run was begun with (6)"),
        (["--seed", "1"], "--seed is not what"),
        (["--steering", "none"], "--steering is not what"),
        (["--spec", "uniform-monk10"], "--spec or --target is not what"),
        (["--target", "light=1,medium=0,dark=0"], "--spec or --target is not what"),
        (["--prompts", "other.txt"], "--prompts is not what"),
        (["--model", "another"], "--model is not what"),
        (["--device", "cuda"], "--device is not what"),
        (["--batch-size", "4"], "--batch-size is not what"),
        (["--max-tries", "9"], "--max-tries is not what"),
        (["--tolerance", "0.2"], "--tolerance is not what"),
        (["--out", "elsewhere"], "--out is not what"),
        (["--force"], "give one of them"),
    ],
)
def test_what_contradicts_the_run_is_refused(
    model: Model, capsys: pytest.CaptureFixture[str], tmp_path: Path, extra: list[str], says: str
) -> None:
    model.stop_after = 3
    assert cli.run([*AUDIT, "--out", "run"]) == 130
    model.stop_after = None
    (tmp_path / "other.txt").write_text("a cook\n")
    before = files_of(tmp_path / "run")
    assert says in refused(capsys, "audit", "--resume", "run", *extra)
    assert files_of(tmp_path / "run") == before
    assert len(model.batches) == 3


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--prompts", "absent.txt"], "cannot be read"),
        (["--steering", "none,magic"], "no steering 'magic'"),
        (["--steering", "auto"], "names its arms"),
        (["--spec", "nothing"], "no spec or file"),
        (["--tolerance", "2"], "--tolerance is 2"),
        (["--seed", "-1"], "seed"),
        (["--count", "0"], "--count"),
        (["--batch-size", "0"], "batch size"),
        (["--resume", "nowhere"], "is no run folder"),
        (["--steering", "embedding"], "could be steered"),
    ],
)
def test_a_mistake_gets_one_sentence_before_anything_is_begun(
    model: Model, capsys: pytest.CaptureFixture[str], tmp_path: Path, args: list[str], says: str
) -> None:
    assert says in refused(capsys, *AUDIT, "--out", "run", *args)
    assert not (tmp_path / "run").exists()
    assert model.batches == []


def test_other_versions_and_models_are_refused(
    model: Model, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model.stop_after = 3
    assert cli.run([*AUDIT, "--out", "run"]) == 130
    model.stop_after = None
    with monkeypatch.context() as patch:
        patch.setattr("fairgen.audit.runner.__version__", "9.9")
        assert "begun with fairgen" in refused(capsys, "audit", "--resume", "run")
    same = model.info
    model.info = same.model_copy(update={"weights": {"unet": "sha256:1"}})
    assert "another model: its weights" in refused(capsys, "audit", "--resume", "run")
    model.info = same.model_copy(update={"versions": {"python": "3", "torch": "9"}})
    assert cli.run(["audit", "--resume", "run"]) == 0
    assert "went on with torch 9 instead of none" in capsys.readouterr().err
    text = (tmp_path / "run" / "summary.json").read_text()
    assert "torch 9 instead of none" in text, "it is in the file as well"


def test_require(model: Model, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a doctor\na judge\n")
    assert cli.run([*AUDIT, "--out", "a", "--require"]) == 0
    none = [*AUDIT, "--out", "b", "--require", "--steering", "none"]
    assert cli.run(none) == 3


def test_no_more_is_kept_in_memory_than_a_block(model: Model, tmp_path: Path) -> None:
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    left = look_back(tmp_path / "run")
    assert left.unfinished == {}
    assert len(left.summaries) == 10
    path = tmp_path / "run" / RUN_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert len(look_back(tmp_path / "run").unfinished) == 1, "the last block alone"


def test_every_line_keeps_to_the_published_schema(model: Model, tmp_path: Path) -> None:
    schema = json.loads((SCHEMAS / "run-line.schema.json").read_text())
    assert schema == json.loads(json.dumps(record_schema())), "write it again: see docs/audit.md"
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    check = jsonschema.Draft202012Validator(schema)
    for line in (tmp_path / "run" / RUN_FILE).read_text().splitlines():
        check.validate(json.loads(line))
    published = json.loads((SCHEMAS / "audit-summary.schema.json").read_text())
    assert published == AuditSummary.model_json_schema(mode="serialization"), "write it again"
    jsonschema.validate(json.loads((tmp_path / "run" / "summary.json").read_text()), published)


def test_the_record_says_what_was_fixed(model: Model, tmp_path: Path) -> None:
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    reader = RunReader(tmp_path / "run")
    audit = reader.audit
    assert isinstance(audit, AuditRecord)
    assert audit.prompts_file == "list.txt"
    assert [p.group for p in audit.prompts] == ["high"] * 3 + ["low"] * 2
    assert set(audit.specs) == {p.spec for p in audit.prompts}
    assert audit.host.cores >= 1
    text = (tmp_path / "run" / RUN_FILE).read_text()
    assert str(tmp_path) not in text, "no folder of this machine"


def test_progress_without_a_terminal(
    model: Model, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairgen.cli.audit_live._EVERY", 0.0)
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Audit: ")]
    assert len(lines) > 20
    assert lines[-1].startswith("Audit: 60 of 60, ")
    assert "about 0:00:00 left; TV none 0." in lines[-1]


def test_progress_on_a_terminal(model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import io

    from rich.console import Console

    from fairgen.audit.plan import plan_audit
    from fairgen.targets import load_spec

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr("fairgen.cli.common.stderr", lambda: console)
    monkeypatch.setattr("fairgen.cli.audit_live._REDRAW", 0.0)
    plan = plan_audit(tmp_path / "list.txt", load_spec("uniform"), count=3, arms=("none", "prompt"))
    audit = Audit(plan, model, InfoReader(), tmp_path / "run", batch_size=3)
    summary = watch_audit(audit.run(), tmp_path / "run", plan.places)
    assert [arm.prompts for arm in summary.arms] == [5, 5]
    shown = screen.getvalue()
    for word in ("TV so far", "discarded", "30/30", "pictures/s"):
        assert word in shown


# score and compare -----------------------------------------------------------------------------------


def test_score_holds_an_old_run_against_another_spec(
    model: Model, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.run([*AUDIT, "--out", "run"]) == 0
    before = files_of(tmp_path / "run")
    capsys.readouterr()
    assert cli.run(["score", "run", "--spec", "uniform", "--json"]) == 0
    same = json.loads(capsys.readouterr().out)
    assert all(one["same_target"] and one["tv"] == pytest.approx(one["tv_then"]) for one in same["sets"])
    assert cli.run(["score", "run", "--spec", "uniform-lmd3", "--json", "-o", "out.json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert other == json.loads((tmp_path / "out.json").read_text())
    assert other["classes"] == ["light", "medium", "dark"]
    pairs = {"light": ("very_light", "light"), "medium": ("intermediate", "tan"), "dark": ("brown", "dark")}
    for then, now in zip(same["sets"], other["sets"], strict=True):
        assert now["measured"] == {k: sum(then["measured"][c] for c in v) for k, v in pairs.items()}
        assert not now["same_target"]
    assert cli.run(["score", "run", "--target", "light=1,medium=0,dark=0", "--require"]) == 3
    assert "mean TV" in capsys.readouterr().out
    assert files_of(tmp_path / "run") == before, "nothing is written into the run"


def test_compare_two_runs(model: Model, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.run([*AUDIT, "--out", "a", "--count", "20"]) == 0
    model.plain = -20.0  # another model shows dark skin where this one shows light skin
    (tmp_path / "list.txt").write_text(LIST + "a cook\n")
    assert cli.run([*AUDIT, "--out", "b", "--count", "20"]) == 0
    capsys.readouterr()
    assert cli.run(["compare", "a", "b", "--json", "-o", "c.json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "c.json").read_text())
    assert len(found["sets"]) == 10
    assert found["only"] == [[], ["a cook (none)", "a cook (prompt)"]]
    for one in found["sets"]:
        assert one["paired"]
        assert one["difference"] == pytest.approx(one["tv"][1] - one["tv"][0])
        assert one["p_value"] <= one["p_holm"] <= 1
    assert cli.run(["compare", "a", "a"]) == 0
    assert "In 0 of 10 rows chance is no likely explanation" in capsys.readouterr().out


def test_compare_refuses_what_cannot_be_compared(
    model: Model, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.run([*AUDIT, "--out", "a"]) == 0
    assert cli.run([*AUDIT, "--out", "b", "--spec", "uniform-lmd3"]) == 0
    assert "their targets differ" in refused(capsys, "compare", "a", "b")
    (tmp_path / "list.txt").write_text("a cook\n")
    assert cli.run([*AUDIT, "--out", "c"]) == 0
    assert "no prompt was run under the same arm" in refused(capsys, "compare", "a", "c")
    assert "is no run folder" in refused(capsys, "compare", "a", "nowhere")
