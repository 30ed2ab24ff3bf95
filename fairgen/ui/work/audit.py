"""An audit as the page follows it: what is asked for, and where each arm stands."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from fairgen.audit.plan import AuditPlan, plan_audit, plan_of
from fairgen.audit.runner import AuditEvent, AuditFinished, AuditStarted, look_back
from fairgen.common.files import disk_errors
from fairgen.errors import UserError
from fairgen.loop.events import Calibrating, Filled, Finished, PictureDone, Replayed, Started
from fairgen.models.options import ModelOptions
from fairgen.report.view import ToneClass
from fairgen.runs import RUN_FILE, AuditPrompt, AuditRecord, PictureRecord, Summary
from fairgen.scoring.arms import AuditSummary, mean
from fairgen.steering import registry
from fairgen.targets import FairnessSpec
from fairgen.ui.work.check import NO_UPLOAD
from fairgen.ui.work.job import AuditOrder
from fairgen.ui.work.jobs import Services, write_run_report
from fairgen.ui.work.limits import AS_IT_IS, text, whole
from fairgen.ui.work.live import Card, LiveSet
from fairgen.ui.work.reopen import opened_as
from fairgen.ui.work.visits import UserRun, visit_of
from fairgen.ui.work.workshop import Work

AUDIT = "audit"
"""The arm of an audit's order."""
PROMPTS = "prompts.txt"
_MAX_TEXT = 200_000
_SHOWN = 18
"""Pictures that came last and are shown while an audit runs."""


@dataclass
class ArmState:
    """One arm over all prompts so far."""

    places: int
    done: int = 0
    made: int = 0
    discarded: int = 0
    not_read: int = 0
    summaries: list[Summary] = field(default_factory=list)
    sets: dict[str, LiveSet] = field(default_factory=dict)
    """Session -> the set that this process makes."""
    before: Counter[str] = field(default_factory=Counter)
    """Class -> pictures in the sets that were done before."""

    @property
    def counts(self) -> dict[str, int]:
        """Class -> pictures of all sets as they stand."""
        found = Counter(self.before)
        for live in list(self.sets.values()):
            found.update(live.counts())
        return dict(found)

    @property
    def tv(self) -> float | None:
        """Mean TV of the finished sets."""
        return mean(s.tv for s in self.summaries)

    @property
    def floor(self) -> float | None:
        """Mean chance floor of the finished sets."""
        return mean(s.noise_floor_tv for s in self.summaries)


