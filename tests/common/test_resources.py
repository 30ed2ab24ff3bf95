"""The shipped files are found from a checkout and in a wheel, and their absence is said plainly."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fairgen.common import resources
from fairgen.errors import UserError


def test_a_checkout_is_found(project_root: Path) -> None:
    assert resources.specs_dir() == project_root / "specs"
    assert (resources.specs_dir() / "uniform-ita6.yaml").is_file()


def _installed(folder: Path, project_root: Path) -> None:
    package = folder / "fairgen"
    package.mkdir()
    (package / "common").mkdir()
    for name in ("__init__.py", "_version.py", "errors.py", "common/__init__.py", "common/resources.py"):
        shutil.copy(project_root / "fairgen" / name, package / name)


def _run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_wheel_carries_them_inside_the_package(tmp_path: Path, project_root: Path) -> None:
    _installed(tmp_path, project_root)
    (tmp_path / "assets").mkdir()  # somebody else's folder beside the package is not ours
    inside = tmp_path / "fairgen" / "_data" / "assets" / "embedded"
    inside.mkdir(parents=True)
    done = _run(tmp_path, "from fairgen.common.resources import embedded_model_dir as e; print(e())")
    assert (done.returncode, Path(done.stdout.strip())) == (0, inside.resolve())


def test_an_incomplete_installation_is_said_in_one_line(tmp_path: Path, project_root: Path) -> None:
    _installed(tmp_path, project_root)
    code = """
from fairgen.common import resources
from fairgen.errors import UserError
try:
    resources.specs_dir()
except UserError as error:
    print(error)
"""
    assert "install fairgen again" in _run(tmp_path, code).stdout
    (tmp_path / "fairgen" / "_data").mkdir()
    assert "specs is missing from this installation" in _run(tmp_path, code).stdout


def test_user_errors_are_one_line() -> None:
    with pytest.raises(UserError) as caught:
        raise UserError("two\nlines,  and\tmore")
    assert str(caught.value) == "two lines, and more"
