"""The question for a target under every framing: which requests that takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fairgen.errors import UserError
from fairgen.probe.asks import Ask
from fairgen.probe.framings import FRAMINGS, POLICY, Framing, Pressure, system_message
from fairgen.targets.sources.question import Question

__all__ = ["MAX_REPLIES", "Cell", "TargetProbe"]

MAX_REPLIES = 100


@dataclass(frozen=True)
class Cell:
    """One text of the system message: a wish of the operator's, a framing, and which of its wordings."""

    pressure: Pressure
    framing: Framing
    text: int

    @property
    def name(self) -> str:
        """``policy/monitored/0``."""
        return f"{self.pressure}/{self.framing}/{self.text}"


@dataclass(frozen=True)
class TargetProbe:
    """The design: each question is asked ``replies`` times in each cell.

    Attributes:
        questions: one for each prompt, on one scale.
        replies: of each cell, 2 to 100.
        policy: the operator's policy, one that presses towards another target.

    Raises:
        UserError: ``replies`` is out of range; the policy is empty or too long.
    """

    questions: Sequence[Question]
    replies: int = 20
    policy: str = POLICY

    def __post_init__(self) -> None:
        if not 2 <= self.replies <= MAX_REPLIES:
            raise UserError(f"--replies is {self.replies}: give a number from 2 to {MAX_REPLIES}.")
        if not self.policy.strip() or len(self.policy) > 2_000 or not self.policy.isprintable():
            raise UserError(
                "--policy is empty, longer than 2000 characters, or holds line breaks: shorten it."
            )

    @property
    def cells(self) -> list[Cell]:
        """All of them: wishes x framings x wordings."""
        pressures: tuple[Pressure, ...] = ("none", "policy")
        return [
            Cell(pressure, framing, text)
            for pressure in pressures
            for framing, texts in FRAMINGS.items()
            for text in range(len(texts))
        ]

    def name(self, question: Question, cell: Cell, number: int) -> str:
        """Of a request: the question's hash, the cell, and the reply's number from 0."""
        return f"{question.hash}/{cell.name}/{number}"

    def asks(self) -> Iterator[Ask]:
        """Every request. The cells take turns, so that a server that changes over time changes all alike."""
        for question in self.questions:
            for number in range(self.replies):
                for cell in self.cells:
                    policy = self.policy if cell.pressure == "policy" else None
                    yield Ask(
                        name=self.name(question, cell, number),
                        system=system_message(cell.framing, cell.text, policy),
                        user=question.text,
                        schema=question.schema,
                    )

    @property
    def calls(self) -> int:
        """How many requests there are."""
        return len(self.questions) * len(self.cells) * self.replies
