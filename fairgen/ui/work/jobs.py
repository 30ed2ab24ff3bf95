"""What a visitor asks for, checked before anything starts, and the work itself; shared by page and API."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from fairgen.errors import UserError
from fairgen.loop.events import Replayed
from fairgen.runs import RUN_FILE, SessionRun
from fairgen.targets import FairnessSpec
from fairgen.ui.work.engine import Engine
from fairgen.ui.work.job import Job
from fairgen.ui.work.limits import Limits, one_of, text, whole
from fairgen.ui.work.live import LiveSet
from fairgen.ui.work.visits import Runs, UserRun

SAMPLING = "sampling"
"""Concurrency id of whatever samples: one at a time, the others see their place in the queue."""
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


def checked_job(
    services: Services,
    *,
    prompt: Any,
    spec: FairnessSpec,
    count: Any,
    steering: Any,
    seed: Any,
    tries: Any,
    model: Any,
    strength: Any,
    options: Any = None,
) -> Job:
    """The job, if everything that can be known beforehand is in order. Raises `UserError`."""
    from fairgen.common.text import MAX_PROMPT, check_prompt
    from fairgen.steering.continuous import check_limit
    from fairgen.steering.registry import names

    limits = services.limits
    # A box of two lines invites line breaks, which no prompt has.
    prompt = check_prompt(" ".join(text(prompt, MAX_PROMPT, "prompt").split()))
    model = services.engine.check_model(model)
    services.engine.check_prompt(model, prompt)
    return Job(
        prompt,
        spec,
        whole(count, 1, limits.count, "number of pictures"),
        one_of(steering, names(), "steering"),
        whole(seed, 0, 2**32 - 1, "seed"),
        whole(tries, 1, limits.tries, "number of tries"),
        model,
        check_limit(strength),
        services.engine.check_options(options or {}),
    )


def make_set(
    services: Services, run: UserRun, job: Job, arm: str = "steered", left: SessionRun | None = None
) -> Iterator[LiveSet]:
    """Make the set in the run's folder, or go on with what a stop ``left`` of it; yields its state after
    everything that happens.

    The last state is done, stopped or failed, and the report is written by then. Closing the iterator ends
    the session; what was made stays.
    """
    live = job.begin(run) if left is None else LiveSet.restored(run, left)
    live.state = "waiting"
    if not services.engine.ready:
        live.state = "loading"
    run.sets[arm] = live
    try:
        yield live
        yield from _sampled(services, live, job, left)
        if live.pictures:
            write_run_report(run)
    except UserError as error:
        live.state, live.error = "failed", str(error)
    except Exception:  # a page that stands still would hide it
        _LOG.exception("a set failed")
        live.state, live.error = "failed", UNEXPECTED
    except GeneratorExit:  # the visitor left; who comes back shall not see it running
        live.state = "stopped"
        raise
    yield live


def unsteered(job: Job) -> Job:
    """The same job without steering: its pictures are the twins of the first tries."""
    return replace(job, steering="none")


def _sampled(services: Services, live: LiveSet, job: Job, left: SessionRun | None) -> Iterator[LiveSet]:
    if live.run.stop.is_set():
        live.state = "stopped"
        return
    events = services.engine.session(
        job.model,
        job.prompt,
        job.spec,
        job.count,
        steering=job.steering,
        options=job.options,
        owner=live.run.id,
        seed=job.seed,
        max_tries=job.tries,
        limit=job.strength,
        out_dir=live.run.folder,
        resume=left,
    )
    with closing(events):  # type: ignore[type-var]  # a generator, typed as the iterator that it is
        for event in events:
            live.apply(event)
            if live.run.stop.is_set() and live.running:
                live.state = "stopped"
                return
            # The end is told once the report is written; what was there before the stop is shown already.
            if live.running and not isinstance(event, Replayed):
                yield live


def write_run_report(run: UserRun) -> None:
    """Write the report, unless the one that is there says all that the run file says."""
    from fairgen.report import write_report

    report, file = run.folder / "report.html", run.folder / RUN_FILE
    if not report.exists() or report.stat().st_mtime_ns < file.stat().st_mtime_ns:
        write_report(run.folder)
