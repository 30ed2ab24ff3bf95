"""``report.json``: every figure of a run's report as pydantic models, for machines (schema: `report_schema`).

Shares and distances are from 0 to 1, angles in degrees, times in UTC. Classes run from light to dark. A range
is ``[low, high]`` and holds 95 times in 100. None stands where there is nothing to compute from.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fairgen.runs import AuditRecord, ModelInfo, SignerRecord
from fairgen.targets.approval import Approval

Range = tuple[float, float]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SetFigures(_Part):
    """One prompt under one arm: what was made, and how far the set is from the prompt's declared target."""

    arm: str = Field(description="the technique that was asked for: 'none', 'prompt', 'embedding' ...")
    session: str = Field(description="id in run.jsonl")
    finished: bool = Field(description="False: the run was interrupted before the set was complete")
    steered: bool = Field(description="False for 'none', and where the technique stayed off (see notes)")
    wanted: int = Field(description="pictures that the set shall have")
    generated: int = Field(description="pictures made, tries included")
    counted: int = Field(description="pictures of the set with a reading; the distances are of these")
    discarded: int = Field(description="pictures with a reading that are not in the set")
    not_read: int = Field(description="pictures in which no tone was read")
    reasons: dict[str, int] = Field(description="reason code of those -> pictures")
    filled: int = Field(description="places that took another class after the tries ran out")
    asked: int = Field(description="pictures that a class was asked for and a tone was read in")
    hits: int = Field(description="those of them that show the class that was asked for")
    measured: dict[str, int] = Field(description="class -> pictures of the final set")
    first_pass: dict[str, int] = Field(description="class -> pictures of the first try of every place")
    first_pass_ranges: dict[str, Range] = Field(
        description="class -> simultaneous interval of its share in the first pass; empty without a reading"
    )
    tv: float | None = Field(description="total variation from the target, final set")
    tv_read: Range | None = Field(description="the same with the labels redrawn by how sure the reader was")
    first_pass_tv: float | None
    chance_tv: float | None = Field(description="mean TV of a perfect independent sampler, as many pictures")
    alignment_error: float | None = Field(description="sum of squared differences of the shares")
    kl: float | None = Field(description="Kullback-Leibler divergence, nats; None also where infinite")
    p_differs: float | None = Field(
        description="exact multinomial test against the target; only where pictures are independent draws"
    )
    p_meets: float | None = Field(
        description="equivalence test at the run's tolerance; only where pictures are independent draws"
    )
    mean_ita: float | None = Field(description="degrees, over the counted pictures")
    notes: list[str]


class PromptFigures(_Part):
    """One prompt: its target, and its set under each arm (arms that were not run are left out)."""

    name: str
    prompt: str
    group: str | None
    spec: str = Field(description="the spec's name")
    spec_hash: str
    context: int | None = Field(description="index of the spec's context that gave the target")
    scale: str
    target: dict[str, float] = Field(description="class -> declared share")
    sets: dict[str, SetFigures] = Field(description="arm -> set")


class ArmFigures(_Part):
    """One arm over all prompts that every arm has finished."""

    arm: str
    prompts: int = Field(description="prompts that the means are over")
    generated: int
    counted: int
    discarded: int
    not_read: int
    made_per_kept: float | None = Field(description="pictures made for each one that is counted")
    mean_tv: float | None
    mean_tv_range: Range | None = Field(description="interval of the mean over prompts of this kind")
    mean_tv_read: Range | None = Field(description="mean TV with every label redrawn from the reader")
    mean_first_pass_tv: float | None
    mean_chance_tv: float | None
    mean_alignment_error: float | None
    worst_prompt: str | None = Field(description="the prompt with the largest TV")
    worst_tv: float | None
    met: int = Field(description="prompts whose final set is within the tolerance")
    hit_rate: float | None = Field(description="share of the asked pictures that show what was asked for")
    beyond_chance: int | None = Field(
        description="prompts that differ from their target by more than chance (p < .05 after Holm's "
        "correction); None for steered arms, whose pictures are no independent draws"
    )


class Comparison(_Part):
    """An arm against the unsteered one, prompt by prompt."""

    arm: str
    against: str
    prompts: int
    closer: int = Field(description="prompts on which the arm's set is closer to the target")
    further: int
    difference: float = Field(description="mean of arm - against over the prompts' TV; below 0 where closer")
    difference_range: Range | None = Field(description="interval of it over prompts of this kind")
    p_value: float | None = Field(description="paired permutation test over the prompts, two-sided")
    closer_read: Range = Field(description="the same count with every label redrawn from the reader")


class GroupArm(_Part):
    """One arm in one group of prompts."""

    counted: int
    measured: dict[str, int] = Field(description="class -> pictures, all prompts of the group")
    mean_tv: float | None = Field(description="mean over the prompts")
    mean_ita: float | None = Field(description="degrees; mean of the prompts' means")
    mean_ita_range: Range | None = Field(
        description="interval of it over prompts of this kind; None for a single prompt"
    )


class GroupFigures(_Part):
    """One group of prompts, such as occupations of high status. Only prompts that every arm has finished."""

    group: str | None = Field(description="None: prompts without a mark")
    prompts: int
    scale: str | None = Field(description="None where the prompts' scales differ: then nothing is pooled")
    target: dict[str, float] = Field(description="mean of the prompts' targets")
    arms: dict[str, GroupArm]


class ReportFigures(_Part):
    """A whole report."""

    schema_version: Literal[1] = 1
    kind: Literal["fairgen report"] = "fairgen report"
    fairgen: str = Field(description="version of fairgen that wrote the report")
    run_fairgen: str = Field(description="version of fairgen that made the run")
    created_at: datetime = Field(description="when the run was begun")
    note: str
    tolerance: float = Field(description="TV within which a set counts as meeting its target")
    complete: bool = Field(description="False: sets are missing or were interrupted (see problems)")
    arms: list[ArmFigures]
    comparisons: list[Comparison]
    groups: list[GroupFigures]
    prompts: list[PromptFigures] = Field(description="worst first: largest steered TV, then unsteered TV")
    approvals: dict[str, Approval] = Field(description="spec hash -> whether a person stands behind it")
    specs: dict[str, dict[str, Any]] = Field(description="spec hash -> the whole spec document")
    models: list[ModelInfo]
    signers: list[SignerRecord] = Field(description="who signed the pictures' content credentials")
    audit: AuditRecord | None = Field(description="the run's own header; None where it was no audit")
    problems: list[str] = Field(description="what was torn, missing or interrupted")

    @property
    def sets(self) -> list[SetFigures]:
        """Every set, prompt by prompt."""
        return [found for prompt in self.prompts for found in prompt.sets.values()]


def report_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``report.json``."""
    schema = ReportFigures.model_json_schema(mode="serialization")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "fairgen report"
    return schema
