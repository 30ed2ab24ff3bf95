"""Run folder -> `ReportFigures` and the sets behind them, in one pass over the run file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairgen._version import __version__
from fairgen.errors import UserError
from fairgen.runs import (
    AuditRecord,
    ModelInfo,
    RunReader,
    SessionRecord,
    SessionRun,
    ShownPictures,
    SignerRecord,
    SpecDocument,
)
from fairgen.scoring.across import UNSTEERED, Case, arm_figures, comparisons, groups
from fairgen.scoring.figures import PromptFigures, ReportFigures
from fairgen.scoring.measure import MeasuredSet, measure
from fairgen.scoring.numbers import MEETS_WITHIN
from fairgen.targets.approval import approval_state

Watch = Callable[[SessionRun, str, str | None], None]
"""Is given each session as it is read, with its arm and its group."""


@dataclass(frozen=True)
class Collected:
    """What a page is made of. ``sets`` has an entry for each of ``figures.prompts``, in that order."""

    folder: Path
    figures: ReportFigures
    sets: list[dict[str, MeasuredSet]]


@dataclass
class _Entry:
    """One prompt while the file is read."""

    name: str
    prompt: str
    group: str | None
    record: SessionRecord
    sets: dict[str, MeasuredSet]


def collect(reader: RunReader, watch: Watch | None = None, shown: ShownPictures | None = None) -> Collected:
    """Measure every session of a run. Memory holds the open sessions and a short value for each picture.

    Sessions of one prompt and target are its arms; an audit's header says which belongs where. A second
    session of the same prompt, target and technique that is no part of an audit is a prompt of its own.

    Args:
        watch: is given each session as it is recorded.
        shown: looks at the pictures; those that are not what was recorded are counted, have no file, and are
            named among the problems. None: no picture is looked at.

    Raises:
        UserError: a line that is no record, or no session with a picture.
    """
    audit = reader.audit
    tolerance = audit.tolerance if audit else MEETS_WITHIN
    places = _places(audit)
    entries: dict[tuple[str, ...], _Entry] = {}
    specs: dict[str, SpecDocument] = dict(audit.specs) if audit else {}
    models: dict[str, ModelInfo] = {}
    signers: dict[str, SignerRecord] = {}
    for session in reader.sessions():
        record = session.record
        if not session.pictures:
            continue
        specs.setdefault(record.spec_hash, record.spec)
        models.setdefault(record.model.model_dump_json(), record.model)
        if record.signer is not None:
            signers.setdefault(record.signer.fingerprint, record.signer)
        name, group, arm = places.get(record.session, ("", None, record.steering))
        key = (name,) if name else _free_key(entries, record)
        entry = entries.setdefault(key, _Entry(name or record.session, record.prompt, group, record, {}))
        looked_at = shown.of(session) if shown else session
        entry.sets[arm] = measure(looked_at, arm, tolerance=tolerance)
        if watch is not None:
            watch(session, arm, group)
    if not entries:
        raise UserError(
            f"{reader.folder} holds no pictures yet: its run file has no session that made one: generate "
            "into it first."
        )
    arms = audit.arms if audit else _arms_seen(entries.values())
    as_listed = _as_listed(list(entries.values()), audit)
    ordered = _worst_first(as_listed, arms)
    problems = reader.problems + _missing(audit, entries) + (shown.problems if shown else [])
    cases = [Case(e.prompt, e.group, e.record.scale, e.record.target, e.sets) for e in as_listed]
    complete = [case for case in cases if case.complete(arms)]
    figures = ReportFigures(
        fairgen=__version__,
        run_fairgen=reader.run.fairgen,
        created_at=reader.run.created_at,
        note=reader.run.note,
        tolerance=tolerance,
        complete=len(complete) == len(cases) and not problems,
        arms=arm_figures(complete, arms, tolerance=tolerance),
        comparisons=comparisons(complete, arms),
        groups=groups(complete, arms, tolerance=tolerance),
        prompts=[_prompt(e, arms) for e in ordered],
        approvals={
            key: approval_state(spec.get("approved_by"), spec.get("approved_hash"), key)
            for key, spec in specs.items()
        },
        specs=specs,
        models=list(models.values()),
        signers=list(signers.values()),
        audit=audit,
        problems=problems,
    )
    return Collected(reader.folder, figures, [e.sets for e in ordered])


def _places(audit: AuditRecord | None) -> dict[str, tuple[str, str | None, str]]:
    """Session -> name and group of its prompt, and arm."""
    if audit is None:
        return {}
    return {audit.session(p, arm): (p.name, p.group, arm) for p in audit.prompts for arm in audit.arms}


def _free_key(entries: Mapping[tuple[str, ...], _Entry], record: SessionRecord) -> tuple[str, ...]:
    key: tuple[str, ...] = ("", record.prompt, record.spec_hash)
    while key in entries and record.steering in entries[key].sets:
        key = (*key, record.session)
    return key


def _arms_seen(entries: Any) -> list[str]:
    seen = dict.fromkeys(arm for entry in entries for arm in entry.sets)
    return sorted(seen, key=lambda arm: arm != UNSTEERED)


def _as_listed(entries: list[_Entry], audit: AuditRecord | None) -> list[_Entry]:
    if audit is None:
        return entries
    place = {prompt.name: number for number, prompt in enumerate(audit.prompts)}
    return sorted(entries, key=lambda e: place.get(e.name, len(place)))


def _worst_first(entries: list[_Entry], arms: Sequence[str]) -> list[_Entry]:
    """By the largest TV that a steered set is left with, then by the unsteered one; ties stay in their order.

    Prompts that are not finished come last: their distances are of what happens to be there.
    """

    def badness(entry: _Entry) -> tuple[bool, float, float]:
        def tv(arm: str) -> float:
            return (entry.sets[arm].figures.tv or 0.0) if arm in entry.sets else 0.0

        steered = max((tv(arm) for arm in arms if arm != UNSTEERED), default=0.0)
        whole = all(arm in entry.sets and entry.sets[arm].figures.finished for arm in arms)
        # Sets of one size have few distances: without rounding, the last bit would decide between equals.
        return not whole, -round(steered, 9), -round(tv(UNSTEERED), 9)

    return sorted(entries, key=badness)


def _missing(audit: AuditRecord | None, entries: Mapping[tuple[str, ...], _Entry]) -> list[str]:
    if audit is None:
        return []
    wanted = len(audit.prompts) * len(audit.arms)
    begun = sum(len(entry.sets) for entry in entries.values())
    return [f"{wanted - begun} of the audit's {wanted} sets were not begun."] if begun < wanted else []


def _prompt(entry: _Entry, arms: Sequence[str]) -> PromptFigures:
    record = entry.record
    return PromptFigures(
        name=entry.name,
        prompt=entry.prompt,
        group=entry.group,
        spec=str(record.spec.get("name", "by hand")),
        spec_hash=record.spec_hash,
        context=record.context,
        scale=record.scale,
        target=record.target,
        sets={arm: entry.sets[arm].figures for arm in arms if arm in entry.sets},
    )
