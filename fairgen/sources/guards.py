"""Why what a language model proposed is not used: too few valid replies, agreement by chance, no sources."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairgen.sources.reply import Proposal
from fairgen.spec.support import counted_states, support
from fairgen.stats import jensen_shannon

if TYPE_CHECKING:
    from fairgen.sources.llm import Combined

__all__ = ["COVERAGE_ASKED", "LEAST_COVERAGE", "agreement_of", "doubts", "is_overconfident", "range_coverage"]

COVERAGE_ASKED = 0.9
"""How sure the model was asked to be that the true number lies in its range."""

LEAST_COVERAGE = 0.5
"""A model whose ranges hold fewer of its own further answers is surer than it has reason to be. One whose
errors are as wide as it says holds about .75 of them: two answers differ by more than one answer errs.
"""


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


def doubts(combined: Combined, threshold: float | None) -> list[str]:
    """Why the proposal is not to be used; empty where it is.

    Args:
        combined: what the replies say together.
        threshold: least agreement, 0 to 1; the agreement of random replies has to be exceeded in any case.
    """
    asked, valid = combined.asked, len(combined.shares)
    if not valid:
        none = f"0 of the {asked.samples} replies asked for are valid"
        return [f"{none}: this model could not answer the question, and a larger one is needed"]
    found = []
    if 2 * valid < asked.samples:
        found.append(
            f"{valid} of the {asked.samples} replies asked for {'is' if valid == 1 else 'are'} valid"
        )
    agreement, chance = combined.agreement, combined.chance_agreement
    if agreement is not None and chance is not None and agreement < chance:
        found.append(
            f"agreement {agreement:.2f} is no more than chance: of {valid} replies drawn at random at most "
            f"one in 20 reaches {chance:.2f}"
        )
    elif agreement is not None and threshold is not None and agreement < threshold:
        found.append(f"agreement {agreement:.2f} is below {threshold:g}")
    unsupported = support(combined.citations) == "unsupported"
    if unsupported and is_overconfident(combined.range_coverage):
        found.append(
            f"it is too sure of itself: its ranges hold {combined.range_coverage:.0%} of the numbers of its "
            f"other replies, where it was asked for {COVERAGE_ASKED:.0%}, and no source was found"
        )
    if not combined.citations and asked.question.population != "ideal":
        found.append("no source is cited")
    elif combined.citations and combined.checked and unsupported:
        found.append(f"no cited passage was found: {counted_states(combined.citations)}")
    return found
