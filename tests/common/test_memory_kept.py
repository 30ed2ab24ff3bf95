"""Freed memory that is kept: the system is not asked for the same blocks again and again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = """
import resource, sys
from fairgen.common.memory import keep_freed_memory

if sys.argv[1] == "kept":
    assert keep_freed_memory()

def blocks():
    for _ in range(20):
        bytearray(b"x") * 40_000_000

blocks()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
blocks()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_blocks_that_were_freed_are_used_again(project_root: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", FAULTS, how],
                env=environment | {"PYTHONPATH": str(project_root)},
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for how in ("given back", "kept")
    ]
    assert faults[1] < faults[0] / 20
