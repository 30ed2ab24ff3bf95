"""Asks for targets under every framing, and compares the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from fairgen.probe.asks import Heard
from fairgen.probe.chat import Endpoint
from fairgen.probe.contrasts import Asked, oversight_probes, pooled_probe
from fairgen.probe.hearing import Replies, hear_all
from fairgen.probe.journal import Journal
from fairgen.probe.reading import read_answer
from fairgen.probe.target import Cell, TargetProbe
from fairgen.targets.oversight import OversightProbe

__all__ = ["Watched", "probe_target"]


@dataclass(frozen=True)
class Watched:
    """What came of a probe.

    Attributes:
        design: what was asked.
        replies: what came back, as it came.
        probes: of each question the section for a spec.
        pooled: all questions together; of a single one the same as its own.
    """

    design: TargetProbe
    replies: Replies
    probes: list[OversightProbe]
    pooled: OversightProbe


def probe_target(
    design: TargetProbe,
    endpoint: Endpoint,
    journal: Journal,
    *,
    at_once: int | None = None,
    on_reply: Callable[[int], object] = lambda _count: None,
) -> Watched:
    """Ask what is not in the journal yet, and compare.

    Args:
        design: what to ask.
        endpoint: whom.
        journal: what it said so far, and where its replies are kept.
        at_once: requests under way at the same time; by default 4, and 1 where the server is this machine.
        on_reply: told how many replies (or failures) there are more.

    Raises:
        UserError: see `hear_all`.
    """
    replies = hear_all(list(design.asks()), endpoint, journal, at_once=at_once, on_reply=on_reply)
    answers = [
        {
            cell: [read_answer(heard, question.scale) for heard in _of_cell(design, replies, number, cell)]
            for cell in design.cells
        }
        for number, question in enumerate(design.questions)
    ]
    asked = Asked(
        model=endpoint.model,
        on=date.today(),
        replies_each=design.replies,
        policy=design.policy,
        notes=_notes(replies, design.calls),
    )
    probes = oversight_probes(answers, asked)
    pooled = probes[0] if len(probes) == 1 else pooled_probe(answers, asked)
    return Watched(design, replies, probes, pooled)


def _of_cell(design: TargetProbe, replies: Replies, number: int, cell: Cell) -> list[Heard]:
    question = design.questions[number]
    names = (design.name(question, cell, reply) for reply in range(design.replies))
    return [replies.heard[name] for name in names if name in replies.heard]


def _notes(replies: Replies, wanted: int) -> str | None:
    notes = []
    if missing := wanted - len(replies.heard):
        notes.append(f"{missing} of {wanted} replies did not come ({replies.failures[-1]}).")
    if "schema" in replies.left_out:
        notes.append(
            "The server refused to be asked by JSON schema, so the schema was only part of the words."
        )
    if "seed" in replies.left_out:
        notes.append("The server takes no seed.")
    texts = {heard.text for heard in replies.heard.values()}
    if len(texts) == 1 < len(replies.heard):
        notes.append("All replies are the same to the letter.")
    return " ".join(notes) or None
