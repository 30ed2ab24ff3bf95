"""``--workers``, ``--ray`` and ``--threads``: where an audit's pictures are made."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common

if TYPE_CHECKING:
    from fairgen.audit.workers.crew import Crew
    from fairgen.models.contract import Model
    from fairgen.models.options import ModelOptions
    from skin_tone.pool import ReaderPool

WORKERS = typer.Option(
    None,
    "--workers",
    min=1,
    max=256,
    help="Make the pictures in so many processes on this machine, each with the model on a GPU of its own or "
    "on its share of the cores (needs fairgen\\[ray]).",
)
RAY = typer.Option(
    None,
    "--ray",
    metavar="ADDRESS",
    help="Make the pictures on a Ray cluster: auto, host:port or ray://host:port; a worker for each GPU, or "
    "--workers of them.",
)
THREADS = typer.Option(
    None,
    "--threads",
    min=1,
    max=1024,
    help="CPU threads of a model; the last bits of pictures depend on it. By default all cores, divided by "
    "the workers.",
)


@contextlib.contextmanager
def makers(
    model: str,
    device: str,
    options: ModelOptions,
    *,
    workers: int | None,
    address: str | None,
    threads: int | None,
) -> Iterator[tuple[Model, ReaderPool, Crew | None]]:
    """What makes an audit's pictures, readers for this process, and the crew where there are workers."""
    if workers is None and address is None:
        with _torch_threads(threads), common.loaded(model, device, options) as (generator, reader):
            yield generator, reader, None
        return
    from fairgen.audit.workers.cluster import connected
    from fairgen.audit.workers.crew import Crew
    from fairgen.audit.workers.worker import model_loader
    from skin_tone.pool import ReaderPool

    console = common.stderr()
    say = functools.partial(common.say, console=console)
    with contextlib.ExitStack() as stack:
        with console.status("Starting workers …"):
            layout = stack.enter_context(connected(address, workers=workers, device=device, threads=threads))
            load = model_loader(model, layout.device, layout.threads, options)
            crew = stack.enter_context(Crew(load, layout, say))
        say(layout.said())
        yield crew, stack.enter_context(ReaderPool()), crew


@contextlib.contextmanager
def _torch_threads(number: int | None) -> Iterator[None]:
    """As many threads of torch; None leaves them as they are."""
    if number is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