@dataclass
class AuditState:
    """An audit so far; `apply` takes its events in order."""

    run: UserRun
    places: int
    state: Literal["waiting", "calibrating", "sampling", "stopped", "done"] = "waiting"
    arms: dict[str, ArmState] = field(default_factory=dict)
    prompt: str = ""
    """The one in hand."""
    summary: AuditSummary | None = None
    problems: tuple[str, ...] = ()
    place: int = 0
    """In the queue, from 1, while it waits; 0 once it is in hand."""
    scale: str = ""
    shown: tuple[tuple[str, PictureRecord], ...] = ()
    """(arm, picture) of those that came last, oldest first. Replaced, never changed in place: pages read it
    while the audit goes on in its own thread; the dictionaries are copied in one step before they are read.
    """
    _targets: dict[str, tuple[Mapping[str, float], int]] = field(default_factory=dict)
    _arm_of: dict[str, str] = field(default_factory=dict)
    _done: Counter[str] = field(default_factory=Counter)
    _began: float = 0.0
    _before: int = 0

    def apply(self, event: AuditEvent) -> None:
        """Take one event of `fairgen.audit.runner.Audit.run`."""
        if isinstance(event, Calibrating):
            self.state = "calibrating"
        elif isinstance(event, AuditStarted):
            self._start(event.record, event.finished, event.problems)
        elif isinstance(event, Started):
            self.prompt = event.session.prompt
            self._begin(event)
        elif isinstance(event, PictureDone | Replayed):
            name, arm = event.record.session, self.arms[self._arm_of[event.record.session]]
            arm.done += event.done - self._done[name]
            self._done[name] = event.done
            arm.made += 1
            arm.discarded += event.record.decision == "discarded"
            arm.not_read += event.record.decision == "abstained"
            arm.sets[name].apply(event)
            self.shown = (*self.shown[1 - _SHOWN :], (self._arm_of[name], event.record))
        elif isinstance(event, Filled):
            name = event.record.session
            self.arms[self._arm_of[name]].sets[name].apply(event)
        elif isinstance(event, Finished):
            arm = self.arms[self._arm_of[event.summary.session]]
            arm.sets[event.summary.session].apply(event)
            arm.done += event.summary.count - self._done[event.summary.session]
            arm.summaries.append(event.summary)
        elif isinstance(event, AuditFinished):
            self.summary, self.state = event.summary, "done"

    def _begin(self, event: Started) -> None:
        session = event.session
        live = LiveSet(self.run, session.scale, session.target, session.count)
        live.apply(event)
        self.arms[self._arm_of[session.session]].sets[session.session] = live
        self.scale = session.scale
        self._targets[session.session] = (session.target, session.count)

    def target(self) -> dict[str, float]:
        """Class -> declared share, over all sets that were begun."""
        declared = list(self._targets.values())
        total = sum(count for _, count in declared)
        found: dict[str, float] = {}
        for shares, count in declared:
            for key, share in shares.items():
                found[key] = found.get(key, 0.0) + share * count / total
        return found

    def cards(self) -> list[tuple[str, Card, tuple[ToneClass, ...]]]:
        """(arm, picture, the classes of its scale) of those that came last, newest first."""
        found = []
        for arm, record in reversed(self.shown):
            live = self.arms[arm].sets[record.session]
            found.append((arm, live.card(record), live.classes))
        return found

    def _start(self, record: AuditRecord, finished: Sequence[Summary], problems: tuple[str, ...]) -> None:
        places = sum(prompt.count for prompt in record.prompts)
        self.arms = {arm: ArmState(places) for arm in record.arms}
        self._arm_of = {record.session(p, arm): arm for p in record.prompts for arm in record.arms}
        self.state, self.problems = "sampling", problems
        for summary in finished:
            arm = self.arms[self._arm_of[summary.session]]
            arm.done += summary.count
            arm.summaries.append(summary)
            arm.before.update(summary.measured)
            self.scale = summary.scale
            self._targets[summary.session] = (summary.target, summary.count)
        self._before, self._began = self.done, time.monotonic()

    @property
    def done(self) -> int:
        """Places filled, over all arms."""
        return sum(arm.done for arm in self.arms.values())

    def seconds_left(self) -> float | None:
        """From the rate of this process; None before there is one."""
        fresh = self.done - self._before
        if fresh < 4 or self.state != "sampling":
            return None
        return (self.places - self.done) * (time.monotonic() - self._began) / fresh

    def to_json(self) -> dict[str, Any]:
        """What the API sends while an audit runs."""
        left = self.seconds_left()
        unsaid: Any = {"out": True, "sessions": {"__all__": {"out"}}}
        return {
            "state": self.state,
            "place": self.place,
            "done": self.done,
            "places": self.places,
            "prompt": self.prompt,
            "seconds_left": None if left is None else round(left, 1),
            "arms": {
                name: {
                    "places": arm.places,
                    "done": arm.done,
                    "generated": arm.made,
                    "discarded": arm.discarded,
                    "abstained": arm.not_read,
                    "sets": len(arm.summaries),
                    "tv": arm.tv,
                    "noise_floor_tv": arm.floor,
                }
                for name, arm in self.arms.items()
            },
            "summary": self.summary.model_dump(mode="json", exclude=unsaid) if self.summary else None,
            "problems": list(self.problems),
        }


def checked_plan(
    services: Services, prompts: object, spec: FairnessSpec, count: object, arms: object, seed: object
) -> AuditPlan:
    """The plan of an audit. Raises `UserError`.

    The list is taken as plain text, one prompt a line: lists of other kinds may name files as their specs.
    """
    words = text(prompts, _MAX_TEXT, "list of prompts")
    if not isinstance(arms, list) or not arms or any(arm not in registry.arms() for arm in arms):
        raise UserError(f"Choose what to compare: one or more of {', '.join(registry.arms())}.")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / PROMPTS
        file.write_text(words, encoding="utf-8")
        try:
            plan = plan_audit(
                file,
                spec,
                count=whole(count, 1, services.limits.count, "number of pictures"),
                arms=[arm for arm in registry.arms() if arm in arms],
                seed=whole(seed, 0, 2**32 - 1, "seed"),
            )
        except UserError as error:
            raise UserError(str(error).replace(str(file), "The list")) from None
    if plan.places > services.limits.audit:
        raise UserError(
            f"This audit would need {plan.places:,} pictures, and at most {services.limits.audit:,} are made "
            "here: take fewer prompts, pictures or arms, or use `fairgen audit`."
        )
    return plan


def read_list(path: str) -> str:
    """The text of an uploaded list of prompts. Raises `UserError`."""
    if Path(path).name == NO_UPLOAD:
        raise UserError("The list is no upload to this server: load it again.")
    with Path(path).open("rb") as file:
        raw = file.read(4 * _MAX_TEXT + 1)
    try:
        words = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("The list is no text in UTF-8: save it as plain text, one prompt a line.") from None
    return text("\n".join(words.splitlines()), _MAX_TEXT, "list of prompts")


