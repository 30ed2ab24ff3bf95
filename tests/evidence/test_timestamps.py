"""A signature that an authority saw: the timestamp holds, is of that signature, and leads to a known root."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairgen.errors import UserError
from fairgen.evidence import PackPlan, plan_pack
from fairgen.evidence.manifest import SIGNATURE, TIMESTAMP
from fairgen.provenance.documents import DocumentSigner
from tests.doubles.c2pa_authority import config, issue
from tests.doubles.evidence_packs import files_in, write_files
from tests.doubles.timestamp_authority import Authority, timestamp_authority
from tests.evidence.conftest import checked

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with timestamp_authority(tmp_path_factory.mktemp("tsa")) as running:
        yield running


@pytest.fixture(scope="module")
def stamped(run: Path, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack with a timestamp."""
    folder = tmp_path_factory.mktemp("stamped")
    for _ in _plan(run, folder, authority).write(folder / "pack.zip"):
        pass
    return folder / "pack.zip"


def _plan(run: Path, folder: Path, authority: Authority) -> PackPlan:
    signer = DocumentSigner(config(folder, tsa=authority.url))
    return plan_pack([run], pictures="none", signer=signer)


def test_a_timestamp_holds(stamped: Path, authority: Authority, tmp_path: Path) -> None:
    found = checked(stamped, authority.roots)
    assert found.faults == []
    assert any(
        "by the timestamp of CN=Test Timestamps" in f.text and f.state == "holds" for f in found.findings
    )
    for name in (SIGNATURE, TIMESTAMP):
        (tmp_path / name).write_bytes(files_in(stamped)[name])
    command = ["openssl", "ts", "-verify", "-data", SIGNATURE, "-in", TIMESTAMP]
    command += ["-CAfile", str(authority.roots)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Verification: OK" in done.stdout + done.stderr


def test_without_a_trust_list_it_is_only_a_note(stamped: Path) -> None:
    (note,) = [f for f in checked(stamped).findings if "by the timestamp of" in f.text]
    assert note.state == "note"
    assert "which was not checked" in note.text


def test_a_timestamp_of_another_signature(
    stamped: Path, run: Path, authority: Authority, tmp_path: Path
) -> None:
    signer = DocumentSigner(config(tmp_path, tsa=authority.url))
    other = signer.stamp(b"another signature")
    assert other is not None
    write_files(tmp_path / "forged.zip", files_in(stamped) | {TIMESTAMP: other})
    assert "is of another signature, or was changed" in "\n".join(checked(tmp_path / "forged.zip").faults)


def test_no_timestamp_though_the_manifest_states_one(stamped: Path, tmp_path: Path) -> None:
    files = files_in(stamped)
    del files[TIMESTAMP]
    write_files(tmp_path / "forged.zip", files)
    assert "manifest.tsr is gone" in "\n".join(checked(tmp_path / "forged.zip").faults)


def test_a_timestamp_with_bytes_behind_it(stamped: Path, tmp_path: Path) -> None:
    files = files_in(stamped)
    write_files(tmp_path / "forged.zip", files | {TIMESTAMP: files[TIMESTAMP] + b"\0"})
    assert "was changed" in "\n".join(checked(tmp_path / "forged.zip").faults)


def test_an_authority_that_is_not_trusted(stamped: Path, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(issue("Other Root", authority=True).pem)
    faults = "\n".join(checked(stamped, tmp_path / "other.pem").faults)
    assert "The timestamp manifest.tsr leads to no authority of --trust" in faults


def test_an_authority_that_plays_up(run: Path, authority: Authority, tmp_path: Path) -> None:
    authority.answer = b"<html>busy</html>"
    try:
        with pytest.raises(UserError, match="gave no timestamp"):
            for _ in _plan(run, tmp_path, authority).write(tmp_path / "pack.zip"):
                pass
    finally:
        authority.answer = None
    assert not (tmp_path / "pack.zip").exists()


def test_an_authority_that_does_not_answer(run: Path, tmp_path: Path) -> None:
    signer = DocumentSigner(config(tmp_path, tsa="http://127.0.0.1:9/"))
    with pytest.raises(UserError, match="does not answer"):
        signer.stamp(b"signature")
