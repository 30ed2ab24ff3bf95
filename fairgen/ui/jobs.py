"""What a visitor asks for, checked before anything starts, and the work itself; shared by page and API."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from fairgen.errors import UserError
from fairgen.spec import FairnessSpec
from fairgen.ui.engine import Engine
from fairgen.ui.limits import Limits, one_of, text, whole
from fairgen.ui.live import LiveSet
from fairgen.ui.runs import Runs, UserRun

UNEXPECTED = (
    "The server met an unexpected error; what was made before it is kept. Whoever runs the server finds the "
    "details in its log."
)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """What every tab and endpoint of one server shares."""

    engine: Engine
    runs: Runs
    limits: Limits


@dataclass(frozen=True)
class Job:
    """One set to make."""

    prompt: str
    spec: FairnessSpec
    count: int
    steering: str
    seed: int
    tries: int
    model: str

    @classmethod
    def checked(
        cls,
        services: Services,
        *,
        prompt: Any,
        spec: FairnessSpec,
        count: Any,
        steering: Any,
        seed: Any,
        tries: Any,
        model: Any,
    ) -> Job:
        """The job, if everything that can be known beforehand is in order. Raises `UserError`."""
        from fairgen.session import MAX_PROMPT
        from fairgen.steering import TECHNIQUES

        limits = services.limits
        prompt = text(prompt, MAX_PROMPT, "prompt").strip()
        if not prompt:
            raise UserError(
                "The prompt is empty: say what the pictures shall show, such as 'a portrait of a doctor'."
            )
        return cls(
            prompt,
            spec,
            whole(count, 1, limits.count, "number of pictures"),
            one_of(steering, TECHNIQUES, "steering"),
            whole(seed, 0, 2**32 - 1, "seed"),
            whole(tries, 1, limits.tries, "number of tries"),
            services.engine.check_model(model),
        )

    def begin(self, run: UserRun) -> LiveSet:
        """The set before anything happened."""
        return LiveSet(run, self.spec.scale, self.spec.target_for(self.prompt), self.count)


def make_set(services: Services, run: UserRun, job: Job, arm: str = "steered") -> Iterator[LiveSet]:
    """Make the set in the run's folder; yields its state after everything that happens.

    The last state is done, stopped or failed, and the report is written by then. Closing the iterator ends
    the session; what was made stays.
    """
    live = job.begin(run)
    if not services.engine.ready:
        live.state = "loading"
    run.sets[arm] = live
    yield live
    try:
        yield from _sampled(services, live, job)
        if live.pictures:
            _write_report(run)
    except UserError as error:
        live.state, live.error = "failed", str(error)
    except Exception:  # a page that stands still would hide it
        _LOG.exception("a set failed")
        live.state, live.error = "failed", UNEXPECTED
    yield live


def unsteered(job: Job) -> Job:
    """The same job without steering: its pictures are the twins of the first tries."""
    return replace(job, steering="none")


def _sampled(services: Services, live: LiveSet, job: Job) -> Iterator[LiveSet]:
    if live.run.stop.is_set():
        live.state = "stopped"
        return
    events = services.engine.session(
        job.model,
        job.prompt,
        job.spec,
        job.count,
        steering=job.steering,
        seed=job.seed,
        max_tries=job.tries,
        out_dir=live.run.folder,
    )
    with closing(events):  # type: ignore[type-var]  # a generator, typed as the iterator that it is
        for event in events:
            live.apply(event)
            if live.run.stop.is_set() and live.running:
                live.state = "stopped"
                return
            if live.running:  # the end is told once the report is written
                yield live


def _write_report(run: UserRun) -> None:
    from fairgen.report import write_report

    write_report(run.folder)
