"""Two runs side by side: every prompt and arm that both hold, and whether chance explains a difference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from fairgen import stats
from fairgen.common.documents import Part
from fairgen.common.text import counted, readable
from fairgen.errors import UserError
from fairgen.runs import RunReader, SessionRun
from fairgen.scoring.across import interval_over
from fairgen.scoring.arms import mean
from fairgen.scoring.numbers import counts_of
from fairgen.scoring.rescore import arm_of, groups_of, measured_on

CHANCE = 0.05
"""Below this p-value, after Holm's correction over all rows, chance is called an unlikely explanation."""

FEWEST = 6
"""Prompts that the test over prompts needs: with five no exchange of arms is rarer than 5 %."""

PART = 2 / 3
"""Share of the smaller count at which the test over prompts compares sets; see `stats.paired_rarefied`."""

_DRAWS_A_ROW = 100
"""Draws for each row: Holm multiplies the smallest p-value by the number of rows."""


class ComparedSet(Part):
    """One prompt under one arm, in both runs."""

    prompt: str
    arm: str
    group: str | None
    count: tuple[int, int] = Field(description="pictures wanted, in the first run and in the second")
    tv: tuple[float | None, float | None] = Field(description="of the final sets")
    difference: float | None = Field(description="second - first; below 0 the second is nearer to the target")
    first_pass_tv: tuple[float | None, float | None]
    first_pass_difference: float | None = Field(
        description="second - first, at equal counts: of the larger set the mean over "
        "all subsets of the size of the smaller; None where steered sets differ in count"
    )
    p_value: float | None = Field(
        description="chance of such a first-pass difference, if both come from one sampler; None: too little "
        "was read, or steered sets differ in count"
    )
    p_holm: float | None = Field(description="the same after Holm's correction over all rows")
    paired: bool = Field(
        description="whether the first attempts had the same seeds, and were tested in pairs"
    )


class ComparedArm(Part):
    """Means over the prompts that both runs hold."""

    arm: str
    prompts: int
    tv: tuple[float | None, float | None]
    difference: float | None
    first_pass_tv: tuple[float | None, float | None]
    interval: tuple[float, float] | None = Field(
        description="95 % interval over prompts of the mean first-pass difference at equal "
        "counts; None with fewer than 10"
    )
    p_value: float | None = Field(
        description="permutation test over prompts of that difference, at two thirds of the smaller "
        "count; None with fewer than 6"
    )


class Comparison(Part):
    """Two runs, compared."""

    runs: tuple[str, str]
    arms: list[ComparedArm]
    sets: list[ComparedSet]
    only: tuple[list[str], list[str]] = Field(description="sets that only the first, only the second run has")
    other_target: list[str] = Field(description="sets with another target or scale in each run: not compared")
    problems: list[str]


@dataclass(frozen=True)
class _Read:
    """What is kept of a set while two runs are compared."""

    prompt: str
    arm: str
    group: str | None
    scale: str
    target: dict[str, float]
    count: int
    tv: float | None
    first: dict[int, str | None]
    """Seed -> class, of the first attempts."""
    seeded: bool
    """Whether those seeds reached the model."""
    steered: bool = False
    """Whether each first attempt was asked for a class."""

    @property
    def classes(self) -> list[str]:
        return [tone for tone in self.first.values() if tone is not None]

    @property
    def first_pass_tv(self) -> float | None:
        return stats.total_variation(self.counts, self.target) if self.classes else None

    def rarefied(self, size: int) -> float:
        return stats.rarefied_tv(self.counts, self.target, size)

    @property
    def counts(self) -> dict[str, int]:
        return counts_of(self.target, self.first.values())


def compare_runs(first: str | Path, second: str | Path) -> Comparison:
    """Compare the sets that two runs share: same prompt, same arm, same target.

    Raises:
        UserError: a folder holds no run, a run has a prompt under an arm more than once, or the two share
            nothing.
    """
    problems: list[str] = []
    a, b = (_read(folder, problems) for folder in (first, second))
    shared = [key for key in a if key in b]
    same = [key for key in shared if (a[key].scale, a[key].target) == (b[key].scale, b[key].target)]
    if not same:
        why = "no prompt was run under the same arm in both"
        if shared:
            why = "their targets differ: hold both against one spec with `fairgen score`"
        raise UserError(f"{first} and {second} have nothing to compare: {why}.")
    draws = max(9_999, _DRAWS_A_ROW * len(same))
    sets = _corrected([_compared(a[key], b[key], draws) for key in same])
    arms = list(dict.fromkeys(one.arm for one in sets))
    return Comparison(
        runs=(readable(first), readable(second)),
        arms=[_arm(arm, [(a[key], b[key]) for key in same if key[1] == arm], sets) for arm in arms],
        sets=sets,
        only=([_name(k) for k in a if k not in b], [_name(k) for k in b if k not in a]),
        other_target=[_name(key) for key in shared if key not in same],
        problems=problems + _unequal([(a[key], b[key]) for key in same]),
    )


