"""The embedded model with two steps instead of twelve, for tests that need many pictures: a fixture."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

STEPS = 2


@pytest.fixture(scope="session")
def quick_model(tmp_path_factory: pytest.TempPathFactory, embedded_model: Path) -> Path:
    """Its folder, with the embedded model's calibration as its own: to make one takes minutes."""
    from fairgen.models.loading import load_model
    from fairgen.steering.calibration import Calibration, save_calibration

    folder = tmp_path_factory.mktemp("quick") / "quick"
    shutil.copytree(embedded_model, folder, copy_function=os.symlink)
    settings = json.loads((embedded_model / "fairgen.json").read_text("utf-8"))
    (folder / "fairgen.json").unlink()
    (folder / "fairgen.json").write_text(json.dumps(settings | {"steps": STEPS}), "utf-8")
    info = load_model(str(folder), "cpu").info
    for file in (embedded_model / "calibrations").glob("*.json"):
        calibration = Calibration.model_validate_json(file.read_text("utf-8"))
        save_calibration(calibration.model_copy(update={"steps": STEPS}), info, folder / "calibrations")
    return folder
