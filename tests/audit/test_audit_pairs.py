"""Random pairs of processes on one run: nothing is lost, and it ends as if nobody had disturbed it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("pairs", [4, pytest.param(60, marks=pytest.mark.exhaustive)])
def test_two_processes_at_once_leave_a_run_whole(tmp_path: Path, pairs: int) -> None:
    command = [sys.executable, "-m", "tests.doubles.pairs", str(tmp_path), "--pairs", str(pairs), "--seed=3"]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["pairs"] == pairs
    assert last["equal"] == last["runs"] > 0
