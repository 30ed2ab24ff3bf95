"""Files that are no packs, or are made to harm: one sentence, exit code 2, and nothing is written."""

from __future__ import annotations

import hashlib
import re
import ssl
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fairgen import cli
from fairgen.evidence import archive
from fairgen.evidence.archive import ArchiveWriter, unsafe_name
from fairgen.evidence.manifest import CHAIN, MANIFEST, Manifest
from tests.doubles.evidence_packs import Insider, files_in, write_files
from tests.evidence.conftest import checked


def _zip(path: Path, names: list[str], content: bytes = b"x", method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's library warns of a name that is there twice
        for name in names:
            made.writestr(name, content)


def cut_short(path: Path, pack: Path) -> None:
    data = pack.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


def beginning_cut_off(path: Path, pack: Path) -> None:
    path.write_bytes(pack.read_bytes()[1000:])


def empty(path: Path, pack: Path) -> None:
    path.write_bytes(b"")


def text(path: Path, pack: Path) -> None:
    path.write_text("This is no zip file.\n" * 100)


def bomb(path: Path, pack: Path) -> None:
    _zip(path, ["bomb.txt"], b"\0" * 20_000_000, zipfile.ZIP_DEFLATED)


def leads_up(path: Path, pack: Path) -> None:
    _zip(path, ["runs/../../outside.txt"])


def absolute(path: Path, pack: Path) -> None:
    _zip(path, ["/etc/outside.txt"])


def drive(path: Path, pack: Path) -> None:
    _zip(path, ["C:/outside.txt"])


def twice(path: Path, pack: Path) -> None:
    _zip(path, ["a.txt", "a.txt"])


def twice_but_for_case(path: Path, pack: Path) -> None:
    _zip(path, ["a.txt", "A.TXT"])


def file_and_folder(path: Path, pack: Path) -> None:
    _zip(path, ["a", "a/b.txt"])


def no_manifest(path: Path, pack: Path) -> None:
    files = files_in(pack)
    del files[MANIFEST]
    write_files(path, files)


def no_json(path: Path, pack: Path) -> None:
    write_files(path, files_in(pack) | {MANIFEST: b"[" * 100_000})


def another_kind(path: Path, pack: Path) -> None:
    write_files(path, files_in(pack) | {MANIFEST: b'{"kind": "something else"}'})


def newer(path: Path, pack: Path) -> None:
    files = files_in(pack)
    files[MANIFEST] = files[MANIFEST].replace(b'"schema_version": 1', b'"schema_version": 2')
    write_files(path, files)


def field_missing(path: Path, pack: Path) -> None:
    files = files_in(pack)
    files[MANIFEST] = files[MANIFEST].replace(b'"created_at"', b'"made_at"')
    write_files(path, files)


def time_of_nowhere(path: Path, pack: Path) -> None:
    files = files_in(pack)
    files[MANIFEST], found = re.subn(rb'("created_at": ?"[^"]+)Z"', rb'\1"', files[MANIFEST])
    assert found == 1
    write_files(path, files)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (cut_short, "cut short"),
        (beginning_cut_off, "bytes are missing"),
        (empty, "no whole zip file"),
        (text, "no whole zip file"),
        (bomb, "bomb.txt would unpack from"),
        (leads_up, "leads out of the pack"),
        (absolute, "leads out of the pack"),
        (drive, "leads out of the pack"),
        (twice, "twice"),
        (twice_but_for_case, "twice"),
        (file_and_folder, "is a file in it and a folder"),
        (no_manifest, "has no manifest.json"),
        (no_json, "is no JSON"),
        (another_kind, "is of another kind"),
        (newer, "install a newer fairgen"),
        (field_missing, "is no evidence pack: manifest.json"),
        (time_of_nowhere, "manifest.json, created_at"),
    ],
)
def test_one_sentence(
    make: Callable[[Path, Path], None],
    said: str,
    pack: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "odd.zip"
    make(path, pack)
    assert cli.run(["evidence", "check", str(path)]) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    assert [found.name for found in tmp_path.iterdir()] == ["odd.zip"]


def test_many_small_bombs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(archive, "_FREE_IN_ALL", 4_000_000)
    path = tmp_path / "bombs.zip"
    _zip(path, [f"{k}.txt" for k in range(5)], b"\0" * 1_000_000, zipfile.ZIP_DEFLATED)
    assert cli.run(["evidence", "check", str(path)]) == 2
    assert "it would unpack to 5,000,000 bytes" in capsys.readouterr().err


def test_a_folder_or_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path, tmp_path / "absent.zip"):
        assert cli.run(["evidence", "check", str(path)]) == 2
        assert "There is no evidence pack" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../a", "/a", "a//b", "a/", "", "a\\b", "c:a", "a/./b", "a\nb", "x" * 501])
def test_names_that_lead_elsewhere(name: str) -> None:
    assert unsafe_name(name) is not None


@pytest.mark.parametrize("name", ["a", "runs/a/b.png", "..a/b..", "été.png"])
def test_names_that_do_not(name: str) -> None:
    assert unsafe_name(name) is None


def test_a_pack_that_would_grow_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fairgen.errors import UserError

    monkeypatch.setattr(archive, "MOST_BYTES", 1000)
    with (tmp_path / "a.zip").open("w+b") as file, pytest.raises(UserError, match="four gigabytes"):
        for _ in ArchiveWriter(file).add("a.bin", b"x" * 2000, deflate=False):
            pass


@pytest.mark.parametrize(
    ("part", "broken"),
    [
        (b"\x2a\x86\x48\xce\x3d\x03\x01\x07", b"\x2a\x86\x48\xce\x3d\x03\x01\x09"),  # another curve
        (b"\x0c\x0bTest Signer", b"\x0c\x0bTest Sign\xff\xff"),  # a name that is no text
    ],
)
def test_certificates_that_cannot_be_decoded(
    part: bytes, broken: bytes, pack: Path, insider: Insider, tmp_path: Path
) -> None:
    files = files_in(pack)
    der = ssl.PEM_cert_to_DER_cert(
        files[CHAIN].decode().partition("-----END")[0] + "-----END CERTIFICATE-----\n"
    )
    assert part in der
    der = der.replace(part, broken)
    files[CHAIN] = ssl.DER_cert_to_PEM_cert(der).encode()

    def change(manifest: Manifest) -> Manifest:
        assert manifest.signer is not None
        named = manifest.signer.model_copy(
            update={"fingerprint": f"sha256:{hashlib.sha256(der).hexdigest()}"}
        )
        return manifest.model_copy(update={"signer": named})

    insider.write(tmp_path / "odd.zip", files, change)
    assert "a certificate in the pack is broken" in "\n".join(checked(tmp_path / "odd.zip").faults)
