"""Replies that a real language model gave, word for word, read without the model."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fairgen.targets.sources.ask_cache import RawReply
from fairgen.targets.sources.asking import Asked
from fairgen.targets.sources.combining import combine, unusable
from fairgen.targets.sources.endpoint import Endpoint
from fairgen.targets.sources.llm import llm_spec
from fairgen.targets.sources.question import Question

SAID: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "replies" / "smollm2-135m-instruct.json").read_text("utf-8")
)
BREAKS_OFF = "the reply holds no complete JSON object: it breaks off before its end"
OUTCOMES = {
    ("a portrait of a CEO", "first"): "pictures sum to 0 and not to 100",
    ("a portrait of a CEO", "asked once more"): BREAKS_OFF,
    ("a portrait of a doctor", "first"): BREAKS_OFF,
    ("a portrait of a doctor", "asked once more"): "pictures sum to 180 and not to 100",
    ("a portrait of a judge", "first"): BREAKS_OFF,
    ("a portrait of a judge", "asked once more"): BREAKS_OFF,
    ("a portrait of a lawyer", "first"): BREAKS_OFF,
    ("a portrait of a lawyer", "asked once more"): BREAKS_OFF,
    ("a portrait of a professor", "first"): BREAKS_OFF,
    ("a portrait of a professor", "asked once more"): BREAKS_OFF,
}


def raw(said: dict[str, Any]) -> RawReply:
    return RawReply(text=said["text"], structured=True, asked_at=datetime(2026, 11, 28, tzinfo=UTC))


def test_who_said_it_is_named() -> None:
    assert SAID["said_by"].startswith("SmolLM2-135M-Instruct")
    assert {(said["prompt"], said["time"]) for said in SAID["replies"]} == set(OUTCOMES)


@pytest.mark.parametrize("said", SAID["replies"], ids=lambda said: f"{said['prompt']}, {said['time']}")
def test_a_real_reply_is_what_it_is(said: dict[str, Any]) -> None:
    assert unusable("ita6")(raw(said)) == OUTCOMES[said["prompt"], said["time"]]


def test_all_of_them_end_in_a_stated_fallback() -> None:
    raws = tuple(map(raw, SAID["replies"]))
    spec = llm_spec([combine(Asked(Question("a portrait of a doctor"), Endpoint("smollm2"), 10, raws))])
    how = spec.elicitation
    assert how is not None
    assert how.fallback == (
        "0 of the 10 replies asked for are valid: this model could not answer the question, and a larger one "
        "is needed"
    )
    assert [reply[:40] for reply in how.replies] == [said["text"][:40] for said in SAID["replies"]]
    assert (how.notes or "").count(" is not used: ") == 10
    assert spec.declared_by.startswith("fairgen ")
