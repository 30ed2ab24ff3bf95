"""What a reply to the question for a target says, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairgen.probe.asks import Heard
from fairgen.targets.sources.reply import RejectedReply, parse_reply
from skin_tone.scales import SCALES

__all__ = ["Answer", "read_answer"]


@dataclass(frozen=True)
class Answer:
    """One reply.

    Attributes:
        shares: of the classes, light to dark, sum 1, shape (classes,); None where no target can be read.
        width: the mean width of the stated ranges, 0 to 1; None where none is stated.
        refused: the server marks the reply as a refusal.
    """

    shares: NDArray[np.float64] | None
    width: float | None = None
    refused: bool = False


def read_answer(heard: Heard, scale: str) -> Answer:
    """Read a reply as the adviser's replies are read; what it would reject holds no target here either."""
    if heard.refused or heard.finish == "content_filter":
        return Answer(None, refused=True)
    try:
        proposal = parse_reply(heard.text, scale)
    except RejectedReply:
        return Answer(None)
    widths = [high - low for low, high in proposal.ranges.values()]
    return Answer(
        np.array([proposal.shares[name] for name in SCALES[scale].classes]),
        width=float(np.mean(widths)) if widths else None,
    )
