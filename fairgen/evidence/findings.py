"""What a check of a pack finds, sentence by sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["NAMED", "Finding", "Findings"]

NAMED = 5
"""Faults of one kind that are named one by one."""


@dataclass(frozen=True)
class Finding:
    """One line of a check.

    Attributes:
        state: holds: it was looked at, and is so; fault: it is not so; note: worth knowing.
        text: a whole sentence.
    """

    state: Literal["holds", "fault", "note"]
    text: str


class Findings(list[Finding]):
    """In the order in which the check looked."""

    def holds(self, text: str) -> None:
        self.append(Finding("holds", text))

    def fault(self, text: str) -> None:
        self.append(Finding("fault", text))

    def note(self, text: str) -> None:
        self.append(Finding("note", text))
