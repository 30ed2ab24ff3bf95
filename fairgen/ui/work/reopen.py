"""Runs that a visitor comes back to: their sets, and what was asked for, as the run file holds them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fairgen.common.text import isolated
from fairgen.errors import UserError
from fairgen.models.options import SAMPLING, ModelOptions
from fairgen.runs import RUN_FILE, AuditRecord, ModelInfo, SessionRecord, SessionRun, parse_record, read_run
from fairgen.steering.registry import NONE, label
from fairgen.targets import FairnessSpec
from fairgen.ui.work.job import Job
from fairgen.ui.work.jobs import STEERED, UNSTEERED, Services, order_set
from fairgen.ui.work.limits import MOST_STRENGTH
from fairgen.ui.work.live import LiveSet
from fairgen.ui.work.visits import UserRun, visit_of
from fairgen.ui.work.workshop import LOOK_AGAIN, Work

SUMMARY = "summary.json"
_TAIL = 1 << 16
"""Bytes at the end of a run file that a summary's beginning is looked for in; a summary is a few thousand."""


@dataclass(frozen=True)
class Glance:
    """What a list of runs says of one."""

    title: str
    """The prompt of a set, or how many prompts an audit has."""
    audit: bool
    target: str
    """The name of the spec, or how many there are."""
    count: int
    """Places, over all sets."""
    when: datetime
    done: bool
    """Whether its last set ended by itself."""
    session: str = ""
    """Name of a run's first set, which is that of its folder of pictures."""

    @property
    def label(self) -> str:
        """One line for people."""
        places = f"{self.count} {'place' if self.count == 1 else 'places'}"
        stopped = "" if self.done else ", stopped"
        return f"{isolated(self.title)} ({places}{stopped}, {self.target}, {self.when:%Y-%m-%d %H:%M:%S} UTC)"


def glance(folder: Path) -> Glance | None:
    """What the ends of a run file tell at once, or what was asked for where there is none yet; None where the
    folder holds neither a set nor an audit.
    """
    if not (folder / RUN_FILE).is_file():
        return _ordered(folder)
    try:
        with (folder / RUN_FILE).open("rb") as file:
            file.readline()
            record = parse_record(file.readline())
            end = file.seek(0, 2)
            file.seek(max(0, end - _TAIL))
            last = file.read().rstrip(b"\n").rpartition(b"\n")[2]
    except (OSError, ValueError):
        return None
    done = last.startswith(b'{"type":"summary"')
    if isinstance(record, SessionRecord):
        spec, count, when = _name(record.spec), record.count, record.started_at
        return Glance(record.prompt, False, spec, count, when, done, record.session)
    if isinstance(record, AuditRecord):
        # A run file has no last line of its own for an audit; its summary is written at the end.
        done = (folder / SUMMARY).is_file()
        counts = [prompt.count for prompt in record.prompts]
        return _audit_glance(counts, record.arms, record.specs.values(), record.started_at, done=done)
    return None


