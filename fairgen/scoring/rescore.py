"""Holds an old run against another spec, also on another scale, without generating: readings are in its
records.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from fairgen.common.documents import Part
from fairgen.common.text import readable
from fairgen.errors import UserError
from fairgen.runs import AuditRecord, Distances, PictureRecord, RunReader, SessionRun
from fairgen.scoring.arms import mean
from fairgen.scoring.numbers import counts_of, distances
from fairgen.targets import FairnessSpec


class _ScoredHead(Part):
    """Which set it is."""

    session: str
    prompt: str
    arm: str
    group: str | None
    finished: bool
    target: dict[str, float]


class ScoredSet(Distances, _ScoredHead):
    """One set of the run, held against the spec; counts are of the classes of the spec's scale."""

    first_pass: dict[str, int] = Field(description="classes of the first attempts")
    first_pass_tv: float | None
    missing: int = Field(description="places of the set without a reading")
    same_target: bool = Field(description="whether the set was made for this very target and scale")
    tv_then: float | None = Field(description="TV from the target that it was made for")


class ScoredArm(Part):
    """Means over the sets of an arm."""

    arm: str
    prompts: int
    tv: float | None
    first_pass_tv: float | None
    alignment_error: float | None
    worst_prompt: str | None
    worst_tv: float | None


class Score(Part):
    """A run, held against a spec."""

    run: str
    spec: str
    spec_hash: str
    scale: str
    classes: list[str]
    arms: list[ScoredArm]
    sets: list[ScoredSet]
    problems: list[str]


def measured_on(picture: PictureRecord, scale: str) -> str | None:
    """Class of the largest face on a scale; None where no tone was read."""
    if picture.measured is None or not picture.readings:
        return None
    return picture.readings[0].get("classes", {}).get(scale)


def arm_of(session: SessionRun) -> str:
    """The name under which sets are compared: the technique, with 'open loop' where it had no feedback."""
    record = session.record
    return f"{record.steering}, open loop" if record.steered and not record.feedback else record.steering


def groups_of(audit: AuditRecord | None) -> dict[str, str | None]:
    """Session -> its prompt's group."""
    return {name: prompt.group for name, (prompt, _) in audit.sessions().items()} if audit else {}


def score_run(folder: str | Path, spec: FairnessSpec) -> Score:
    """Hold every set of a run against ``spec``. Reads line by line, and writes nothing.

    Raises:
        UserError: the folder holds no run, or the run no session.
    """
    reader = RunReader(folder)
    groups = groups_of(reader.audit)
    found = {s.record.session: _scored(s, spec, groups) for s in reader.sessions()}
    if not found:
        raise UserError(f"{reader.folder} holds no pictures yet: its run file has no session.")
    sets = [found[name] for name in reader.names]
    arms = list(dict.fromkeys(one.arm for one in sets))
    return Score(
        run=readable(reader.folder),
        spec=spec.name,
        spec_hash=spec.content_hash(),
        scale=spec.scale,
        classes=list(spec.target),
        arms=[_arm(arm, [one for one in sets if one.arm == arm]) for arm in arms],
        sets=sets,
        problems=reader.problems,
    )


def _scored(session: SessionRun, spec: FairnessSpec, groups: dict[str, str | None]) -> ScoredSet:
    record = session.record
    target = spec.target_for(record.prompt)
    measured = counts_of(target, (measured_on(p, spec.scale) for p in session.final_set()))
    first = counts_of(target, (measured_on(p, spec.scale) for p in session.pictures if p.attempt == 0))
    found = distances(measured, target)
    return ScoredSet(
        **dict(found),
        session=record.session,
        prompt=record.prompt,
        arm=arm_of(session),
        group=groups.get(record.session),
        finished=session.finished,
        target=target,
        first_pass=first,
        first_pass_tv=distances(first, target).tv,
        missing=record.count - found.kept,
        same_target=(record.scale, record.target) == (spec.scale, target),
        tv_then=session.summary.tv if session.summary else None,
    )


def _arm(arm: str, sets: Sequence[ScoredSet]) -> ScoredArm:
    worst = max((one for one in sets if one.tv is not None), key=lambda one: one.tv or 0.0, default=None)
    return ScoredArm(
        arm=arm,
        prompts=len(sets),
        tv=mean(one.tv for one in sets),
        first_pass_tv=mean(one.first_pass_tv for one in sets),
        alignment_error=mean(one.alignment_error for one in sets),
        worst_prompt=worst.prompt if worst else None,
        worst_tv=worst.tv if worst else None,
    )
