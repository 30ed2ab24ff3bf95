"""How far replies agree, how far random ones do, and whether a model's ranges hold its own answers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from fairgen.stats import jensen_shannon
from fairgen.targets.sources.reply import Proposal

__all__ = [
    "COVERAGE_ASKED",
    "LEAST_COVERAGE",
    "agreement_of",
    "chance_agreement",
    "is_overconfident",
    "range_coverage",
]

COVERAGE_ASKED = 0.9
"""How sure the model was asked to be that the true number lies in its range."""

LEAST_COVERAGE = 0.5
"""A model whose ranges hold fewer of its own further answers is surer than it has reason to be. One whose
errors are as wide as it says holds about .75 of them: two answers differ by more than one answer errs.
"""

_EXCEEDED = {
    3: (
        0.91, 0.82, 0.78, 0.75, 0.73, 0.72, 0.71, 0.7, 0.7, 0.69,
        0.69, 0.68, 0.68, 0.68, 0.68, 0.67, 0.67, 0.67, 0.67,
    ),
    6: (
        0.76, 0.69, 0.66, 0.64, 0.63, 0.62, 0.61, 0.61, 0.6, 0.6,
        0.6, 0.59, 0.59, 0.59, 0.59, 0.59, 0.58, 0.58, 0.58,
    ),
    10: (
        0.69, 0.63, 0.61, 0.59, 0.58, 0.58, 0.57, 0.57, 0.56, 0.56,
        0.56, 0.56, 0.55, 0.55, 0.55, 0.55, 0.55, 0.55, 0.55,
    ),
}  # fmt: skip
"""Classes -> the agreement for 2, 3, ... 20 replies: the 96th percentile of 40,000 draws, rounded up,
so that at most 1 in 20 reaches it whatever the draws."""


def chance_agreement(replies: int, classes: int) -> float | None:
    """The agreement (1 - mean Jensen-Shannon distance, base 2, over all pairs) that share vectors drawn at
    random, all equally likely (Dirichlet with all parameters 1), exceed in at most 1 of 20 cases.

    Args:
        replies: 2 to 20; None is given back for fewer, which have no agreement.
        classes: 3, 6 or 10.
    """
    return _EXCEEDED[classes][replies - 2] if replies > 1 else None


def agreement_of(shares: Sequence[dict[str, float]]) -> float | None:
    """1 - mean Jensen-Shannon distance (base 2) over all pairs, 0 to 1; None for fewer than two."""
    distances = [jensen_shannon(a, b) for a, b in itertools.combinations(shares, 2)]
    return round(1 - math.fsum(distances) / len(distances), 4) if distances else None


def range_coverage(proposals: Sequence[Proposal]) -> float | None:
    """How often a share of one reply lies in the range that another reply gives for its class, 0 to 1; None
    where no two replies can be held against each other.
    """
    held = [
        low - 1e-9 <= other.shares[name] <= high + 1e-9
        for one, other in itertools.permutations(proposals, 2)
        for name, (low, high) in one.ranges.items()
    ]
    return round(sum(held) / len(held), 4) if held else None


def is_overconfident(coverage: float | None) -> bool:
    """Whether a model's ranges are too narrow for its own answers."""
    return coverage is not None and coverage < LEAST_COVERAGE
