"""Runs that a visitor comes back to: their sets, and what was asked for, as the run file holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fairgen.common.text import isolated
from fairgen.errors import UserError
from fairgen.models.options import ModelOptions
from fairgen.runs import RUN_FILE, AuditRecord, ModelInfo, SessionRecord, SessionRun, parse_record, read_run
from fairgen.steering.registry import label
from fairgen.targets import FairnessSpec
from fairgen.ui.work.engine import OPEN_TO_VISITORS
from fairgen.ui.work.job import Job
from fairgen.ui.work.jobs import Services
from fairgen.ui.work.limits import MOST_STRENGTH
from fairgen.ui.work.live import LiveSet
from fairgen.ui.work.visits import UserRun

SUMMARY = "summary.json"
STEERED, UNSTEERED = "steered", "unsteered"
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

    @property
    def label(self) -> str:
        """One line for people."""
        places = f"{self.count} {'place' if self.count == 1 else 'places'}"
        stopped = "" if self.done else ", stopped"
        return f"{isolated(self.title)} ({places}{stopped}, {self.target}, {self.when:%Y-%m-%d %H:%M:%S} UTC)"


def glance(folder: Path) -> Glance | None:
    """What the ends of a run file tell at once; None where the folder holds neither a set nor an audit."""
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
        return Glance(record.prompt, False, _name(record.spec), record.count, record.started_at, done)
    if isinstance(record, AuditRecord):
        places = len(record.arms) * sum(prompt.count for prompt in record.prompts)
        prompts = f"{len(record.prompts)} {'prompt' if len(record.prompts) == 1 else 'prompts'}"
        title = f"Audit of {prompts}: {', '.join(label(arm) for arm in record.arms)}"
        names = {_name(spec) for spec in record.specs.values()}
        target = names.pop() if len(names) == 1 else f"{len(names)} targets"
        # A run file has no last line of its own for an audit; its summary is written at the end.
        return Glance(title, True, target, places, record.started_at, (folder / SUMMARY).is_file())
    return None


def _name(spec: Mapping[str, Any]) -> str:
    return isolated(str(spec.get("name", "by hand")))


def sets_of(run: UserRun) -> dict[str, LiveSet]:
    """Arm -> set: those that this server has in memory, else those of the run file. Raises `UserError`."""
    if not run.sets and (run.folder / RUN_FILE).is_file():
        run.sets.update({arm: LiveSet.restored(run, session) for arm, session in _arms(run).items()})
    return run.sets


def unfinished(run: UserRun, arm: str) -> SessionRun | None:
    """What a stop left of a set, to go on with; None where it is done or was never begun."""
    if not (run.folder / RUN_FILE).is_file():
        return None
    session = _arms(run).get(arm)
    return None if session is None or session.finished else session


def job_of(services: Services, run: UserRun) -> Job:
    """What a run was asked for. Raises `UserError` where it is none of a single prompt, or where its model
    is not to be had here.
    """
    if run.job is None:
        session = _arms(run).get(STEERED) if (run.folder / RUN_FILE).is_file() else None
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


def opened_as(model: ModelInfo) -> ModelOptions:
    """How a recorded model was opened, as far as visitors may choose it; the rest comes with its name."""
    chosen = {name: value for name, value in model.options.items() if name in OPEN_TO_VISITORS}
    return ModelOptions.of(chosen, "the run file")


def _arms(run: UserRun) -> dict[str, SessionRun]:
    """The run's first session, and the last one of those that it was compared with."""
    found = read_run(run.folder)
    if found.audit is not None:
        return {}
    sessions = list(found.sessions.values())
    return dict(zip((STEERED, UNSTEERED), [*sessions[:1], *sessions[1:][-1:]], strict=False))
