"""Pictures that a run discarded or moved aside do not count where the run is verified."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fairgen.scoring.verify import Verification, find_pictures
from fairgen.targets import load_spec

OF_THE_SET = ("steered/000_tan.png", "steered/001_dark.png")
OF_NO_SET = (
    "steered/discarded/0003_tan.png",
    "previous-1/steered/000_tan.png",
    "previous-1/steered/discarded/0001_tan.png",
    "broken-2/steered/000_tan.png",
)


def names(folder: Path, *asked: str) -> list[str]:
    found = find_pictures([folder / name for name in asked])
    return [path.relative_to(folder).as_posix() for path in found.files]


def folder_with(folder: Path, *, run: bool) -> Path:
    for name in (*OF_THE_SET, *OF_NO_SET):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    if run:
        (folder / "run.jsonl").touch()
        (folder / "previous-1" / "run.jsonl").touch()
    return folder


@pytest.mark.parametrize("asked", [".", "steered"])
def test_a_run_is_its_sets(tmp_path: Path, asked: str) -> None:
    folder = folder_with(tmp_path, run=True)
    assert names(folder, asked) == list(OF_THE_SET)
    left_out = find_pictures([folder / asked]).left_out
    assert left_out == (4 if asked == "." else 1)
    done = Verification(load_spec("uniform"), (), left_out=left_out)
    assert done.to_json()["discarded"] == left_out
    assert any(note.startswith(f"{left_out} picture") and "left out" in note for note in done.notes)


@pytest.mark.parametrize("asked", ["steered/discarded", "previous-1/steered", OF_NO_SET[0]])
def test_what_is_named_itself_counts(tmp_path: Path, asked: str) -> None:
    folder = folder_with(tmp_path, run=True)
    assert len(names(folder, asked)) == 1
    assert len(names(folder, ".", asked)) == 3
    assert find_pictures([folder, folder / asked]).left_out == 3


def test_a_run_is_told_through_a_link_and_from_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_with(tmp_path / "run", run=True)
    (tmp_path / "link").symlink_to(folder)
    assert len(find_pictures([tmp_path / "link"]).files) == 2
    monkeypatch.chdir(folder / "steered")
    assert len(find_pictures([Path()]).files) == 2
    monkeypatch.chdir(tmp_path)
    assert len(find_pictures([Path()]).files) == 2, "links to folders are not followed"


def test_folders_of_such_names_elsewhere_count(tmp_path: Path) -> None:
    assert len(names(folder_with(tmp_path, run=False), ".")) == 6


def test_a_pipe_with_a_picture_s_name_is_not_waited_for(tmp_path: Path) -> None:
    from skin_tone import PictureError
    from skin_tone.files import open_picture

    os.mkfifo(tmp_path / "a.png")
    assert find_pictures([tmp_path]).files == [tmp_path / "a.png"]
    with pytest.raises(PictureError, match="it is a pipe"):
        open_picture(tmp_path / "a.png")
    with pytest.raises(PictureError, match="it is a pipe, a socket or a device"):
        open_picture(Path("/dev/zero"))
