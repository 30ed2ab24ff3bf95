"""Why what a language model proposed is not used: too few valid replies, agreement by chance, no sources."""

from __future__ import annotations

from fairgen.targets.sources.agreement import COVERAGE_ASKED, is_overconfident
from fairgen.targets.sources.combining import Combined
from fairgen.targets.support import counted_states, support

__all__ = ["doubts"]


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