def begin_audit(
    services: Services, owner: str, order: AuditOrder, prompts: str, name: str, ticket: object = None
) -> UserRun:
    """A fresh run for an audit; its list of prompts is kept in the folder. ``ticket`` is as in `Runs.claim`.
    Raises `UserError`.
    """
    services.engine.check_fits(order.model, order.options)
    services.workshop.require_room()
    run = services.runs.claim(owner, "audit", name, ticket)
    kept = {"model": order.model, "options": order.options.given(), "audit": _plan_to_json(order.plan)}
    services.runs.keep(run, **kept)
    file = run.folder / PROMPTS
    with disk_errors(file):
        file.write_text(prompts, encoding="utf-8")
    return run


def order_audit(services: Services, run: UserRun, order: AuditOrder) -> Work:
    """Leave the order for an audit in the run's folder. Raises `UserError`."""
    state = AuditState(run, order.plan.places)
    return services.workshop.submit(run, AUDIT, state, lambda: _run_audit(services, state, order))


def go_on_audit(services: Services, run: UserRun) -> Work:
    """Order what is missing of a run's audit. Raises `UserError`."""
    known = services.workshop.of(run).get(AUDIT)
    if known is not None and not known.ended:
        return known  # another tab was faster
    return order_audit(services, run, left_in(services, run))


def _run_audit(services: Services, state: AuditState, order: AuditOrder) -> Iterator[AuditState]:
    """Yields the state now and then; the report is written at its end, and when it is stopped."""
    yield state
    run, told = state.run, 0.0
    finished: AuditFinished | None = None
    events = services.engine.audit(order, run.folder)
    with closing(events):  # type: ignore[type-var]  # a generator, typed as the iterator that it is
        for event in events:
            if isinstance(event, AuditFinished):
                finished = event  # told once the report is written: pages that come meanwhile look as well
                continue
            state.apply(event)
            if run.stop.is_set():
                state.state = "stopped"
                break
            # The page need not be told of every picture.
            if state.state == "sampling" and time.monotonic() - told > 0.5:
                told = time.monotonic()
                yield state
    if any(arm.made or arm.summaries for arm in state.arms.values()):
        write_run_report(run)
    if finished is not None:
        state.apply(finished)
    yield state


def left_in(services: Services, run: UserRun) -> AuditOrder:
    """The audit that lies in a run's folder; nothing is left of one that the server never began, since it
    ended before. Raises `UserError`.
    """
    kept = visit_of(run.folder)
    if not (run.folder / RUN_FILE).is_file():
        if "audit" not in kept:
            raise UserError("That run holds no audit yet: start one.")
        model, options = services.engine.check_model(kept.get("model")), _kept_options(kept)
        return AuditOrder(_plan_from_json(kept["audit"]), model, options or AS_IT_IS)
    try:
        left = look_back(run.folder)
    except UserError as error:
        raise UserError(str(error).replace(str(run.folder), run.folder.name)) from None
    # The run file may call the model by a shorter name than whoever asked for it did.
    model = kept.get("model") or left.audit.model.name
    options = _kept_options(kept) or opened_as(left.audit.model)
    return AuditOrder(plan_of(left.audit), services.engine.check_model(model), options, left)


def _kept_options(kept: Mapping[str, Any]) -> ModelOptions | None:
    """How the model was ordered to be opened; None where nothing is kept of it. Raises `UserError`."""
    given = kept.get("options")
    return ModelOptions.of(dict(given), "the order") if isinstance(given, Mapping) else None


def _plan_to_json(plan: AuditPlan) -> dict[str, Any]:
    plain = {part.name: getattr(plan, part.name) for part in fields(plan)}
    return plain | {
        "prompts": [prompt.model_dump(mode="json") for prompt in plan.prompts],
        "specs": {key: spec.model_dump(mode="json") for key, spec in plan.specs.items()},
    }


def _plan_from_json(kept: dict[str, Any]) -> AuditPlan:
    """Raises `UserError` where another version kept it."""
    try:
        return AuditPlan(
            **kept
            | {
                "prompts": tuple(AuditPrompt.model_validate(prompt) for prompt in kept["prompts"]),
                "specs": {key: FairnessSpec.model_validate(spec) for key, spec in kept["specs"].items()},
                "arms": tuple(kept["arms"]),
            }
        )
    except (ValueError, TypeError, KeyError):
        raise UserError("That audit was ordered from another version of fairgen: start it anew.") from None
