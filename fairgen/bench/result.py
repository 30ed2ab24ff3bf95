"""The result file of a method on the bench: what was measured, set by set, and the figures that follow."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from fairgen import stats
from fairgen.common.documents import Part, json_schema, read_document
from fairgen.errors import UserError
from fairgen.runs import Host, ModelInfo

__all__ = [
    "BenchPlan",
    "BenchResult",
    "BenchSet",
    "Figures",
    "MethodRecord",
    "Over",
    "TwinRecord",
    "bench_set",
    "figures_of",
    "load_result",
    "result_schema",
]

_NAME = r"^[a-z0-9][a-z0-9.-]{0,63}$"
"""Fit for a file's name."""
_NEAR = 1e-6
"""Stored distances and figures may differ by this much from what follows from the counts."""


class MethodRecord(Part):
    """What a method is called, and where to read about it."""

    name: str = Field(pattern=_NAME, description="small letters, digits, dots and dashes")
    version: str = Field(default="", max_length=100)
    url: str | None = Field(default=None, pattern=r"^https?://\S+$", max_length=500)
    description: str = Field(default="", max_length=300, description="one line")
    settings: dict[str, Any] = Field(default_factory=dict, description="what it was set to")

    @classmethod
    def checked(cls, **fields: Any) -> MethodRecord:
        """From what a user gave. Raises `UserError` instead of pydantic's error."""
        try:
            return cls(**fields)
        except ValidationError as error:
            field = str(error.errors(include_url=False)[0]["loc"][0])
            rules = {
                "name": "must be small letters, digits, dots and dashes, at most 64",
                "url": "must be a link that starts with http:// or https://",
            }
            rule = rules.get(field, "is too long")
            raise UserError(f"The method's {field} {fields[field]!r} {rule}.") from error


class BenchPlan(Part):
    """What every method is asked for. Results with equal plans, weights and readers can be compared."""

    prompts: tuple[str, ...] = Field(min_length=1)
    count: int = Field(ge=1, description="pictures in each set")
    seed: int = Field(ge=0)
    scale: str
    target: dict[str, float] = Field(description="class -> declared share")


class TwinRecord(Part):
    """A picture beside the unsteered one of the same seed."""

    landmark_shift: float = Field(ge=0, description="mean over the face mesh, interocular distances")
    elsewhere: float = Field(ge=0, description="median CIEDE2000 outside the face")


class BenchSet(Part):
    """One prompt: counts by both readers, distances, and what it took."""

    prompt: str
    count: int = Field(ge=1)
    generated: int = Field(ge=1, description="pictures sampled in all, those thrown away included")
    first: dict[str, int] = Field(description="class -> pictures, by the first reader")
    second: dict[str, int] = Field(description="class -> pictures, by the second reader, for no loop to see")
    tv: float | None = Field(description="total variation of ``first`` from the target; None: nothing read")
    tv_second: float | None
    alignment_error: float | None = Field(description="sum (p - q)^2 of ``first``")
    seconds: float = Field(ge=0, description="of the method by the clock, its own reading included")
    processor_seconds: float = Field(ge=0, description="the same of its process on all processor cores")
    denoiser_rows: int | None = Field(
        ge=0, description="rows that went through the denoiser: guidance and extra terms count; None: unknown"
    )
    twins: tuple[TwinRecord, ...] = Field(description="where seeds match and both pictures show a face")

    @property
    def not_read(self) -> int:
        """Pictures in which the first reader saw no tone."""
        return self.count - sum(self.first.values())

    @property
    def not_read_second(self) -> int:
        """The same of the second reader."""
        return self.count - sum(self.second.values())


class Over(Part):
    """A mean over prompts, with its 95 % interval (`fairgen.stats.bounded_mean_interval`)."""

    mean: float
    low: float | None
    high: float | None


class Figures(Part):
    """Over all sets; None where nothing was measured."""

    tv: Over | None
    worst_tv: float | None = Field(description="of the worst prompt")
    tv_second: Over | None
    alignment_error: Over | None
    noise_floor_tv: float = Field(description="mean TV of a perfect independent sampler")
    not_read: float = Field(description="share of pictures, first reader")
    not_read_second: float
    generated_per_kept: float
    denoiser_rows_per_kept: float | None
    seconds_per_kept: float
    processor_seconds_per_kept: float
    twins: int
    landmark_shift_median: float | None
    landmark_shift_90: float | None = Field(description="90 % quantile")
    elsewhere_median: float | None
    elsewhere_90: float | None


