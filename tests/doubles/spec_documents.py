"""Spec documents for tests: one by hand, one that a model was asked for, one with contexts, and any other."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from fairgen.targets import FairnessSpec
from skin_tone.scales import SCALES

MINIMAL = """\
name: mine
version: 1
scale: lmd3
target:
  light: 0.2
  medium: 0.3
  dark: 0.5
source: user
about: a shop
why: a wish
declared_by: me
declared_on: 2026-11-23
"""
WITH_CONTEXTS = (
    MINIMAL
    + """\
contexts:
- prompts: [a nurse, a doctor]
  target: {light: 1/2, medium: 1/4, dark: 1/4}
  why: seen too rarely
- prompts: [a * worker]
  target: {light: 0, medium: 0, dark: 1}
"""
)
ELICITATION: dict[str, Any] = {
    "model": "a-model",
    "asked_on": "2026-11-23",
    "prompt_hash": "sha256:" + "0" * 64,
    "replies": ["{}", "a\nb"],
    "agreement": 0.5,
}
CITATION: dict[str, Any] = {
    "title": "A table",
    "year": 2020,
    "url": "https://example.org/a",
    "quote": "half of them",
    "claim": "half",
}
FIELDS: dict[str, Any] = {
    "name": "mine",
    "version": 1,
    "scale": "lmd3",
    "target": {"light": 0.25, "medium": 0.25, "dark": 0.5},
    "source": "user",
    "confidence": {"overall": 0.5, "classes": {"dark": None}},
    "about": "a shop",
    "why": "a wish",
    "declared_by": "me",
    "declared_on": "2026-11-23",
}
"""The fields of a sound document; dates as text, so that it is JSON too."""


def documents() -> dict[str, dict[str, Any]]:
    """Sound documents of every kind, as fresh plain data."""
    asked = {**FIELDS, "source": "llm", "elicitation": ELICITATION, "citations": [CITATION]}
    some = {
        **FIELDS,
        "contexts": [
            {"prompts": ["a nurse", "a * worker"], "target": {"light": 0.5, "medium": 0.5, "dark": 0}},
            {"prompts": ["a doctor"], "target": dict.fromkeys(("light", "medium", "dark"), "1/3")},
        ],
    }
    each = {
        **FIELDS,
        "source": "llm",
        "contexts": [{**some["contexts"][0], "elicitation": ELICITATION, "citations": [CITATION]}],
    }
    return copy.deepcopy({"by hand": FIELDS, "asked": asked, "contexts": some, "asked for each": each})


TEXT = st.text(
    st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from("\n\t :#'\"-\u2028\ufeff"), max_size=90
)
REQUIRED = st.builds("{}x{}".format, TEXT, TEXT)
LINE = REQUIRED.map(lambda text: text.replace("\n", " "))
UNIT = st.floats(0, 1)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
CHECKED = ["found", "not_found", "unreachable"]


@st.composite
def _targets(draw: st.DrawFn, scale: str) -> dict[str, float]:
    classes = SCALES[scale].classes
    weights = draw(st.lists(st.integers(0, 30), min_size=len(classes), max_size=len(classes)))
    if not any(weights):
        weights = [1] * len(classes)
    return {name: weight / sum(weights) for name, weight in zip(classes, weights, strict=True)}


@st.composite
def _citations(draw: st.DrawFn) -> dict[str, Any]:
    checked = draw(st.sampled_from(["unchecked", *CHECKED]))
    return {
        "title": draw(LINE),
        "year": draw(st.none() | st.integers(1000, 2100)),
        "url": draw(st.none() | st.just("https://example.org/a?b=c#d")),
        "quote": draw(st.none() | TEXT),
        "claim": draw(REQUIRED),
        "checked": checked,
        "checked_at": None if checked == "unchecked" else draw(MOMENTS),
    }


@st.composite
def _elicitations(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "model": "some-model",
        "asked_on": draw(st.dates()),
        "prompt_hash": "sha256:" + "0" * 64,
        "replies": draw(st.lists(st.text(max_size=80), min_size=1, max_size=3)),
        "agreement": draw(st.none() | UNIT),
    }


@st.composite
def _confidences(draw: st.DrawFn, scale: str) -> dict[str, Any]:
    classes = st.sampled_from(SCALES[scale].classes)
    return {
        "overall": draw(st.none() | UNIT),
        "classes": draw(st.dictionaries(classes, st.none() | UNIT)),
    }


@st.composite
def specs(draw: st.DrawFn) -> FairnessSpec:
    """Sound specs of any kind, signed or not."""
    scale = draw(st.sampled_from(sorted(SCALES)))
    fields: dict[str, Any] = {
        "name": draw(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)),
        "version": draw(st.integers(1, 10**6)),
        "scale": scale,
        "target": draw(_targets(scale)),
        "source": "user",
        "confidence": draw(_confidences(scale)),
        "citations": draw(st.lists(_citations(), max_size=1)),
        "about": draw(REQUIRED),
        "why": draw(REQUIRED),
        "mapping": draw(TEXT),
        "allocation": draw(st.sampled_from(["exact", "expected"])),
        "declared_by": draw(LINE),
        "declared_on": draw(st.dates()),
        "contexts": [
            {
                "prompts": [f"a portrait of {number}", f"{number} *"],
                "target": draw(_targets(scale)),
                "confidence": draw(_confidences(scale)),
                "citations": draw(st.lists(_citations(), max_size=1)),
                "why": draw(st.none() | REQUIRED),
            }
            for number in range(draw(st.sampled_from([0, 0, 1, 2])))
        ],
    }
    if draw(st.booleans()):
        fields["source"] = "llm"
        for part in draw(st.sampled_from([[fields], [*fields["contexts"], fields]])):
            part["elicitation"] = draw(_elicitations())
    spec = FairnessSpec.model_validate(fields)
    return spec.approved("A. Person", date(2026, 11, 24)) if draw(st.booleans()) else spec