def _comparable(a: _Read, b: _Read) -> bool:
    """Whether first passes can be held against each other: those of steered sets fill quotas, so a part of
    a larger set, or of one that was stopped, is not what the same steering gives at that size.
    """
    return len(a.first) == len(b.first) or not (a.steered or b.steered)


def _unequal(pairs: list[tuple[_Read, _Read]]) -> list[str]:
    said = []
    if unequal := sum(a.count != b.count for a, b in pairs):
        what = f"{counted(unequal, 'row')} {'has' if unequal == 1 else 'have'}"
        said.append(
            f"{what} another count of pictures in each run. TV of the final sets is not comparable there: "
            "the smaller set is further off by chance. First passes of unsteered sets are compared at the "
            "smaller count."
        )
    if steered := sum(not _comparable(a, b) for a, b in pairs):
        said.append(
            f"First passes of {counted(steered, 'row')} are not compared: steered sets fill quotas, so they "
            "can be compared at equal counts only. Finish both runs, with the same count."
        )
    return said


def _name(key: tuple[str, str]) -> str:
    return f"{key[0]} ({key[1]})"


def _read(folder: str | Path, problems: list[str]) -> dict[tuple[str, str], _Read]:
    reader = RunReader(folder)
    groups = groups_of(reader.audit)
    found: dict[str, _Read] = {}
    seen: set[tuple[str, str]] = set()
    for session in reader.sessions():
        name, key = session.record.session, (session.record.prompt, arm_of(session))
        if key in seen:
            raise UserError(f"{folder} holds {_name(key)} more than once: compare runs that hold it once.")
        seen.add(key)
        found[name] = _kept(session, groups.get(name))
    problems += [f"{readable(folder)}: {problem}" for problem in reader.problems]
    return {(read.prompt, read.arm): read for read in (found[name] for name in reader.names)}


def _kept(session: SessionRun, group: str | None) -> _Read:
    record = session.record
    first = {p.seed: measured_on(p, record.scale) for p in session.pictures if p.attempt == 0}
    return _Read(
        record.prompt,
        arm_of(session),
        group,
        record.scale,
        record.target,
        record.count,
        session.summary.tv if session.summary else None,
        first,
        record.model.seeded,
        record.steered,
    )


def _compared(a: _Read, b: _Read, draws: int) -> ComparedSet:
    paired = a.seeded and b.seeded and a.first.keys() == b.first.keys()
    left, right = a.classes, b.classes
    if paired:
        both = [(x, y) for seed, x in a.first.items() if x is not None and (y := b.first[seed]) is not None]
        left, right = [x for x, _ in both], [y for _, y in both]
    p_value = None
    comparable = _comparable(a, b)
    if comparable and len(left) > 1 and len(right) > 1:
        p_value = stats.difference_test(left, right, a.target, paired=paired, draws=draws)
    size = stats.common_size(a.counts, b.counts)
    return ComparedSet(
        prompt=a.prompt,
        arm=a.arm,
        group=a.group if a.group is not None else b.group,
        count=(a.count, b.count),
        tv=(a.tv, b.tv),
        difference=None if a.tv is None or b.tv is None else b.tv - a.tv,
        first_pass_tv=(a.first_pass_tv, b.first_pass_tv),
        first_pass_difference=b.rarefied(size) - a.rarefied(size) if size and comparable else None,
        p_value=p_value,
        p_holm=None,
        paired=paired,
    )


def _corrected(sets: list[ComparedSet]) -> list[ComparedSet]:
    adjusted = iter(stats.holm([one.p_value for one in sets if one.p_value is not None]))
    return [one if one.p_value is None else one.model_copy(update={"p_holm": next(adjusted)}) for one in sets]


def _arm(arm: str, pairs: list[tuple[_Read, _Read]], every: list[ComparedSet]) -> ComparedArm:
    sets = [one for one in every if one.arm == arm]
    known = [
        (a.counts, b.counts, a.target) for a, b in pairs if a.classes and b.classes and _comparable(a, b)
    ]
    interval = p_value = None
    if len(known) >= FEWEST:
        p_value = stats.paired_rarefied(known, PART).p_value
    if known:
        interval = interval_over(stats.rarefied_gaps(known), (-1.0, 1.0))
    return ComparedArm(
        arm=arm,
        prompts=len(sets),
        tv=(mean(one.tv[0] for one in sets), mean(one.tv[1] for one in sets)),
        difference=mean(one.difference for one in sets),
        first_pass_tv=(
            mean(one.first_pass_tv[0] for one in sets),
            mean(one.first_pass_tv[1] for one in sets),
        ),
        interval=interval,
        p_value=p_value,
    )
