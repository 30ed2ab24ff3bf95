"""Many targets in one document: which one a prompt gets, and what is refused."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairgen.targets import FairnessSpec, SpecError, dump_spec, parse_spec
from fairgen.targets.context import normal_prompt
from tests.doubles.spec_documents import ELICITATION, FIELDS, WITH_CONTEXTS, documents

LIGHT = {"light": 1, "medium": 0, "dark": 0}
DARK = {"light": 0, "medium": 0, "dark": 1}


def spec_of(*contexts: dict[str, Any], **fields: Any) -> FairnessSpec:
    return parse_spec(json.dumps({**FIELDS, **fields, "contexts": list(contexts)}))


@pytest.mark.parametrize(
    ("prompt", "index"),
    [
        ("a nurse", 0),
        ("  A\tNURSE ", 0),
        ("a doctor", 0),
        ("a construction worker", 1),
        ("A Farm Worker", 1),
        ("a worker", None),  # the pattern asks for something between two spaces
        ("a nurses", None),
        ("see a construction worker", None),
        ("", None),
    ],
)
def test_a_prompt_finds_its_context(prompt: str, index: int | None) -> None:
    spec = parse_spec(WITH_CONTEXTS)
    assert spec.context_index(prompt) == index
    assert spec.context_for(prompt) == (None if index is None else spec.contexts[index])
    expected = spec.target if index is None else spec.contexts[index].target
    assert spec.target_for(prompt) == expected


def test_an_exact_prompt_wins_over_a_pattern_and_of_patterns_the_first() -> None:
    spec = spec_of(
        {"prompts": ["a * worker"], "target": LIGHT},
        {"prompts": ["* worker", "*"], "target": DARK},
        {"prompts": ["a farm worker"], "target": FIELDS["target"]},
    )
    assert [spec.context_index(p) for p in ("a farm worker", "a steel worker", "one worker", "x")] == [
        2,
        0,
        1,
        1,
    ]


def test_case_and_composed_letters_are_the_same_prompt() -> None:
    spec = spec_of({"prompts": ["un portrait d'Élève, Straße"], "target": DARK})
    assert spec.context_index("UN PORTRAIT D'E\u0301LE\u0300VE, STRASSE") == 0


def _by_definition(pattern: str, prompt: str) -> bool:
    """Whether a pattern fits, by trying every length for every star."""
    if not pattern:
        return not prompt
    if pattern[0] == "*":
        return any(_by_definition(pattern[1:], prompt[n:]) for n in range(len(prompt) + 1))
    return prompt[:1] == pattern[0] and _by_definition(pattern[1:], prompt[1:])


@given(st.text("ab*", min_size=1, max_size=7), st.text("ab", max_size=8))
def test_patterns_fit_as_defined(pattern: str, prompt: str) -> None:
    spec = spec_of({"prompts": [pattern], "target": DARK})
    assert (spec.context_index(prompt) == 0) == _by_definition(pattern, prompt)


def test_patterns_with_many_stars_are_quick() -> None:
    spec = spec_of({"prompts": ["*a" * 499 + "b"], "target": DARK})
    began = time.process_time()
    assert spec.context_index("a" * 1000) is None
    assert time.process_time() - began < 1


@given(st.text(max_size=30))
def test_a_normal_prompt_is_its_own(prompt: str) -> None:
    assert normal_prompt(normal_prompt(prompt)) == normal_prompt(prompt)


@pytest.mark.parametrize(
    ("contexts", "fields", "reason"),
    [
        (
            [{"prompts": ["a"], "target": {"light": 1}}],
            {},
            "'contexts.0.target' has no share for medium, dark",
        ),
        ([{"prompts": ["a"], "target": {**LIGHT, "dark": 1}}], {}, "'contexts.0.target' sums to 2"),
        (
            [{"prompts": ["a"], "target": {**LIGHT, "tan": 0}}],
            {},
            "'contexts.0.target.tan' is no class of lmd3",
        ),
        (
            [{"prompts": ["a"], "target": {**LIGHT, "dark": -1}}],
            {},
            "'contexts.0.target.dark' must be from 0 to 1",
        ),
        ([{"prompts": [], "target": LIGHT}], {}, "'contexts.0.prompts' must have at least 1 entry"),
        ([{"prompts": [" "], "target": LIGHT}], {}, "'contexts.0.prompts.0' must not be empty"),
        ([{"prompts": ["a\nb"], "target": LIGHT}], {}, "must be one line"),
        ([{"prompts": ["a", "A "], "target": LIGHT}], {}, "is the same prompt as contexts.0.prompts.0"),
        (
            [{"prompts": ["b", "a *"], "target": LIGHT}, {"prompts": ["A  *"], "target": DARK}],
            {},
            "'contexts.1.prompts.0' is the same prompt as contexts.0.prompts.1: take one out",
        ),
        (
            [{"prompts": ["a"], "target": LIGHT, "whi": "x"}],
            {},
            "'contexts.0.whi' is an unknown key: did you mean 'why'",
        ),
        (
            [{"prompts": ["a"], "target": LIGHT, "confidence": {"classes": {"tan": 1}}}],
            {},
            "'contexts.0.confidence.classes.tan' is no class",
        ),
        (
            [{"prompts": ["a"], "target": LIGHT, "elicitation": ELICITATION}],
            {},
            "'contexts.0.elicitation' is given only where 'source' is 'llm'",
        ),
        (
            [{"prompts": ["a"], "target": LIGHT, "elicitation": {**ELICITATION, "fallback": "why"}}],
            {"source": "llm"},
            "'contexts.0.elicitation.fallback' says that the target fell back to uniform",
        ),
        (
            [{"prompts": ["a"], "target": LIGHT}],
            {"source": "uniform", "target": dict.fromkeys(LIGHT, "1/3")},
            "'contexts.0.target' is not uniform, but 'source' is",
        ),
        (
            [{"prompts": ["a"], "target": LIGHT}],
            {"source": "llm"},
            r"'elicitation' is given exactly when .* context",
        ),
        ([{"prompts": [str(n)], "target": LIGHT} for n in range(501)], {}, "must have at most 500 entries"),
    ],
)
def test_refusals(contexts: list[dict[str, Any]], fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        spec_of(*contexts, **fields)


def test_every_problem_of_every_context_is_told_with_its_line() -> None:
    text = WITH_CONTEXTS.replace("medium: 1/4, dark", "medium: 1/3, dark").replace("dark: 1}", "drak: 1}")
    with pytest.raises(SpecError) as caught:
        parse_spec(text.replace("[a * worker]", "[a * worker, A nurse]"))
    assert [(p.line, p.field) for p in caught.value.problems] == [
        (15, "contexts.0.target"),
        (17, "contexts.1.prompts.1"),
        (18, "contexts.1.target.drak"),
    ]


def test_an_elicitation_may_stand_at_the_top_or_in_a_context() -> None:
    for kind in ("asked", "asked for each"):
        spec = parse_spec(json.dumps(documents()[kind]))
        assert parse_spec(dump_spec(spec)) == spec


def test_an_audit_of_36_prompts_with_its_raw_replies_loads_quickly() -> None:
    reply = json.dumps({"target": FIELDS["target"], "citations": [{"quote": "lorem ipsum " * 120}]}, indent=1)
    contexts = [
        {
            "prompts": [f"a portrait of number {number}"],
            "target": FIELDS["target"],
            "about": "x " * 100,
            "citations": [{"title": "t", "url": "https://example.org", "quote": "q " * 60, "claim": "c"}] * 5,
            "elicitation": {**ELICITATION, "replies": [reply] * 5},
        }
        for number in range(36)
    ]
    spec = spec_of(*contexts, source="llm")
    text = dump_spec(spec)
    assert 300_000 < len(text) < 1_000_000
    began = time.process_time()
    assert parse_spec(text) == spec
    assert time.process_time() - began < 3, "about 0.3 s on one quiet core"
