"""What a visitor asks for, checked before anything starts, and the work itself; shared by page and API."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from fairgen.errors import UserError
from fairgen.loop.events import Finished, Replayed
from fairgen.runs import RUN_FILE, SessionRun
from fairgen.targets import FairnessSpec
from fairgen.ui.work.engine import Engine
from fairgen.ui.work.folders import RunFolder
from fairgen.ui.work.job import Job
from fairgen.ui.work.limits import Limits, one_of, text, whole
from fairgen.ui.work.live import LiveSet
from fairgen.ui.work.monitors import Monitors
from fairgen.ui.work.visits import Runs, UserRun
from fairgen.ui.work.workshop import UNEXPECTED, Work, Workshop

STEERED, UNSTEERED = "steered", "unsteered"
"""The arms of a run: what was asked for, and its twins."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """What every tab and endpoint of one server shares."""

    engine: Engine
    runs: Runs
    limits: Limits
    workshop: Workshop
    monitors: Monitors = field(default_factory=Monitors)


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
    opened = services.engine.check_options(options or {})
    services.engine.check_fits(model, opened)
    return Job(
        prompt,
        spec,
        whole(count, 1, limits.count, "number of pictures"),
        one_of(steering, names(), "steering"),
        whole(seed, 0, 2**32 - 1, "seed"),
        whole(tries, 1, limits.tries, "number of tries"),
        model,
        check_limit(strength),
        opened,
    )


def begin_set(services: Services, owner: str, job: Job, ticket: object = None) -> UserRun:
    """A fresh run for a set, and the order for it. ``ticket`` is as in `Runs.claim`. Raises `UserError`."""
    services.workshop.require_room()
    run = services.runs.claim(owner, "generate", job.prompt, ticket)
    run.job = job
    services.runs.keep(run, job=job.to_json())
    order_set(services, run, job, STEERED)
    return run


def order_set(services: Services, run: UserRun, job: Job, arm: str, left: SessionRun | None = None) -> Work:
    """Leave the order for a set in the run's folder, or to go on with what a stop ``left`` of it. Raises
    `UserError`.
    """
    live = job.begin(run) if left is None else LiveSet.restored(run, left)
    live.state = "waiting"
    work = services.workshop.submit(run, arm, live, lambda: _made(services, live, job, left))
    run.sets[arm] = work.state  # another tab may have been faster
    return work


def _made(services: Services, live: LiveSet, job: Job, left: SessionRun | None) -> Iterator[LiveSet]:
    """Yields the state after everything that happens. The last one is done, stopped or failed, and the report
    is written by then.
    """
    live.state = "waiting" if services.engine.ready else "loading"
    try:
        yield live
        finished = yield from _sampled(services, live, job, left)
        if live.pictures:
            write_run_report(live.run)
        if finished is not None:
            live.apply(finished)
    except UserError as error:
        live.state, live.error = "failed", str(error)
    except Exception:  # a page that stands still would hide it
        _LOG.exception("a set failed")
        live.state, live.error = "failed", UNEXPECTED
    yield live


def _sampled(
    services: Services, live: LiveSet, job: Job, left: SessionRun | None
) -> Generator[LiveSet, None, Finished | None]:
    """Returns the end, to be told once the report is written: pages that come meanwhile look as well."""
    if live.run.stop.is_set():
        live.state = "stopped"
        return None
    finished: Finished | None = None
    events = services.engine.session(job, live.run, left)
    with closing(events):  # type: ignore[type-var]  # a generator, typed as the iterator that it is
        for event in events:
            if isinstance(event, Finished):
                finished = event
                continue
            live.apply(event)
            if live.run.stop.is_set():
                live.state = "stopped"
                return None
            if not isinstance(event, Replayed):  # what was there before the stop is shown already
                yield live
    return finished


def write_run_report(run: RunFolder) -> None:
    """Write the report, unless the one that is there says all that the run file says."""
    from fairgen.report import write_report

    report, file = run.folder / "report.html", run.folder / RUN_FILE
    if not report.exists() or report.stat().st_mtime_ns < file.stat().st_mtime_ns:
        write_report(run.folder, layout="single")
