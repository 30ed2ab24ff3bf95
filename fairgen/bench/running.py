"""Runs the bench's sets one after the other, or in several processes; whatever is finished is kept."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from fairgen.bench.bench import Bench
from fairgen.bench.entries import Entry, find_entry
from fairgen.bench.result import BenchPlan, BenchSet
from fairgen.errors import UserError

__all__ = ["Asked", "Job", "Setup", "missing_jobs", "open_bench", "run_jobs"]


@dataclass(frozen=True)
class Setup:
    """How a bench is opened; travels to other processes."""

    model: str
    device: str
    plan: BenchPlan
    numbers: dict[str, int]
    work: Path


@dataclass(frozen=True)
class Asked:
    """A method as the user named it; see `fairgen.bench.entries.find_entry`."""

    reference: str
    name: str | None = None
    version: str = ""
    url: str | None = None

    def entry(self) -> Entry:
        """Raises `UserError` where there is no such method."""
        return find_entry(self.reference, name=self.name, version=self.version, url=self.url)


@dataclass(frozen=True)
class Job:
    """One prompt: by a method, or (``asked`` None) the readings of its unsteered pictures."""

    prompt: str
    asked: Asked | None = None


@contextlib.contextmanager
def open_bench(setup: Setup) -> Iterator[Bench]:
    """Load the model and the readers.

    Raises:
        UserError: the model cannot be used, or the work folder belongs to another bench.
    """
    from fairgen.models.loading import load_diffusers
    from skin_tone import SkinToneReader
    from skin_tone.faces import FaceFinder
    from skin_tone.second import SecondReader

    generator = load_diffusers(setup.model, setup.device)
    with SkinToneReader() as first, SecondReader() as second, FaceFinder(1) as finder:
        yield Bench(setup.plan, setup.numbers, generator, first, second, finder, setup.work)


def missing_jobs(bench: Bench, asked: Sequence[Asked], *, bias: bool) -> list[Job]:
    """What is not in the work folder yet: the bias over all prompts, then method by method.

    Raises:
        UserError: the work folder holds sets of another version of a method.
    """
    known = bench.work.readings()
    jobs = [Job(prompt) for prompt in bench.numbers if bias and prompt not in known]
    for one in asked:
        record = one.entry().record
        bench.work.claim(record)
        done = bench.work.sets(record.name)
        jobs += [Job(prompt, one) for prompt in bench.plan.prompts if prompt not in done]
    return jobs


_Done = BenchSet | list[float | None]


def run_jobs(bench: Bench, setup: Setup, jobs: Sequence[Job], workers: int = 1) -> Iterator[Job]:
    """Do the jobs, and yield each when what it made is in the work folder.

    Args:
        workers: processes, each with the model in its memory and one thread of torch; 1: this one.

    Raises:
        UserError: a method does not do as it was asked, a process died, or the disk is full.
    """
    if workers == 1:
        for job in jobs:
            _keep(bench, job, _do(bench, job))
            yield job
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    spawned = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, spawned, initializer=_begin, initargs=(setup,))
    try:
        futures = {pool.submit(_do_there, job): job for job in jobs}
        for future in as_completed(futures):
            _keep(bench, futures[future], future.result())
            yield futures[future]
    except BrokenProcessPool as error:
        raise UserError(
            "A process of the bench died, perhaps for want of memory: finished sets are kept, run the same "
            "command again with --workers 1."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _do(bench: Bench, job: Job) -> _Done:
    return bench.read_bias(job.prompt) if job.asked is None else bench.run(job.asked.entry(), job.prompt)


def _keep(bench: Bench, job: Job, done: _Done) -> None:
    if job.asked is not None and isinstance(done, BenchSet):
        bench.work.keep_set(job.asked.entry().record.name, done)
    elif isinstance(done, list):
        bench.work.keep_readings(job.prompt, done)


_THERE: list[Bench] = []
"""The bench of a worker process."""
_OPENED = contextlib.ExitStack()
"""Keeps that bench's readers open for as long as the process lives."""


def end_with_parent() -> None:
    """A worker process ends when the one that began it is gone, however that one ended."""

    def watch(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    if parent := multiprocessing.parent_process():
        threading.Thread(target=watch, args=(parent,), daemon=True).start()


def _begin(setup: Setup) -> None:
    import torch

    end_with_parent()
    # Ctrl-C reaches every process of the terminal; only the first one has something to say.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    torch.set_num_threads(1)
    _THERE.append(_OPENED.enter_context(open_bench(setup)))


def _do_there(job: Job) -> _Done:
    return _do(_THERE[0], job)
