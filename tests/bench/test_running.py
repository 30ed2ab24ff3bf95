"""The bench's worker processes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

KILLED = """
import os, signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from fairgen.bench.running import end_with_parent
if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def alive(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_no_worker_outlives_a_bench_that_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED, "utf-8")
    # One line, not the whole output: a worker that stays behind keeps its end open.
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as bench:
        assert bench.stdout is not None
        worker = int(bench.stdout.readline())
        bench.wait()
        last = time.monotonic() + 300
        while alive(worker):
            assert time.monotonic() < last, "the worker is still there"
            time.sleep(0.05)
