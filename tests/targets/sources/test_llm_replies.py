"""From replies to a target: strict parsing, mean, agreement, citations. Replies are fixtures."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import unicodedata
from datetime import UTC, datetime
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from fairgen.targets.sources.ask_cache import RawReply
from fairgen.targets.sources.asking import Asked, Tokens, ask, tokens
from fairgen.targets.sources.combining import combine
from fairgen.targets.sources.endpoint import Endpoint
from fairgen.targets.sources.llm import llm_spec
from fairgen.targets.sources.plain_text import cut, escaped, readable, without
from fairgen.targets.sources.question import Question
from fairgen.targets.sources.reply import SLIP, RejectedReply, parse_reply
from skin_tone.scales import SCALES
from tests.doubles.llm_server import CITATION, SHARES, fixture_reply, serving
from tests.doubles.spec_source_runs import GOOD

numbers = st.floats(allow_nan=True) | st.integers()
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@st.composite
def mutated_replies(draw: st.DrawFn) -> str:
    """A valid reply with one value, somewhere, replaced, dropped or renamed, and now and then with prose."""
    reply = fixture_reply(citations=[dict(CITATION)], confidence={"overall": 0.5})
    rows = reply["pictures"]
    place: Any = draw(st.sampled_from([reply, rows, rows["tan"], reply["confidence"], reply["citations"][0]]))
    key = draw(st.sampled_from(sorted(place)))
    match draw(st.sampled_from(["replace", "drop", "rename", "near"])):
        case "replace":
            place[key] = draw(json_values)
        case "drop":
            del place[key]
        case "rename":
            place[draw(st.text(max_size=12))] = place.pop(key)
        case _:
            for row in rows.values():
                row["count"] *= draw(st.floats(0.8, 1.2))
    text = json.dumps(reply, ensure_ascii=draw(st.booleans()))
    return (
        draw(st.sampled_from(["", "Here: ", "```json\n"])) + text + draw(st.sampled_from(["", "\n```", "}"]))
    )


@settings(max_examples=400)
@given(mutated_replies() | st.text(max_size=300) | json_values.map(json.dumps))
def test_no_reply_is_wrongly_accepted_or_breaks_the_parser(text: str) -> None:
    try:
        proposal = parse_reply(escaped(text), "ita6")
    except RejectedReply:
        return
    assert list(proposal.shares) == list(SHARES)
    assert all(0 <= share <= 1 for share in proposal.shares.values())
    assert abs(math.fsum(proposal.shares.values()) - 1) <= 1e-6
    assert proposal.confidence is None or 0 <= proposal.confidence <= 1
    data = json.JSONDecoder().raw_decode(text, text.index("{"))[0]
    [given_rows] = [value for value in data.values() if isinstance(value, dict) and set(value) & set(SHARES)]
    numbers_given = [row["count"] if isinstance(row, dict) else row for row in given_rows.values()]
    total = math.fsum(n for n in numbers_given if n is not None)
    gap = abs(total / (1 if total <= 2 else 100) - 1)
    assert gap <= SLIP + 1e-9
    assert (gap > 1e-6) == any("was divided by that sum" in note for note in proposal.notes)
    for name, (low, high) in proposal.ranges.items():
        assert 0 <= low <= proposal.shares[name] + 1e-9 <= high + 2e-9


@given(st.text(max_size=200))
def test_escaped_text_hides_nothing_and_says_the_same(text: str) -> None:
    for ascii_only in (True, False):
        kept = escaped(json.dumps(text, ensure_ascii=ascii_only))
        assert not any(unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") for c in kept)
        assert json.loads(kept) == text
    assert not any(unicodedata.category(c) == "Cc" and c not in "\n\t" for c in readable(text)[0])


@given(st.text(max_size=300), st.integers(60, 400))
def test_cut_text_keeps_to_its_limit_and_says_so(text: str, limit: int) -> None:
    kept = cut(text, limit)
    assert len(kept.encode()) <= limit
    assert (kept == text) == (len(text.encode()) <= limit)
    assert kept == text or kept.endswith(f"[cut: {len(text.encode())} bytes in all]")


SECRET = "sk-b/3456789012"
_HIDDEN = st.text(st.sampled_from("\u200b\u202e\u00ad\x00\r"), max_size=2)


@given(
    before=st.text(max_size=20),
    letters=st.tuples(*[st.tuples(st.sampled_from("pe"), _HIDDEN)] * len(SECRET)),
    raw=st.booleans(),
)
def test_a_secret_is_found_in_every_form(
    before: str, letters: tuple[tuple[str, str], ...], raw: bool
) -> None:
    written = "".join(
        (f"\\u{ord(char):04X}" if form == "e" else char) + (hidden if raw else json.dumps(hidden)[1:-1])
        for char, (form, hidden) in zip(SECRET, letters, strict=True)
    )
    text = json.dumps(before)[:-1] + written + '"'
    kept = without(SECRET, text)
    assert readable(json.loads(kept, strict=False))[0] == readable(before + "[key]")[0]


@given(st.text())
def test_text_without_a_secret_stays(text: str) -> None:
    assert without(SECRET, text) == text


def test_a_placeholder_for_a_key_is_no_secret() -> None:
    assert without("ollama", "served by ollama") == "served by ollama"
    assert without("twelve-chars", "twelve-chars it is") == "[key] it is"


def raw(content: object) -> RawReply:
    text = content if isinstance(content, str) else json.dumps(content)
    return RawReply(text=text, structured=True, asked_at=datetime(2026, 11, 24, tzinfo=UTC))


distributions = st.lists(st.integers(0, 20), min_size=6, max_size=6).filter(any)


@settings(max_examples=60)
@given(st.lists(distributions, min_size=2, max_size=6))
def test_mean_and_agreement_are_those_of_the_replies(counts: list[list[int]]) -> None:
    shares = [{k: c / sum(row) for k, c in zip(SHARES, row, strict=True)} for row in counts]
    raws = tuple(raw(fixture_reply(shares=one)) for one in shares)
    combined = combine(Asked(Question("a nurse"), Endpoint("m"), len(raws), raws))
    assert combined.proposal is not None
    assert combined.agreement is not None
    matrix = np.array([list(one.values()) for one in shares])
    assert list(combined.proposal.values()) == pytest.approx(matrix.mean(axis=0).tolist(), abs=1e-8)
    pairs = [jensenshannon(a, b, base=2) for a, b in itertools.combinations(matrix, 2)]  # scipy's, not ours
    assert combined.agreement == pytest.approx(1 - np.nan_to_num(pairs).mean(), abs=1e-4)
    assert llm_spec([combined]).source == "llm"


def test_citations_are_merged_and_the_most_named_come_first() -> None:
    rare = CITATION | {"title": "Rare", "url": "https://rare.fixture-office.gov/"}
    spaced = CITATION | {"quote": "Of the nurses  in the fixture,\n45 per cent"}
    raws = (
        raw(fixture_reply(citations=[rare, CITATION, CITATION])),
        raw(fixture_reply(citations=[spaced])),
    )
    combined = combine(Asked(Question("a nurse"), Endpoint("m"), 2, raws))
    assert [c.title for c in combined.citations] == ["Fixture census", "Rare"]
    few = combine(Asked(Question("a nurse"), Endpoint("m"), 2, raws), max_citations=1)
    assert [c.title for c in few.citations] == ["Fixture census"]
    assert "Of 2 different citations the 1 that most replies name are kept." in few.notes


def test_checked_citations_count_only_where_one_is_found() -> None:
    combined = combine(Asked(Question("a nurse"), Endpoint("m"), 1, (raw(fixture_reply()),)))
    when = datetime(2026, 11, 24, tzinfo=UTC)
    [citation] = combined.citations
    for state, falls in (("found", False), ("not_found", True), ("unreachable", True)):
        looked_up = citation.model_copy(update={"checked": state, "checked_at": when})
        how = llm_spec([combined.with_checked([looked_up])]).elicitation
        assert how is not None
        assert bool(how.fallback) is falls


@pytest.mark.parametrize("scale", SCALES)
def test_question_names_every_class_and_its_hash_follows_the_words(scale: str) -> None:
    question = Question("a nurse", scale)
    assert all(f"- {name}: " in question.text for name in SCALES[scale].classes)
    assert question.hash == Question("a nurse", scale).hash
    assert question.hash != Question("a  nurse", scale).hash
    for part in (question.schema, question.schema["properties"]["pictures"]):
        assert part["required"] == list(part["properties"])
        assert part["additionalProperties"] is False
    jsonschema.Draft202012Validator.check_schema(question.schema)
    if scale == "ita6":
        jsonschema.validate(fixture_reply(), question.schema)


def test_it_works_where_a_loop_runs_already() -> None:
    async def in_a_notebook(url: str) -> list[Asked]:
        return ask([Question("a nurse")], Endpoint.named("m", url), samples=2)

    with serving(GOOD) as server:
        [asked_now] = asyncio.run(in_a_notebook(server.url))
    assert len(asked_now.replies) == 2
    assert tokens([asked_now]) == Tokens(1800, 600, 2, 0)
