"""fairgen's commands in processes of their own, forked from one that has imported what they need.

For tests that start many of them, and look at what they do and not at how they begin: a fresh start takes
seconds to import torch, diffusers, MediaPipe and Gradio.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

_NEEDED = (
    "tests.doubles.warm_commands",
    "fairgen.audit.runner",
    "fairgen.loop.session",
    "fairgen.models.loading",
    "fairgen.report.write",
    "fairgen.ui.server.app",
    "diffusers.guiders",
    "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",
    "transformers.models.clip.modeling_clip",
    "mediapipe",
)


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_NEEDED))
    return context


class WarmCommand:
    """A command of fairgen that runs, used like `subprocess.Popen`.

    Args:
        arguments: what follows ``fairgen`` on the command line.
        cwd: its working directory.
        stdout: file that its standard output is appended to.
        stderr: likewise.
        env: its environment.
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        stdout: Path | str = os.devnull,
        stderr: Path | str = os.devnull,
        env: Mapping[str, str] | None = None,
    ) -> None:
        given = (arguments, str(cwd), str(stdout), str(stderr), dict(os.environ if env is None else env))
        self._process = _context().Process(target=_run, args=given)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """Its exit code; minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end: its exit code.

        Raises:
            TimeoutError: it still runs after ``timeout`` seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(f"process {self.pid} still runs")
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """End it with SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; with what it wrote."""
    with tempfile.TemporaryDirectory() as scratch:
        out, err = Path(scratch) / "out", Path(scratch) / "err"
        code = WarmCommand(*arguments, cwd=cwd, stdout=out, stderr=err).wait()
        return subprocess.CompletedProcess(arguments, code, out.read_text("utf-8"), err.read_text("utf-8"))


def _run(arguments: tuple[str, ...], cwd: str, out: str, err: str, env: dict[str, str]) -> None:
    for number, path in ((1, out), (2, err)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = ["fairgen", *arguments]
    from fairgen.cli import main

    main()
