"""Packs are written whole or not at all, the same each time, and hold what they should."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from fairgen import cli
from fairgen.errors import UserError
from fairgen.evidence import PackPlan, plan_pack
from fairgen.evidence.inputs import environment, find_runs, installed_files
from fairgen.evidence.manifest import CHAIN, MANIFEST, SIGNATURE, Manifest
from fairgen.provenance.documents import DocumentSigner
from tests.doubles.c2pa_authority import config
from tests.doubles.evidence_packs import WHEN, Insider, files_in
from tests.doubles.fake_run import write_fake_run
from tests.evidence.conftest import checked


def written(plan: PackPlan, out: Path) -> Path:
    for _ in plan.write(out):
        pass
    return out


def test_the_same_input_gives_the_same_bytes(
    run: Path, pack: Path, document_signer: DocumentSigner, tmp_path: Path
) -> None:
    again = written(plan_pack([run], signer=document_signer, created_at=WHEN), tmp_path / "again.zip")
    first, second = files_in(pack), files_in(again)
    assert list(first) == list(second)
    for name, content in first.items():
        assert second[name].split(b"\n") == content.split(b"\n"), name
    assert again.read_bytes() == pack.read_bytes()


def test_what_is_in_it(pack: Path, run: Path) -> None:
    files = files_in(pack)
    assert next(iter(files)) == "index.html"
    assert files["runs/small-audit/run.jsonl"] == (run / "run.jsonl").read_bytes()
    assert {name for name in files if name.endswith(".png")} == {
        f"runs/small-audit/{path.relative_to(run).as_posix()}" for path in run.rglob("*.png")
    }
    (approval,) = json.loads(files["approvals.json"])
    assert approval["approval"] == "approved"
    assert (approval["approved_by"], approval["approved_on"]) == ("A. Person", "2026-11-27")
    assert approval["same"] is True
    figures = json.loads(files["figures/small-audit.json"])
    left_out = files["records/small-audit-left-out.csv"].decode().splitlines()
    outside = sum(s["generated"] - s["count"] for p in figures["prompts"] for s in p["sets"].values())
    assert len(left_out) == 1 + outside > 1
    decisions = files["records/small-audit-decisions.csv"].decode()
    assert "place filled after its tries ran out" in decisions
    lines = [int(line.split(",")[0]) for line in decisions.splitlines()[1:]]
    assert lines == sorted(lines)
    environment = json.loads(files["environment.json"])
    assert environment["packages"]["pydantic"]
    assert environment["files"]["pydantic"].startswith("sha256:")
    assert environment["files"].keys() == environment["packages"].keys()
    confusion = json.loads(files["reader/confusion-on-renders.json"])
    assert set(confusion["called"]) == {"neutral", "careless"}
    assert sum(confusion["called"]["neutral"]["ita6"]["dark"].values()) > 0
    assert json.loads(files["models/1.json"])["weights"]


def test_other_tools_read_it_and_check_the_signature(pack: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(pack) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path)
    for file in Manifest.model_validate_json((tmp_path / MANIFEST).read_bytes()).files:
        assert (tmp_path / file.path).stat().st_size == file.bytes
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    openssl = ["openssl", "x509", "-in", CHAIN, "-pubkey", "-noout", "-out", "pub.pem"]
    subprocess.run(openssl, cwd=tmp_path, check=True)
    verify = ["openssl", "dgst", "-sha256", "-verify", "pub.pem", "-signature", SIGNATURE, MANIFEST]
    done = subprocess.run(verify, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "Verified OK" in done.stdout


def test_several_runs_thinned_and_unsigned(run: Path, tmp_path: Path) -> None:
    other = shutil.copytree(run, tmp_path / "again" / run.name)
    plan = plan_pack([run, other], pictures="thin", max_mb=0.25, created_at=WHEN)
    out = written(plan, tmp_path / "thin.zip")
    assert out.stat().st_size <= 250_000
    found = checked(out)
    assert found.faults == []
    assert "The pack is not signed: anybody could have written it." in [f.text for f in found.findings]
    assert found.manifest is not None
    assert [one.name for one in found.manifest.runs] == ["small-audit", "small-audit-2"]
    packed, named = (sum(getattr(one, key) for one in found.manifest.runs) for key in ("packed", "pictures"))
    assert 0 < packed < named


def test_a_run_without_an_audit(tmp_path: Path) -> None:
    """Its spec is of an old kind that cannot be read, and its pictures have no marks: both are said."""
    out = written(plan_pack([write_fake_run(tmp_path / "run")], pictures="none"), tmp_path / "pack.zip")
    texts = "\n".join(one.text for one in checked(out).findings)
    assert "0 of 63 pictures are in the pack" in texts
    assert "this version of fairgen cannot read it" in texts
    assert "hold no hash of the pixels" in files_in(out)["limits.json"].decode()


def test_runs_of_one_name_have_names_of_their_own_in_a_pack(tmp_path: Path) -> None:
    runs = [write_fake_run(tmp_path / place / name) for place, name in ("xa", ("y", "a-3"), "za")]
    assert [one.name for one in find_runs(runs)] == ["a", "a-3", "a-2"]


@pytest.mark.parametrize(("algorithm"), ["ps256", "ed25519"])
def test_other_kinds_of_keys(algorithm: str, run: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

    from tests.doubles.c2pa_authority import MIDDLE, ROOT, issue
    from tools.example_authority import Key

    key: Key = (
        ed25519.Ed25519PrivateKey.generate()
        if algorithm == "ed25519"
        else rsa.generate_private_key(65537, 2048)
    )
    (tmp_path / "roots.pem").write_bytes(ROOT.pem)
    signer = DocumentSigner(config(tmp_path, issue("Other key", MIDDLE, key=key), MIDDLE))
    out = written(plan_pack([run], pictures="none", signer=signer), tmp_path / "pack.zip")
    assert signer.record.algorithm == algorithm
    assert checked(out, tmp_path / "roots.pem").faults == []


def test_a_run_with_a_fault_is_refused(run: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(run, tmp_path / "broken")
    next(broken.rglob("*.png")).unlink()
    with pytest.raises(UserError, match=r"is gone.*fairgen run check"):
        plan_pack([broken])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{run}", "{run}", "-o", "{new}"], "is given twice"),
        (["{empty}", "-o", "{new}"], "is no run folder"),
        (["{run}", "-o", "{run}"], "is a folder"),
        (["{run}", "-o", "{there}"], "exists: choose another -o, or add --force"),
        (["{run}", "-o", "{new}", "--max-mb", "2"], "is for --pictures thin"),
        (["{run}", "-o", "{new}", "--max-mb", "0.05", "--pictures", "thin"], "give a number from"),
        (["{run}", "-o", "{new}", "--model-card", "{there}.md"], "cannot be read"),
    ],
)
def test_bad_input(
    arguments: list[str], said: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.zip").touch()
    (tmp_path / "empty").mkdir()
    names = {"run": run, "new": tmp_path / "new.zip", "there": tmp_path / "there.zip"}
    names["empty"] = tmp_path / "empty"
    assert cli.run(["evidence", *(one.format(**names) for one in arguments)]) == 2
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "there.zip"]


def test_a_limit_that_the_words_alone_exceed(run: Path) -> None:
    with pytest.raises(UserError, match="Without any picture the pack has"):
        plan_pack([run], pictures="thin", max_mb=0.05)


def test_a_stop_leaves_no_half_pack(run: Path, tmp_path: Path) -> None:
    work = plan_pack([run]).write(tmp_path / "pack.zip")
    for _ in range(30):
        next(work)
    assert len(list(tmp_path.iterdir())) == 1  # half written, under another name
    with pytest.raises(KeyboardInterrupt):
        work.throw(KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


def test_the_command(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1764331200")
    out = tmp_path / "pack.zip"
    assert cli.run(["evidence", str(run), "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["signer"] is None
    assert cli.run(["evidence", "check", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["holds"] is True
    assert document["manifest"]["created_at"] == "2025-11-28T12:00:00Z"
    data = out.read_bytes()
    out.write_bytes(data + b"!")
    assert cli.run(["evidence", "check", str(out)]) == 1
    assert "FAULT" in capsys.readouterr().out
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    assert cli.run(["evidence", str(run), "-o", str(tmp_path / "b.zip")]) == 2
    assert "seconds since 1970" in capsys.readouterr().err


def test_what_a_package_keeps_for_itself_is_no_package_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    for folder, name in (
        (site, "installed"),
        (site / "kept" / "_vendor", "inside"),
        (site / "ray" / "files", "inside-2"),
    ):
        (folder / f"{name}-1.dist-info").mkdir(parents=True)
        (folder / f"{name}-1.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: 1\n")
        monkeypatch.syspath_prepend(folder)
    found = environment()["packages"]
    assert "installed" in found
    assert found.keys().isdisjoint({"inside", "inside-2"})


def test_the_hash_of_a_package_is_of_its_wheel_and_not_of_who_installed_it(tmp_path: Path) -> None:
    def installed(place: str, *lines: str) -> str | None:
        folder = tmp_path / place / "it-1.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text("Name: it\nVersion: 1\n")
        if lines:
            (folder / "RECORD").write_text("".join(f"{line}\n" for line in lines))
        return installed_files(Distribution.at(folder))

    wheel = ('"it/a,b.py",sha256=aa,1', "it/c.py,sha256=cc,2", "it-1.dist-info/METADATA,sha256=dd,3")
    added = (
        "../../../bin/it,sha256=ee,4",
        "it/__pycache__/c.cpython-311.pyc,,",
        "it-1.dist-info/INSTALLER,sha256=ff,4",
        "it-1.dist-info/RECORD,,",
    )
    found = installed("wheel", *wheel, "it-1.dist-info/RECORD,,")
    assert found
    assert installed("here", *reversed(wheel), *added) == found
    assert installed("changed", *wheel[:1], "it/c.py,sha256=c0,2", *wheel[2:]) not in (found, None)
    assert installed("less", *wheel[1:]) not in (found, None)
    assert installed("no-list") is None


def test_that_ray_is_imported_changes_nothing() -> None:
    code = "from fairgen.evidence.inputs import environment as e; a = e(); import ray; print(e() == a)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True"], done.stderr


def _as_other_software(manifest: Manifest) -> Manifest:
    return manifest.model_copy(update={"software": "sha256:" + "0" * 64})


@pytest.mark.parametrize(
    ("kept", "state", "said"),
    [
        ((), "fault", "does not state the figures of its run: it lacks one of arms"),
        (("arms", "kind", "prompts", "schema_version", "specs"), "note", "not compared: fairgen of figures/"),
    ],
)
def test_figures_left_out_in_the_name_of_other_software(
    kept: tuple[str, ...], state: str, said: str, pack: Path, insider: Insider, tmp_path: Path
) -> None:
    files = files_in(pack)
    name = "figures/small-audit.json"
    document = json.loads(files[name])
    files[name] = json.dumps({key: document[key] for key in kept}).encode()
    insider.write(tmp_path / "forged.zip", files, _as_other_software)
    found = checked(tmp_path / "forged.zip").findings
    assert said in "\n".join(one.text for one in found if one.state == state)
    assert not any("are the ones stated" in one.text for one in found)
