"""The run file: append-only, readable after any stop, strict about everything else."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairgen.common.files import disk_errors
from fairgen.common.resources import embedded_model_dir
from fairgen.errors import UserError
from fairgen.loop.session import run_session
from fairgen.provenance.png import picture_text, provenance_in
from fairgen.runs import RUN_FILE, RunWriter, fingerprint_of, parse_record, read_run
from fairgen.steering.calibration import Calibration
from fairgen.targets import load_spec
from tests.doubles.session_doubles import ConfusedGenerator, InfoReader


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    for steering in ("none", "prompt"):
        list(
            run_session(
                ConfusedGenerator(),
                InfoReader(),
                "a doctor",
                load_spec("uniform"),
                6,
                steering=steering,
                out_dir=path,
            )
        )
    return path


def copy(folder: Path, target: Path, data: bytes | None = None) -> Path:
    target.mkdir(exist_ok=True)
    (target / RUN_FILE).write_bytes((folder / RUN_FILE).read_bytes() if data is None else data)
    return target


def test_every_line_describes_itself(folder: Path) -> None:
    lines = (folder / RUN_FILE).read_text().splitlines()
    for line in lines:
        record = json.loads(line)
        assert record["schema_version"] == 1
        assert len(record.pop("chain")) == 16
        assert parse_record(line).model_dump(mode="json") == record
    kinds = [json.loads(line)["type"] for line in lines]
    assert kinds[:2] == ["run", "session"]
    assert kinds[-1] == "summary"
    assert "synthetic" in json.loads(lines[0])["note"]


def test_both_the_folder_and_the_file_are_read(folder: Path) -> None:
    assert read_run(folder).sessions.keys() == read_run(str(folder / RUN_FILE)).sessions.keys()


@given(data=st.data())
def test_a_stop_at_any_byte_is_survived(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = (folder / RUN_FILE).read_bytes()
    first = whole.index(b"\n") + 1
    cut = data.draw(st.integers(first, len(whole)))
    torn = copy(folder, tmp_path_factory.mktemp("torn"), whole[:cut])
    run = read_run(torn)
    is_torn = whole[cut - 1 : cut] != b"\n"
    assert any("torn" in problem for problem in run.problems) == is_torn
    with RunWriter(torn, fairgen_version="0") as writer:
        assert writer.dropped_torn_line == is_torn
    assert not any("torn" in problem for problem in read_run(torn).problems)
    assert whole.startswith((torn / RUN_FILE).read_bytes())


def test_a_broken_line_inside_is_refused(folder: Path, tmp_path: Path) -> None:
    lines = (folder / RUN_FILE).read_bytes().splitlines(keepends=True)
    for broken in (b"{\n", b'{"type": "unknown"}\n', lines[2].replace(b'"index":0', b'"index":"x"')):
        with pytest.raises(UserError, match="line 3 is no record"):
            read_run(copy(folder, tmp_path, b"".join([*lines[:2], broken, *lines[3:]])))
    with pytest.raises(UserError, match="which the file does not open"):
        read_run(copy(folder, tmp_path, b"".join([lines[0], *lines[2:]])))
    with pytest.raises(UserError, match="line 1 is not the run record"):
        read_run(copy(folder, tmp_path, b"".join(lines[1:])))


def test_what_is_no_run_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent", tmp_path / "absent" / RUN_FILE):
        with pytest.raises(UserError, match="is no run folder"):
            read_run(path)


def test_a_newer_schema_is_refused(folder: Path, tmp_path: Path) -> None:
    data = (folder / RUN_FILE).read_bytes().replace(b'"schema_version":1', b'"schema_version":2')
    with pytest.raises(UserError, match="no record that this version of fairgen reads"):
        read_run(copy(folder, tmp_path, data))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "No space is left"),
        (errno.EACCES, "may write to"),
        (errno.EROFS, "may write to"),
        (errno.ENOTDIR, "in the way"),
    ],
)
def test_disk_errors_name_the_mend(code: int, message: str) -> None:
    with pytest.raises(UserError, match=message), disk_errors(Path("x")):
        raise OSError(code, os.strerror(code))


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(OSError, match="I/O"), disk_errors(Path("x")):
        raise OSError(errno.EIO, "I/O")


def test_a_model_has_one_fingerprint_whatever_the_order_of_its_files() -> None:
    one = {"unet": "sha256:1", "vae": "sha256:2"}
    assert fingerprint_of(one) == fingerprint_of(dict(reversed(one.items())))
    assert fingerprint_of(one) != fingerprint_of({"unet": "sha256:2", "vae": "sha256:1"})


def test_pictures_and_calibrations_name_a_model_by_the_same_hash(tmp_path: Path) -> None:
    model = ConfusedGenerator()
    for _ in run_session(model, InfoReader(), "a nurse", load_spec("uniform"), 2, out_dir=tmp_path):
        pass
    (session,) = read_run(tmp_path).sessions.values()
    for picture in session.pictures:
        assert picture.file is not None
        block = provenance_in(picture_text(tmp_path / picture.file))
        assert block is not None
        assert block.weights == model.info.fingerprint
    shipped = next((embedded_model_dir() / "calibrations").glob("*.json"))
    calibration = Calibration.model_validate_json(shipped.read_text("utf-8"))
    parts = [path for path in embedded_model_dir().glob("*/*") if path.parent.name != "calibrations"]
    files = [embedded_model_dir() / "model_index.json", *parts]
    hashes = {
        path.relative_to(embedded_model_dir()).as_posix(): "sha256:"
        + hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    assert calibration.weights == fingerprint_of(hashes)
