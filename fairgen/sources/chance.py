"""How far replies agree by chance: the guard that the agreement of a language model's replies has to pass."""

from __future__ import annotations

__all__ = ["chance_agreement"]

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
