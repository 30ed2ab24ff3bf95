"""Runs the commands of a piece, and takes figures out of the pages that nothing has measured."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tools.figures.index import NOT_MEASURED, Piece

_LAST_SECONDS = 30.0
"""For a command that is stopped to finish what it writes."""


class Failed(Exception):
    """A command of a piece ended with another code than 0."""


def measure(name: str, piece: Piece, given: Mapping[str, str], root: Path) -> float:
    """Run a piece's commands from the root of the repository, with this interpreter for ``python``.

    Every command goes on where an earlier call was stopped, if it can be continued at all; its work folder is
    kept until then.

    Args:
        name: the piece's name; its folder of work bears it.
        piece: what to measure.
        given: material -> path; ``work`` is the folder of all pieces' work.
        root: the root of the repository.

    Returns:
        Seconds that it took.

    Raises:
        Failed: a command failed; what it said stands in the terminal.
    """
    work = Path(given["work"]) / name
    work.mkdir(parents=True, exist_ok=True)
    paths = {key: shlex.quote(value) for key, value in given.items()} | {"work": shlex.quote(str(work))}
    begun = time.monotonic()
    for command in piece.commands:
        parts = shlex.split(command.format_map(paths))
        if parts[0] == "python":
            parts[0] = sys.executable
        ended = _run(parts, root, home=work / "home")
        if ended:
            raise Failed(f"{command} ended with {ended}")
    return time.monotonic() - begun


def _run(command: list[str], root: Path, home: Path) -> int:
    """Run a command in a session of its own, so that a stop reaches its workers too, and reaches it once; and
    in a home of its own, for figures are of the calibrations that ship and of none that a user keeps.
    """
    env = os.environ | {"PYTHONPATH": str(root), "FAIRGEN_HOME": str(home)}
    with subprocess.Popen(command, cwd=root, env=env, start_new_session=True) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            os.killpg(child.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_LAST_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise


def retire(name: str, piece: Piece, root: Path) -> list[str]:
    """Take a piece's figures out: its JSON files go, and its tables say that they are not measured yet.

    Returns:
        What still states them in sentences, for a person to reword.
    """
    for path in piece.written(root):
        path.unlink()
    for table in piece.tables:
        table.put(root, NOT_MEASURED.format(name=name))
    return [f"{one.page}: {one.text}" for one in piece.states]
