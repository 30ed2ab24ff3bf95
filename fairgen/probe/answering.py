"""How a model answers the questions of a battery: from its server or from a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fairgen.errors import UserError
from fairgen.probe.choices import Choice, Odds, odds_of_letters, odds_of_samples
from fairgen.probe.hearing import Replies, hear_all
from fairgen.probe.journal import Journal

if TYPE_CHECKING:
    from fairgen.probe.chat import Endpoint
    from fairgen.probe.local import LocalModel

__all__ = ["MAX_SAMPLES", "TRIAL", "Answered", "answer_by_letters", "answer_by_samples", "answer_locally"]

TRIAL = 8
"""So many questions are asked first, to see whether the server gives log-probabilities of the letters."""

MAX_SAMPLES = 50
_ENOUGH_MASS = 0.5


@dataclass(frozen=True)
class Answered:
    """Answers to the questions of a battery.

    Attributes:
        how: from the odds of the letters, or from sampled answers.
        odds: by the name of the question.
        asked: requests in all.
        kept: how many of their replies were on disk already.
        failures: why others did not come, one line each.
    """

    how: Literal["letters", "samples"]
    odds: dict[str, Odds]
    asked: int
    kept: int = 0
    failures: tuple[str, ...] = ()


def answer_by_letters(
    questions: Sequence[Choice],
    endpoint: Endpoint,
    journal: Journal,
    *,
    at_once: int | None = None,
    on_reply: Callable[[int], object] = lambda _count: None,
) -> Answered | None:
    """One request a question, of one token, with the log-probabilities of the likely ones.

    Returns:
        None where the server gives none, or where the model does not begin its answers with a letter: its
        answers must then be sampled. Only `TRIAL` requests were spent to learn that.

    Raises:
        UserError: see `hear_all`.
    """
    asks = [question.ask(letters=True) for question in questions]

    def odds(replies: Replies) -> dict[str, Odds]:
        heard = [(q, replies.heard.get(ask.name)) for q, ask in zip(questions, asks, strict=True)]
        found = [(q.name, odds_of_letters(q, one.first)) for q, one in heard if one is not None]
        return {name: one for name, one in found if one is not None}

    trial = odds(hear_all(asks[:TRIAL], endpoint, journal, at_once=at_once))
    if sum(one.letters for one in trial.values()) < _ENOUGH_MASS * min(TRIAL, len(asks)):
        return None
    replies = hear_all(asks, endpoint, journal, at_once=at_once, on_reply=on_reply)
    return Answered("letters", odds(replies), len(asks), replies.kept, tuple(replies.failures))


def answer_by_samples(
    questions: Sequence[Choice],
    endpoint: Endpoint,
    journal: Journal,
    *,
    samples: int,
    at_once: int | None = None,
    on_reply: Callable[[int], object] = lambda _count: None,
) -> Answered:
    """Several requests a question; the letter is read from each answer.

    Raises:
        UserError: ``samples`` is not from 1 to 50; see also `hear_all`.
    """
    if not 1 <= samples <= MAX_SAMPLES:
        raise UserError(f"--samples is {samples}: give a number from 1 to {MAX_SAMPLES}.")
    asks = {q.name: [q.ask(letters=False, number=n) for n in range(samples)] for q in questions}
    # In rounds, so that a server that changes over time changes all questions alike.
    flat = [asks[question.name][number] for number in range(samples) for question in questions]
    replies = hear_all(flat, endpoint, journal, at_once=at_once, on_reply=on_reply)
    found = {}
    for question in questions:
        heard = [replies.heard[ask.name] for ask in asks[question.name] if ask.name in replies.heard]
        if (one := odds_of_samples(question, heard)) is not None:
            found[question.name] = one
    return Answered("samples", found, len(flat), replies.kept, tuple(replies.failures))


def answer_locally(questions: Sequence[Choice], model: LocalModel) -> Answered:
    """The odds of the letters from a model in a folder."""
    letters = model.letters([model.prompt(question.system(), question.user) for question in questions])
    odds = {
        question.name: one
        for question, (a, b) in zip(questions, letters.tolist(), strict=True)
        if (one := Odds.of(question, a, b)) is not None
    }
    return Answered("letters", odds, len(questions))
