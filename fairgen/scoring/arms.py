"""From the summaries of an audit's sessions to figures by arm, by group and by prompt; ``summary.json``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fairgen.runs import AuditRecord, RunRecord, Summary


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Figures(_Part):
    """Means over prompts, each prompt counting the same; None where no picture could be read."""

    prompts: int = Field(description="finished sets")
    tv: float | None = Field(description="mean total variation of the final sets from their targets")
    first_pass_tv: float | None = Field(description="the same of the first attempts, before any retry")
    noise_floor_tv: float | None = Field(description="mean TV of perfect independent samplers")
    alignment_error: float | None = Field(description="mean of sum (p - q)^2")
    worst_prompt: str | None = Field(description="prompt with the largest TV")
    worst_tv: float | None
    met: int = Field(description="prompts whose TV is within the audit's tolerance")
    kept: int
    generated: int
    discarded: int
    abstained: int
    filled: int
    missing: int
    generated_per_kept: float | None
    hit_rate: float | None = Field(description="share of requests that came out as asked; None without any")
    seconds: float


class ArmFigures(Figures):
    """One arm over all prompts."""

    arm: str
    of: int = Field(description="prompts of the audit")
    groups: dict[str, Figures] = Field(description="group -> the same for its prompts; '' has no mark")


class AuditSummary(_Part):
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


def figures(summaries: Sequence[Summary], tolerance: float) -> Figures:
    """Figures of some sets."""
    return Figures(**_figures(summaries, tolerance))


def _figures(summaries: Sequence[Summary], tolerance: float) -> dict[str, Any]:
    known = [s for s in summaries if s.tv is not None]
    worst = max(known, key=lambda s: s.tv or 0.0, default=None)
    kept, generated = sum(s.kept for s in summaries), sum(s.generated for s in summaries)
    asked = sum(s.asked for s in summaries)
    return {
        "prompts": len(summaries),
        "tv": _mean(s.tv for s in summaries),
        "first_pass_tv": _mean(s.first_pass_tv for s in summaries),
        "noise_floor_tv": _mean(s.noise_floor_tv for s in summaries),
        "alignment_error": _mean(s.alignment_error for s in summaries),
        "worst_prompt": worst.prompt if worst else None,
        "worst_tv": worst.tv if worst else None,
        "met": sum((s.tv or 0.0) <= tolerance for s in known),
        "kept": kept,
        "generated": generated,
        "discarded": sum(s.discarded for s in summaries),
        "abstained": sum(s.abstained for s in summaries),
        "filled": sum(s.filled for s in summaries),
        "missing": sum(s.missing for s in summaries),
        "generated_per_kept": generated / kept if kept else None,
        "hit_rate": sum(s.hits for s in summaries) / asked if asked else None,
        "seconds": math.fsum(s.seconds for s in summaries),
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def arm_figures(audit: AuditRecord, summaries: Iterable[Summary]) -> list[ArmFigures]:
    """Each arm of an audit, by what is finished."""
    by_name = {s.session: s for s in summaries}
    found = []
    for arm in audit.arms:
        pairs = [(p, by_name[name]) for p in audit.prompts if (name := audit.session(p, arm)) in by_name]
        groups = list(dict.fromkeys(prompt.group for prompt, _ in pairs))
        found.append(
            ArmFigures(
                arm=arm,
                of=len(audit.prompts),
                groups={
                    group or "": figures([s for p, s in pairs if p.group == group], audit.tolerance)
                    for group in groups
                }
                if groups != [None]
                else {},
                **_figures([s for _, s in pairs], audit.tolerance),
            )
        )
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
    names = [audit.session(prompt, arm) for prompt in audit.prompts for arm in audit.arms]
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
