"""Ray, quietly: a private instance on this machine or somebody's cluster, and how workers are laid out on it.

Needs the extra ``fairgen[ray]``. Ray is imported by `connected` only; its usage statistics and its dashboard
are off, and what it would print stays off the terminal.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from fairgen.audit.workers.host import processors
from fairgen.common.files import work_folder
from fairgen.errors import UserError

_STORE = 512 * 1024 * 1024
"""Bytes of shared memory for pictures on their way; what exceeds it goes through the disk."""
_CONNECT = 10.0
"""Seconds for a cluster to answer."""
_LONGEST_TEMP = 45
"""Characters: Ray puts sockets below its folder, and a socket's path has 107 at most."""


@dataclass(frozen=True)
class Layout:
    """Workers on a cluster, one for each device."""

    workers: int
    device: str
    """"cuda" or "cpu"."""
    threads: int | None
    """Torch's threads in a worker; None where it is not on a CPU."""
    local: bool

    def options(self) -> dict[str, Any]:
        """What an actor asks Ray for. The crew replaces a worker that died, not Ray: work must not wait for
        its return while others are free.
        """
        options: dict[str, Any] = {"max_restarts": 0, "max_task_retries": 0, "num_cpus": 1}
        if self.device == "cuda":
            options["num_gpus"] = 1
        elif not self.local:
            options["num_cpus"] = self.threads
            options["scheduling_strategy"] = "SPREAD"
        return options

    def said(self) -> str:
        """For the user: how many, where, and what one process would have to be told to make the same."""
        where = "on this machine" if self.local else "on the cluster"
        number = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        if self.threads is None:
            return f"{number} {where}, one for each GPU."
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        same = f"the same pictures as one process with --threads {self.threads}"
        return f"{number} {where}, {threads} each: {same}."


def require_ray() -> Any:
    """The module ``ray``, with what keeps it quiet set before it is imported.

    Raises `UserError` that names the extra where it is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray prints its daemons' messages on standard output, which belongs to --json.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")
    try:
        import ray
    except ImportError as error:
        raise UserError(
            'Workers need the extra ray: install it with pip install "fairgen[ray]", or leave out --workers '
            "and --ray."
        ) from error
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return ray


@contextmanager
def connected(
    address: str | None, *, workers: int | None, device: str, threads: int | None
) -> Iterator[Layout]:
    """Start Ray on this machine, or connect to a cluster; ended or left afterwards.

    Args:
        address: None for this machine, else "auto", "host:port" or "ray://host:port". workers: default: one
            for each GPU of the cluster, without GPUs one for each of its machines.
        device: "auto" (GPUs where there are any), "cuda" or "cpu". threads: of a worker on a CPU; default: a
            machine's processors divided by its workers.

    Raises:
        UserError: ray is not installed, the cluster cannot be reached, or has not what is asked for.
    """
    ray = require_ray()
    if device not in ("auto", "cuda", "cpu"):
        raise UserError(
            f"Workers take --device auto, cuda or cpu, not {device!r}: Ray chooses among the GPUs."
        )
    with ExitStack() as held:
        if address is None:
            temporary = held.enter_context(work_folder(_place_of_sockets(), "fairgen-ray"))
            held.callback(ray.shutdown)
            _start_here(ray, workers or 1, temporary)
        else:
            held.callback(ray.shutdown)
            _connect(ray, address)
        yield _layout(ray, address is None, workers, device, threads)


def _place_of_sockets() -> Path:
    """Where Ray's folder lies; what killed audits left there is deleted when the next begins."""
    base = tempfile.gettempdir()
    return Path(base if len(base) <= _LONGEST_TEMP - len("/.fairgen-ray.12345678.tmp") else "/tmp")


def _start_here(ray: Any, workers: int, temporary: Path) -> None:
    # Only this process and its workers may speak to it; by itself Ray leaves a token in the home folder.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        ray.init(
            address="local",
            num_cpus=max(workers, processors()),
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=_STORE,
            _temp_dir=str(temporary),
            # Ray's own niceness of 15 lets everything else on the machine go first.
            _system_config={"worker_niceness": 0},
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(f"Ray could not be started on this machine: {_first_line(error)}") from error


def _connect(ray: Any, address: str) -> None:
    try:
        if "://" not in address and address != "auto":
            # Ray itself tries for a minute.
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=_CONNECT).close()
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except ImportError as error:
        raise UserError(
            "An address that begins with ray:// needs Ray's client: pip install 'ray[client]', or run the "
            "audit on a machine of the cluster with --ray auto."
        ) from error
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise UserError(
            f"There is no Ray cluster at {address!r} that can be used ({_first_line(error)}): check the "
            "address, and that `ray status` works there with the same versions of Ray and Python."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def _layout(ray: Any, local: bool, workers: int | None, device: str, threads: int | None) -> Layout:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    if device == "cuda" or (device == "auto" and gpus):
        chosen = gpus if workers is None else workers
        if chosen > gpus or not gpus:
            raise UserError(
                f"Each worker needs a GPU of its own, and Ray has {gpus}: ask for at most as many --workers, "
                "or for --device cpu."
            )
        return Layout(chosen, "cuda", None, local)
    if local:
        chosen = workers or 1
        return Layout(chosen, "cpu", threads or max(1, processors() // chosen), local)
    sizes = sorted((int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1), reverse=True)
    chosen = workers or len(sizes)
    if not sizes:
        raise UserError("The Ray cluster offers no processors: add a machine to it.")
    if threads is None:
        smallest = sizes[: min(chosen, len(sizes))][-1]
        threads = max(1, smallest // ceil(chosen / len(sizes)))
    room = sum(size // threads for size in sizes)
    if chosen > room:
        raise UserError(
            f"{chosen} workers with {threads} threads each do not fit into the cluster, which has room for "
            f"{room}: ask for fewer --workers or --threads."
        )
    return Layout(chosen, "cpu", threads, local)
