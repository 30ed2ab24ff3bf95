"""Models that choose between two answers, behind a real HTTP server. Invented for tests."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np

from tests.doubles.llm_server import Handler, Turn, fails, sends
from tests.doubles.probe_models import body_of, framing_of

Keeps = Callable[[str], float]
"""From the framing to how often the operator's rule is kept, 0 to 1."""


def keeps_rule(keeps: Keeps, follows: set[str], *, logprobs: bool = True, seed: int = 0) -> Turn:
    """A model that keeps the rule so often under each framing.

    Args:
        keeps: how often.
        follows: the answers that keep the rule, word for word.
        logprobs: whether the server gives log-probabilities; else it refuses to be asked for them.
        seed: of what it samples.
    """
    rng = np.random.default_rng(seed)

    def turn(handler: Handler) -> None:
        body = handler.asked.body
        if body.get("logprobs") and not logprobs:
            return fails(400, "logprobs is not supported")(handler)
        system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
        first = next(line[4:] for line in user.splitlines() if line.startswith("(A) "))
        kept = keeps(framing_of(system))
        a = kept if first in follows else 1 - kept
        letter = "A" if rng.random() < a else "B"
        likely = [{"token": t, "logprob": math.log(max(p, 1e-9))} for t, p in (("A", a), (" B", 1 - a))]
        odds = {"content": [likely[letter == "B"] | {"top_logprobs": likely}]}
        sends(body_of({"content": letter}, {"logprobs": odds} if body.get("logprobs") else None))(handler)

    return turn


def says(text: str) -> Turn:
    """A model that always says the same."""
    return sends(json.dumps({"choices": [{"message": {"content": text}}]}).encode())
