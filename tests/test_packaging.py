"""The package as others meet it: what an import costs, what wheel and locks hold, what tracked files say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HEAVY = ("torch", "diffusers", "transformers", "mediapipe", "cv2", "gradio", "jax", "matplotlib")


def run(*arguments: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Python with these arguments, warnings as errors; it imports from `path`, if given, before all else."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize(
    "arguments",
    [("-c", "import fairgen"), ("-c", "import skin_tone"), ("-m", "fairgen", "--help")],
    ids=["fairgen", "skin_tone", "help"],
)
def test_heavy_modules_are_imported_late(arguments: tuple[str, ...], project_root: Path) -> None:
    done = run("-X", "importtime", *arguments, cwd=project_root)
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert imported & {"fairgen", "skin_tone"}, "the list of imports was not read"
    assert imported.isdisjoint(HEAVY)


def test_skin_tone_stands_alone(project_root: Path) -> None:
    for source in (project_root / "skin_tone").rglob("*.py"):
        assert not re.search(r"^\s*(from|import) fairgen\b", source.read_text(encoding="utf-8"), re.M), source


def test_the_wheel_brings_its_assets_and_specs(project_root: Path, tmp_path: Path) -> None:
    wheel = Path(next(WheelBuilder(str(project_root)).build(directory=str(tmp_path), versions=["standard"])))
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert {p.name for p in site.iterdir() if p.suffix != ".dist-info"} == {"fairgen", "skin_tone"}
    data = site / "fairgen" / "_data"
    for folder in ("assets", "specs"):
        shipped = {p.relative_to(project_root) for p in (project_root / folder).rglob("*") if p.is_file()}
        packed = {p.relative_to(data) for p in (data / folder).rglob("*")}
        assert shipped <= packed, f"{folder}/ is not in the wheel"

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = run(
        "-c",
        "import fairgen, fairgen.common.resources as r; from fairgen.targets import load_spec\n"
        "r.shipped_benchmark('reader_confusion.json'); r.shipped_benchmark('reader_abroad.json')\n"
        "print(fairgen.__file__); print(r.specs_dir()); print(load_spec('uniform').scale)",
        cwd=elsewhere,
        path=site,
    )
    assert done.returncode == 0, done.stderr
    package, specs, scale = done.stdout.split()
    assert Path(package).is_relative_to(site)
    assert Path(specs).is_relative_to(site)
    assert scale == "ita6"
    assert list(elsewhere.iterdir()) == []


def test_the_reader_is_a_distribution_of_its_own(project_root: Path, tmp_path: Path) -> None:
    folder = project_root / "skin_tone"
    wheel = Path(next(WheelBuilder(str(folder)).build(directory=str(tmp_path), versions=["standard"])))
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info" not in name}
    needed = {p.name for p in folder.iterdir() if p.is_file()} - {"pyproject.toml", "README.md"}
    assert packed == {f"skin_tone/{name}" for name in needed | {"LICENSE", "NOTICE"}}
    own = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    whole = tomllib.loads((project_root / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(own["dependencies"]) <= set(whole["dependencies"])
    assert own["requires-python"] == whole["requires-python"]
    imported = {
        name
        for source in folder.glob("*.py")
        for name in re.findall(r"^\s*(?:from|import) ([a-zA-Z_]\w*)", source.read_text("utf-8"), re.M)
    }
    outside = imported - set(sys.stdlib_module_names) - {"skin_tone"}
    declared = {canonicalize_name(Requirement(text).name) for text in own["dependencies"]}
    names = {"PIL": "pillow", "skimage": "scikit-image"}
    assert {canonicalize_name(names.get(name, name)) for name in outside} == declared


def pins(lock: Path) -> dict[str, str]:
    """Name -> version of a lock file; all but plain pins, comments and `-r requirements.txt` fails."""
    found: dict[str, str] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or line == "-r requirements.txt":
            continue
        pin = re.fullmatch(r"([a-z0-9._-]+)==([0-9][0-9a-z.]*)", line)
        assert pin, f"{lock.name}: not a plain pin: {line}"
        found[canonicalize_name(pin[1])] = pin[2]
    return found


def test_the_locks_satisfy_the_declared_dependencies(project_root: Path) -> None:
    project = tomllib.loads((project_root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    run_time = pins(project_root / "requirements.txt")
    development = run_time | pins(project_root / "requirements-dev.txt")
    for lock, requirements in (
        (run_time, project["dependencies"]),
        (development, [r for name, extra in extras.items() if name != "docs" for r in extra]),
        (pins(project_root / "requirements-docs.txt"), extras["docs"]),
    ):
        for text in requirements:
            requirement = Requirement(text)
            version = lock.get(canonicalize_name(requirement.name))
            assert version, f"{requirement.name} is in no lock: run make lock"
            assert requirement.specifier.contains(version), (
                f"locked {requirement.name} {version}: run make lock"
            )


def tracked_text(root: Path) -> list[tuple[str, str]]:
    """(path, text) of each text file that git tracks or would, as it lies in the working tree."""
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
    files = []
    for name in listing.stdout.split("\0"):
        path = root / name
        if name and path.is_file():
            content = path.read_bytes()
            if b"\0" not in content[:8192]:
                files.append((name, content.decode("utf-8")))
    assert files
    return files


def offences(files: list[tuple[str, str]], pattern: str, *, quoted_in: tuple[str, ...] = ()) -> list[str]:
    """`path:line: text` of each match; in files with an ending of `quoted_in`, quotations do not count."""
    found = []
    for name, text in files:
        for number, line in enumerate(text.splitlines(), start=1):
            said = re.sub(r'"[^"]*"|“[^”]*”', "", line) if name.endswith(quoted_in) else line
            if re.search(pattern, said, re.I):
                found.append(f"{name}:{number}: {line.strip()[:120]}")
    return found


def test_the_words_that_this_field_learnt_to_avoid(project_root: Path) -> None:
    """Mitigate, assess, steer; documents may quote others who say it differently, code may not."""
    pattern = r"\b(de-?" + r"bias(ed|es|ing)?|un" + r"bias(ed)?)\b"
    assert re.search(pattern, "a de" + "biased model")
    assert offences(tracked_text(project_root), pattern, quoted_in=(".md",)) == []


def test_no_path_of_one_machine_is_tracked(project_root: Path) -> None:
    pattern = r"(?<![\w./-])/(" + "work|root|home/(?!somebody)[a-z]" + r"\w*)(/|\b)"
    assert re.search(pattern, "see /" + "root/x")
    assert offences(tracked_text(project_root), pattern) == []


def test_no_tracked_source_file_holds_two_ideas(project_root: Path) -> None:
    sources = [
        (name, len(text.splitlines())) for name, text in tracked_text(project_root) if name.endswith(".py")
    ]
    assert [(name, lines) for name, lines in sources if lines > 420] == []  # "about 400"