def _ordered(folder: Path) -> Glance | None:
    kept = visit_of(folder)
    try:
        when = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
        if "audit" in kept:
            plan = kept["audit"]
            counts = [prompt["count"] for prompt in plan["prompts"]]
            return _audit_glance(counts, plan["arms"], plan["specs"].values(), when, done=False)
        job = Job.from_json(kept["job"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return Glance(job.prompt, False, isolated(job.spec.name), job.count, when, False)


def _audit_glance(
    counts: Sequence[int], arms: Sequence[str], specs: Iterable[Any], when: datetime, *, done: bool
) -> Glance:
    prompts = f"{len(counts)} {'prompt' if len(counts) == 1 else 'prompts'}"
    names = {_name(spec) for spec in specs}
    title = f"Audit of {prompts}: {', '.join(label(arm) for arm in arms)}"
    target = names.pop() if len(names) == 1 else f"{len(names)} targets"
    return Glance(title, True, target, len(arms) * sum(counts), when, done)


def _name(spec: Mapping[str, Any]) -> str:
    return isolated(str(spec.get("name", "by hand")))


def sets_of(run: UserRun) -> dict[str, LiveSet]:
    """Arm -> set: those that this server has in memory, else those of the run file; a set that the server
    never began, since it ended before, is stopped. Raises `UserError`.
    """
    if not run.sets:
        run.sets.update({arm: LiveSet.restored(run, session) for arm, session in _arms(run).items()})
    if not run.sets and (job := _kept_job(run)) is not None:
        run.sets[STEERED] = job.begin(run)
        run.sets[STEERED].state = "stopped"
    return run.sets


def unfinished(run: UserRun, arm: str) -> SessionRun | None:
    """What a stop left of a set, to go on with; None where it is done or was never begun."""
    session = _arms(run).get(arm)
    return None if session is None or session.finished else session


def job_of(services: Services, run: UserRun) -> Job:
    """What a run was asked for. Raises `UserError` where it is none of a single prompt, or where its model
    is not to be had here.
    """
    if run.job is None:
        run.job = _kept_job(run)
    if run.job is None:
        session = _arms(run).get(STEERED)
        if session is None:
            raise UserError("Only a set of pictures for one prompt has twins, or can be continued here.")
        record = session.record
        run.job = Job(
            record.prompt,
            FairnessSpec.model_validate(record.spec),
            record.count,
            record.steering,
            record.seed,
            record.max_tries,
            services.engine.check_model(record.model.name),
            record.technique.get("limit", MOST_STRENGTH),
            opened_as(record.model),
        )
    return run.job


@dataclass(frozen=True)
class Sets:
    """The sets of a run at one moment."""

    steered: LiveSet
    plain: LiveSet | None
    """The unsteered twins."""
    running: bool
    """Whether one of them waits or is being made."""
    version: int
    """Grows with each change while something runs."""


async def watched(services: Services, run: UserRun) -> AsyncIterator[Sets]:
    """The sets of a run whenever something has changed, until nothing more is made of it. Raises `UserError`
    where it holds none.
    """
    before: tuple[int, bool] | None = None
    while True:
        works = services.workshop.of(run)
        running = any(not work.ended for work in works.values())
        now = (sum(work.version for work in works.values()), running)
        if now != before:
            before = now
            sets = await asyncio.to_thread(sets_of, run)
            if STEERED not in sets:
                raise UserError("That run holds no set of pictures.")
            yield Sets(sets[STEERED], sets.get(UNSTEERED), running, now[0])
        if not running:
            return
        await asyncio.sleep(LOOK_AGAIN)


def go_on(services: Services, run: UserRun) -> Work:
    """Order what is missing of a run's set. Raises `UserError` where it is done."""
    job, known = job_of(services, run), services.workshop.of(run).get(STEERED)
    if known is not None and not known.ended:
        return known  # another tab was faster
    left = unfinished(run, STEERED)
    if left is None and (run.folder / RUN_FILE).is_file():
        raise UserError("That set is done: there is nothing to continue.")
    return order_set(services, run, job, STEERED, left)


def order_twins(services: Services, run: UserRun) -> Work:
    """Order the unsteered twins of a run's set, or what is missing of them. Raises `UserError`."""
    job = job_of(services, run)
    steered = sets_of(run)[STEERED]
    if steered.record is not None and not steered.record.model.seeded:
        raise UserError(
            "This model takes no seeds, so a set has no twins. To see what it does by itself, make another "
            "set and choose Unsteered under More."
        )
    # Without steering, the pictures are the twins of the first tries.
    return order_set(services, run, replace(job, steering=NONE), UNSTEERED, unfinished(run, UNSTEERED))


def _kept_job(run: UserRun) -> Job | None:
    """What the run's folder says that was asked for; None where it says nothing of the kind."""
    kept = visit_of(run.folder).get("job")
    if kept is None:
        return None
    try:
        return Job.from_json(kept)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # of another version: the run file says the most of it


def opened_as(model: ModelInfo) -> ModelOptions:
    """How a model was opened that a run of an earlier version recorded, as far as visitors could choose it
    then; the rest comes with its name.
    """
    chosen = {name: value for name, value in model.options.items() if name in (*SAMPLING, "lora")}
    return ModelOptions.of(chosen, "the run file")


def _arms(run: UserRun) -> dict[str, SessionRun]:
    """The run's first session, and the last one of those that it was compared with, as far as they began."""
    if not (run.folder / RUN_FILE).is_file():
        return {}
    found = read_run(run.folder)
    if found.audit is not None:
        return {}
    sessions = list(found.sessions.values())
    return dict(zip((STEERED, UNSTEERED), [*sessions[:1], *sessions[1:][-1:]], strict=False))
