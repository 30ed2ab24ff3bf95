"""From the summaries of an audit's sessions to figures by arm, by group and by prompt; ``summary.json``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import Field

from fairgen.common.documents import Part
from fairgen.runs import AuditRecord, RunRecord, SetFigures, Summary
from fairgen.scoring.figures import MeanFigures


class ArmFigures(MeanFigures):
    """One arm over all prompts."""

    arm: str
    of: int = Field(description="prompts of the audit")
    groups: dict[str, MeanFigures] = Field(description="group -> the same for its prompts; '' has no mark")


class AuditSummary(Part):
    """What ``summary.json`` holds and ``fairgen audit --json`` prints."""

    type: Literal["audit_summary"] = "audit_summary"
    schema_version: Literal[1] = 1
    fairgen: str
    created_at: str
    note: str
    model: str
    device: str
    specs: dict[str, str] = Field(description="name -> hash")
    tolerance: float
    seed: int
    arms: list[ArmFigures]
    problems: list[str] = Field(description="sentences: what was repaired or is missing")
    interrupted: list[str] = Field(description="sessions without a summary")
    sessions: list[Summary] = Field(description="the finished sets, in the order of the run")
    out: str = Field(description="the run folder, as it was given")


def mean_figures(sets: Sequence[tuple[str, SetFigures]], tolerance: float) -> MeanFigures:
    """The figures of some sets together.

    Args:
        sets: prompt and figures of each.
        tolerance: TV within which a set counts as meeting its target.
    """
    figures = [one for _, one in sets]
    read = [(one.tv, prompt) for prompt, one in sets if one.tv is not None]
    worst_tv, worst_prompt = max(read, key=lambda pair: pair[0]) if read else (None, None)
    kept, generated = sum(one.kept for one in figures), sum(one.generated for one in figures)
    asked = sum(one.asked for one in figures)
    return MeanFigures(
        prompts=len(figures),
        tv=mean(one.tv for one in figures),
        first_pass_tv=mean(one.first_pass_tv for one in figures),
        noise_floor_tv=mean(one.noise_floor_tv for one in figures),
        alignment_error=mean(one.alignment_error for one in figures),
        worst_prompt=worst_prompt,
        worst_tv=worst_tv,
        met=sum(tv <= tolerance for tv, _ in read),
        kept=kept,
        generated=generated,
        discarded=sum(one.discarded for one in figures),
        abstained=sum(one.abstained for one in figures),
        filled=sum(one.filled for one in figures),
        missing=sum(one.missing for one in figures),
        generated_per_kept=generated / kept if kept else None,
        hit_rate=sum(one.hits for one in figures) / asked if asked else None,
        seconds=math.fsum(one.seconds for one in figures),
    )


def mean(values: Iterable[float | None]) -> float | None:
    """Of the values that are known; None without any."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def arm_figures(audit: AuditRecord, summaries: Iterable[Summary]) -> list[ArmFigures]:
    """Each arm of an audit, by what is finished."""
    by_name = {s.session: s for s in summaries}
    found = []
    for arm in audit.arms:
        sets: list[tuple[str, Summary]] = []
        groups: dict[str | None, list[tuple[str, Summary]]] = {}
        for prompt in audit.prompts:
            if (name := audit.session(prompt, arm)) in by_name:
                sets.append((prompt.prompt, by_name[name]))
                groups.setdefault(prompt.group, []).append(sets[-1])
        means = {group or "": mean_figures(part, audit.tolerance) for group, part in groups.items()}
        whole = mean_figures(sets, audit.tolerance)
        marked = means if list(groups) != [None] else {}
        found.append(ArmFigures(arm=arm, of=len(audit.prompts), groups=marked, **dict(whole)))
    return found


def audit_summary(
    run: RunRecord,
    audit: AuditRecord,
    summaries: Sequence[Summary],
    *,
    out: str,
    problems: Sequence[str] = (),
) -> AuditSummary:
    """The whole audit, finished or not."""
    done = {s.session: s for s in summaries}
    names = audit.sessions()
    return AuditSummary(
        fairgen=run.fairgen,
        created_at=run.created_at.isoformat(),
        note=run.note,
        model=audit.model.name,
        device=audit.model.device,
        specs={str(document["name"]): key for key, document in audit.specs.items()},
        tolerance=audit.tolerance,
        seed=audit.seed,
        arms=arm_figures(audit, summaries),
        problems=list(problems),
        interrupted=[name for name in names if name not in done],
        sessions=[done[name] for name in names if name in done],
        out=out,
    )


def meets(summary: AuditSummary) -> bool:
    """Whether some arm is within the tolerance for every prompt: what ``--require`` asks."""
    return any(arm.met == arm.of for arm in summary.arms)
