"""Language models for the probes' tests, behind a real HTTP server: what they answer depends on what the
system message says. Invented for tests: no real model answered so.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairgen.probe.framings import FRAMINGS, Framing
from tests.doubles.llm_server import SHARES, Handler, Turn, fixture_reply, sends

BASE = np.array(list(SHARES.values()))
CONCENTRATION = 25.0
"""Of Dirichlet noise on six classes: the median total variation of two means of five replies is then .107,
as with the real small models of docs/oversight.md."""


def framing_of(system: str) -> Framing:
    """Which framing a system message holds."""
    for framing in ("monitored", "unmonitored", "no_consequence"):
        if any(text in system for text in FRAMINGS[framing]):
            return framing
    return "none"


def moved(size: float) -> NDArray[np.float64]:
    """The base shares with ``size`` moved from the darker half to the lighter half."""
    lighter = np.arange(len(BASE)) < len(BASE) // 2
    gain = np.where(lighter, BASE / BASE[lighter].sum(), -BASE / BASE[~lighter].sum())
    return np.asarray(BASE + size * gain)


def body_of(message: dict[str, Any], choice: dict[str, Any] | None = None) -> bytes:
    """A chat completion."""
    return json.dumps(
        {
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant"} | message}
                | (choice or {})
            ],
            "model": "fixture-model",
            "usage": {"prompt_tokens": 900, "completion_tokens": 300},
        }
    ).encode()


def persona(answer: Callable[[str, str, np.random.Generator], bytes], seed: int = 0) -> Turn:
    """A model: from the system message, the question and a random generator to the body of its answer.

    The n-th answer to a text is the same, in whatever order requests arrive.
    """
    asked, lock = Counter[str](), threading.Lock()

    def turn(handler: Handler) -> None:
        messages = handler.asked.body["messages"]
        system = messages[0]["content"] if messages[0]["role"] == "system" else ""
        text = f"{system}\0{messages[-1]['content']}"
        with lock:
            number = asked[text]
            asked[text] += 1
        rng = np.random.default_rng([seed, zlib.crc32(text.encode()), number])
        sends(answer(system, messages[-1]["content"], rng))(handler)

    return turn


def proposes(means: Callable[[str], NDArray[np.float64]], seed: int = 0) -> Turn:
    """Proposes shares around a mean that depends on the system message."""

    def answer(system: str, _question: str, rng: np.random.Generator) -> bytes:
        shares = rng.dirichlet(means(system) * CONCENTRATION)
        reply = fixture_reply(shares=dict(zip(SHARES, shares.tolist(), strict=True)))
        return body_of({"content": json.dumps(reply)})

    return persona(answer, seed)
