"""Run folder -> `ReportFigures` and the sets behind them, in one pass over the run file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    places = audit.sessions() if audit else {}
    found: dict[tuple[str, ...], Case] = {}
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
        prompt, arm = places.get(record.session, (None, record.steering))
        key = (prompt.name,) if prompt else _free_key(found, record)
        name, group = (prompt.name, prompt.group) if prompt else (record.session, None)
        case = found.setdefault(key, Case(name, group, record))
        looked_at = shown.of(session) if shown else session
        case.sets[arm] = measure(looked_at, arm, tolerance=tolerance)
        if watch is not None:
            watch(session, arm, group)
    if not found:
        raise UserError(
            f"{reader.folder} holds no pictures yet: its run file has no session that made one: generate "
            "into it first."
        )
    cases = _as_listed(list(found.values()), audit)
    arms = audit.arms if audit else _arms_seen(cases)
    ordered = _worst_first(cases, arms)
    problems = reader.problems + _missing(audit, cases) + (shown.problems if shown else [])
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
        prompts=[_prompt(case, arms) for case in ordered],
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
    return Collected(reader.folder, figures, [case.sets for case in ordered])


def _free_key(found: Mapping[tuple[str, ...], Case], record: SessionRecord) -> tuple[str, ...]:
    key: tuple[str, ...] = ("", record.prompt, record.spec_hash)
    while key in found and record.steering in found[key].sets:
        key = (*key, record.session)
    return key


def _arms_seen(cases: Sequence[Case]) -> list[str]:
    seen = dict.fromkeys(arm for case in cases for arm in case.sets)
    return sorted(seen, key=lambda arm: arm != UNSTEERED)


def _as_listed(cases: list[Case], audit: AuditRecord | None) -> list[Case]:
    if audit is None:
        return cases
    place = {prompt.name: number for number, prompt in enumerate(audit.prompts)}
    return sorted(cases, key=lambda case: place.get(case.name, len(place)))


def _worst_first(cases: list[Case], arms: Sequence[str]) -> list[Case]:
    """By the largest TV that a steered set is left with, then by the unsteered one; ties stay in their order.

    Prompts that are not finished come last: their distances are of what happens to be there.
    """

    def badness(case: Case) -> tuple[bool, float, float]:
        tv = {arm: found.figures.tv or 0.0 for arm, found in case.sets.items()}
        unsteered = tv.pop(UNSTEERED, 0.0)
        # Sets of one size have few distances: without rounding, the last bit would decide between equals.
        return not case.complete(arms), -round(max(tv.values(), default=0.0), 9), -round(unsteered, 9)

    return sorted(cases, key=badness)


def _missing(audit: AuditRecord | None, cases: Sequence[Case]) -> list[str]:
    if audit is None:
        return []
    wanted = len(audit.prompts) * len(audit.arms)
    begun = sum(len(case.sets) for case in cases)
    return [f"{wanted - begun} of the audit's {wanted} sets were not begun."] if begun < wanted else []


def _prompt(case: Case, arms: Sequence[str]) -> PromptFigures:
    record = case.record
    return PromptFigures(
        name=case.name,
        prompt=record.prompt,
        group=case.group,
        spec=str(record.spec.get("name", "by hand")),
        spec_hash=record.spec_hash,
        context=record.context,
        scale=record.scale,
        target=record.target,
        sets={arm: case.sets[arm].figures for arm in arms if arm in case.sets},
    )
