"""The machine and the code that an audit ran on, as far as its pictures may depend on them."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from fairgen.runs import Host


def describe_host(device: str) -> Host:
    """This machine. ``device``: where the model runs, such as "cpu" or "cuda"."""
    return Host(
        platform=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        processor=_processor(),
        cores=processors(),
        device=_accelerator(device),
    )


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # no Linux: the platform module knows as much as there is to know
    return platform.processor()


def _accelerator(device: str) -> str:
    if not device.startswith("cuda"):
        return ""
    import torch

    return str(torch.cuda.get_device_name(device))


def commit_of(folder: Path) -> str | None:
    """The git commit of a folder, with a ``+`` where tracked files were changed; None outside a repository
    or without git.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else commit


def fairgen_commit() -> str | None:
    """The commit of fairgen itself, where it runs from a checkout."""
    root = Path(__file__).resolve().parents[3]
    return commit_of(root) if (root / ".git").exists() else None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