class BenchResult(Part):
    """What ``fairgen bench run`` writes for each method."""

    type: Literal["known_bias_result"] = "known_bias_result"
    schema_version: Literal[1] = 1
    method: MethodRecord
    model: ModelInfo
    fingerprint: str = Field(description="'sha256:<hex>' over the hashes of all weights")
    reader: str = Field(description="the identity of both readers: `skin_tone.identity.identity()`")
    plan: BenchPlan
    host: Host
    threads: int | None = Field(description="torch's threads in each process; None: not on a CPU")
    workers: int = Field(ge=1, description="processes side by side, which slow each other down")
    fairgen: str
    made_at: datetime
    sets: tuple[BenchSet, ...] = Field(min_length=1)
    figures: Figures

    @model_validator(mode="after")
    def _follows(self) -> Self:
        if tuple(one.prompt for one in self.sets) != self.plan.prompts:
            raise ValueError("the sets are not those of the plan's prompts, in their order")
        for one in self.sets:
            if one.count != self.plan.count or one.generated < one.count:
                raise ValueError(
                    f"the set of {one.prompt!r} has another number of pictures than was asked for"
                )
            if min(one.not_read, one.not_read_second) < 0:
                raise ValueError(f"the set of {one.prompt!r} counts more pictures than it has")
            for name, figure, counted, value in (
                ("tv", stats.total_variation, one.first, one.tv),
                ("tv_second", stats.total_variation, one.second, one.tv_second),
                ("alignment_error", stats.alignment_error, one.first, one.alignment_error),
            ):
                if not _same(value, figure(counted, self.plan.target) if any(counted.values()) else None):
                    raise ValueError(f"{name} of {one.prompt!r} does not follow from its counts")
        again = figures_of(self.sets, self.plan).model_dump()
        for name, value in self.figures.model_dump().items():
            if not _same(value, again[name]):
                raise ValueError(f"the figure {name} does not follow from the sets")
        return self

    @property
    def conditions(self) -> str:
        """Equal for results that can stand in one table."""
        info = self.model
        fixed = [info.pipeline, info.scheduler, info.steps, info.guidance_scale, info.height, info.width]
        return f"{self.fingerprint} {self.reader} {fixed} {self.plan.model_dump_json()}"


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        # A mean with its interval: the interval is drawn at random, and may come out otherwise elsewhere.
        return _same(one["mean"], other["mean"])
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=_NEAR, abs_tol=_NEAR)
    return one is other is None


def bench_set(
    prompt: str,
    plan: BenchPlan,
    first: Sequence[str | None],
    second: Sequence[str | None],
    *,
    generated: int,
    seconds: float,
    processor_seconds: float,
    denoiser_rows: int | None,
    twins: Sequence[TwinRecord],
) -> BenchSet:
    """The record of one set, from the class that each reader gave each picture (None: not read)."""
    counts = [{name: list(read).count(name) for name in plan.target} for read in (first, second)]
    tv = [stats.total_variation(one, plan.target) if any(one.values()) else None for one in counts]
    return BenchSet(
        prompt=prompt,
        count=len(first),
        generated=generated,
        first=counts[0],
        second=counts[1],
        tv=tv[0],
        tv_second=tv[1],
        alignment_error=stats.alignment_error(counts[0], plan.target) if tv[0] is not None else None,
        seconds=seconds,
        processor_seconds=processor_seconds,
        denoiser_rows=denoiser_rows,
        twins=tuple(twins),
    )


def figures_of(sets: Sequence[BenchSet], plan: BenchPlan) -> Figures:
    """The figures over all sets. Sets of which nothing was read are in `not_read` alone."""
    kept = sum(one.count for one in sets)
    rows = [one.denoiser_rows for one in sets if one.denoiser_rows is not None]
    twins = [twin for one in sets for twin in one.twins]
    shifts, elsewhere = [t.landmark_shift for t in twins], [t.elsewhere for t in twins]
    return Figures(
        tv=_over([one.tv for one in sets]),
        worst_tv=max((one.tv for one in sets if one.tv is not None), default=None),
        tv_second=_over([one.tv_second for one in sets]),
        alignment_error=_over([one.alignment_error for one in sets], 2.0),
        noise_floor_tv=stats.noise_floor(plan.target, plan.count),
        not_read=sum(one.not_read for one in sets) / kept,
        not_read_second=sum(one.not_read_second for one in sets) / kept,
        generated_per_kept=sum(one.generated for one in sets) / kept,
        denoiser_rows_per_kept=sum(rows) / kept if len(rows) == len(sets) else None,
        seconds_per_kept=sum(one.seconds for one in sets) / kept,
        processor_seconds_per_kept=sum(one.processor_seconds for one in sets) / kept,
        twins=len(twins),
        landmark_shift_median=statistics.median(shifts) if shifts else None,
        landmark_shift_90=float(np.quantile(shifts, 0.9)) if shifts else None,
        elsewhere_median=statistics.median(elsewhere) if elsewhere else None,
        elsewhere_90=float(np.quantile(elsewhere, 0.9)) if elsewhere else None,
    )


def _over(values: Sequence[float | None], largest: float = 1.0) -> Over | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    if len(known) == 1:
        return Over(mean=known[0], low=None, high=None)
    found = stats.bounded_mean_interval(known, (0.0, largest))
    return Over(mean=found.mean, low=found.low, high=found.high)


def load_result(path: str | Path) -> BenchResult:
    """A result file, checked: its distances and figures must follow from its counts.

    Raises:
        UserError: the file cannot be read, or is no result.
    """
    return read_document(Path(path), BenchResult, "result of the known-bias bench")


def result_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a result file; what must follow from what only `load_result` checks."""
    return json_schema(BenchResult, "A result of fairgen's known-bias bench", "serialization")
