"""Pictures that a run discarded are named where they are verified with its set."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairgen.scoring.verify import PictureResult, Verification
from fairgen.targets import load_spec


@pytest.mark.parametrize(("run", "named"), [(True, True), (False, False)])
def test_discarded_pictures_of_a_run_are_named(tmp_path: Path, run: bool, named: bool) -> None:
    files = [tmp_path / "steered" / "000_tan.png", tmp_path / "steered" / "discarded" / "0003_tan.png"]
    if run:
        (tmp_path / "run.jsonl").touch()
    done = Verification(load_spec("uniform"), tuple(PictureResult(f, measured="tan") for f in files))
    assert any(note.startswith("1 of these pictures was discarded") for note in done.notes) is named
