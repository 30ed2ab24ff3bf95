"""The typed figures of a set, an arm and a group, and ``report.json``, which holds them (`report_schema`).

Shares and distances are from 0 to 1, angles in degrees, times in UTC. Classes run from light to dark. A range
is ``[low, high]`` and holds 95 times in 100. None stands where there is nothing to compute from.

A value has one name in every file. Names that ``report.json`` had for it before are kept beside it for one
version, and marked as deprecated.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import AliasChoices, Field

from fairgen.common.documents import Part, json_schema
from fairgen.runs import AuditRecord, Distances, ModelInfo, SetFigures, SignerRecord, SpecDocument
from fairgen.targets.approval import Approval

Range = tuple[float, float]


def _old(old: str, new: str) -> Any:
    """A field of an old name, which is filled from the new one where it is not given itself."""
    return Field(
        description=f"old name of {new}",
        json_schema_extra={"deprecated": True},
        validation_alias=AliasChoices(old, new),
    )


class Figures(Distances):
    """How far a set is from its target, and how sure that is."""

    tv_read: Range | None = Field(description="TV with the labels redrawn by how sure the reader was")
    p_differs: float | None = Field(
        description="exact multinomial test against the target; only where pictures are independent draws"
    )
    p_meets: float | None = Field(
        description="equivalence test at the run's tolerance; only where pictures are independent draws"
    )

    @property
    def off(self) -> float:
        """Pictures that would have to change class for the set to be as declared."""
        return (self.tv or 0.0) * self.kept

    @property
    def chance_off(self) -> float:
        """The mean of that number for a perfect sampler that draws each picture independently."""
        return (self.noise_floor_tv or 0.0) * self.kept


class _ReportedHead(Part):
    """What is said of a set beside its figures."""

    arm: str = Field(description="the technique that was asked for: 'none', 'prompt', 'embedding' ...")
    session: str = Field(description="id in run.jsonl")
    finished: bool = Field(description="False: the run was interrupted before the set was complete")
    steered: bool = Field(description="False for 'none', and where the technique stayed off (see notes)")


class ReportedSet(Figures, SetFigures, _ReportedHead):
    """One prompt under one arm: what was made, and how far the set is from the prompt's declared target."""

    first_pass_ranges: dict[str, Range] = Field(
        description="class -> simultaneous interval of its share in the first pass; empty without a reading"
    )
    mean_ita: float | None = Field(description="degrees, over the kept pictures")
    notes: list[str]
    wanted: int = _old("wanted", "count")
    counted: int = _old("counted", "kept")
    not_read: int = _old("not_read", "abstained")
    reasons: dict[str, int] = _old("reasons", "abstentions")
    chance_tv: float | None = _old("chance_tv", "noise_floor_tv")


class PromptFigures(Part):
    """One prompt: its target, and its set under each arm (arms that were not run are left out)."""

    name: str
    prompt: str
    group: str | None
    spec: str = Field(description="the spec's name")
    spec_hash: str
    context: int | None = Field(description="index of the spec's context that gave the target")
    scale: str
    target: dict[str, float] = Field(description="class -> declared share")
    sets: dict[str, ReportedSet] = Field(description="arm -> set")


class MeanFigures(Part):
    """Some sets together: means over prompts, each counting the same; None where no picture could be read."""

    prompts: int = Field(description="sets that the means are over")
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
    generated_per_kept: float | None = Field(description="pictures made for each one that is kept")
    hit_rate: float | None = Field(description="share of requests that came out as asked; None without any")
    seconds: float


class ReportedArm(MeanFigures):
    """One arm over all prompts that every arm has finished."""

    arm: str
    tv_range: Range | None = Field(
        description="interval of the mean over prompts of this kind; None with fewer than 10"
    )
    tv_read: Range | None = Field(description="mean TV with every label redrawn from the reader")
    beyond_chance: int | None = Field(
        description="prompts that differ from their target by more than chance (p < .05 after Holm's "
        "correction); None for steered arms, whose pictures are no independent draws"
    )
    counted: int = _old("counted", "kept")
    not_read: int = _old("not_read", "abstained")
    made_per_kept: float | None = _old("made_per_kept", "generated_per_kept")
    mean_tv: float | None = _old("mean_tv", "tv")
    mean_tv_range: Range | None = _old("mean_tv_range", "tv_range")
    mean_tv_read: Range | None = _old("mean_tv_read", "tv_read")
    mean_first_pass_tv: float | None = _old("mean_first_pass_tv", "first_pass_tv")
    mean_chance_tv: float | None = _old("mean_chance_tv", "noise_floor_tv")
    mean_alignment_error: float | None = _old("mean_alignment_error", "alignment_error")


class Comparison(Part):
    """An arm against the unsteered one, prompt by prompt."""

    arm: str
    against: str
    prompts: int
    closer: int = Field(description="prompts on which the arm's set is closer to the target")
    further: int
    difference: float = Field(description="mean of arm - against over the prompts' TV; below 0 where closer")
    difference_range: Range | None = Field(
        description="interval of it over prompts of this kind; None with fewer than 10"
    )
    p_value: float | None = Field(description="paired permutation test over the prompts, two-sided")
    closer_read: Range = Field(description="the same count with every label redrawn from the reader")


class GroupArm(MeanFigures):
    """One arm in one group of prompts."""

    measured: dict[str, int] = Field(description="class -> pictures, all prompts of the group")
    mean_ita: float | None = Field(description="degrees; mean of the prompts' means")
    mean_ita_range: Range | None = Field(
        description="interval of it over prompts of this kind; None with fewer than 10"
    )
    counted: int = _old("counted", "kept")
    mean_tv: float | None = _old("mean_tv", "tv")


class GroupFigures(Part):
    """One group of prompts, such as occupations of high status. Only prompts that every arm has finished."""

    group: str | None = Field(description="None: prompts without a mark")
    prompts: int
    scale: str | None = Field(description="None where the prompts' scales differ: then nothing is pooled")
    target: dict[str, float] = Field(description="mean of the prompts' targets")
    arms: dict[str, GroupArm]


class ReportFigures(Part):
    """A whole report."""

    schema_version: Literal[1] = 1
    kind: Literal["fairgen report"] = "fairgen report"
    fairgen: str = Field(description="version of fairgen that wrote the report")
    run_fairgen: str = Field(description="version of fairgen that made the run")
    created_at: datetime = Field(description="when the run was begun")
    note: str
    tolerance: float = Field(description="TV within which a set counts as meeting its target")
    complete: bool = Field(description="False: sets are missing or were interrupted (see problems)")
    arms: list[ReportedArm]
    comparisons: list[Comparison]
    groups: list[GroupFigures]
    prompts: list[PromptFigures] = Field(description="worst first: largest steered TV, then unsteered TV")
    approvals: dict[str, Approval] = Field(description="spec hash -> whether a person stands behind it")
    specs: dict[str, SpecDocument] = Field(description="spec hash -> the whole spec document")
    models: list[ModelInfo]
    signers: list[SignerRecord] = Field(description="who signed the pictures' content credentials")
    audit: AuditRecord | None = Field(description="the run's own header; None where it was no audit")
    problems: list[str] = Field(description="what was torn, missing or interrupted")

    @property
    def sets(self) -> list[ReportedSet]:
        """Every set, prompt by prompt."""
        return [found for prompt in self.prompts for found in prompt.sets.values()]


def report_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``report.json``."""
    return json_schema(ReportFigures, "fairgen report", "serialization")
