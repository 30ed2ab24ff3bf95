"""Resolve pyproject.toml afresh and write the tested locks: requirements.txt, -dev.txt and -docs.txt.

Run it by `make lock`, on Python 3.11, then run the tests before committing what changed. Local version labels
such as `+cpu` are dropped, so that `torch==2.13.0` picks the CPU build where an index offers one and the
usual build elsewhere.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
RUN_TIME = """\
# The tested lock of what fairgen needs, for Python 3.11 and 3.12: `make lock` writes it, see pyproject.toml.
"""
DEVELOPMENT = """\
# The tested lock of what the tests and tools/portraits need on top (make lock writes it).
-r requirements.txt
"""
DOCUMENTATION = """\
# The tested lock of what `make docs` needs, in an environment of its own (make lock writes it).
"""


def resolve(requirements: list[str]) -> dict[str, str]:
    """Name -> version of all that pip would install into an empty environment for `requirements`.

    Raises subprocess.CalledProcessError if pip finds no resolution.
    """
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*command, "--report", str(report), *requirements], check=True)
        packages = json.loads(report.read_text())["install"]
    return {p["metadata"]["name"].lower(): p["metadata"]["version"].partition("+")[0] for p in packages}


def main() -> None:
    """Write the locks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    run_time = resolve(project["dependencies"])
    extras = project["optional-dependencies"]
    pinned = [f"{name}=={version}" for name, version in run_time.items()]
    every = resolve([*pinned, *(line for name in extras if name != "docs" for line in extras[name])])
    for name, header, lock in (
        ("requirements.txt", RUN_TIME, run_time),
        ("requirements-dev.txt", DEVELOPMENT, {k: v for k, v in every.items() if k not in run_time}),
        ("requirements-docs.txt", DOCUMENTATION, resolve(extras["docs"])),
    ):
        lines = [f"{package}=={version}\n" for package, version in sorted(lock.items())]
        (ROOT / name).write_text(header + "".join(lines))


if __name__ == "__main__":
    main()
