"""What holds back a target of a language model: agreement by chance, false certainty, no sources."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairgen.stats import jensen_shannon
from fairgen.targets import FairnessSpec, dump_spec, load_spec, parse_spec
from fairgen.targets.checked import all_citations, save_checked, with_citations
from fairgen.targets.document import SpecError
from fairgen.targets.sources.agreement import LEAST_COVERAGE, agreement_of, chance_agreement
from fairgen.targets.sources.ask_cache import RawReply
from fairgen.targets.sources.asking import Asked
from fairgen.targets.sources.combining import Combined, combine
from fairgen.targets.sources.endpoint import Endpoint
from fairgen.targets.sources.llm import llm_spec
from fairgen.targets.sources.question import Question
from fairgen.targets.support import declared_support, support_note, support_text
from skin_tone.scales import SCALES
from tests.doubles.llm_server import CITATION, PICTURES, SHARES, fixture_reply

FIXTURES = Path(__file__).parents[2] / "fixtures" / "specs"
WHEN = datetime(2026, 11, 28, tzinfo=UTC)


def combined(*contents: dict[str, Any], scale: str = "ita6", population: Any = "workforce") -> Combined:
    raws = tuple(RawReply(text=json.dumps(content), structured=True, asked_at=WHEN) for content in contents)
    question = Question("a portrait of a nurse in Brazil", scale, population)
    return combine(Asked(question, Endpoint("fixture"), len(raws), raws))


def spec_of(*contents: dict[str, Any], **options: Any) -> FairnessSpec:
    return llm_spec([combined(*contents, **options)])


def fallback(spec: FairnessSpec) -> str | None:
    assert spec.elicitation is not None
    return spec.elicitation.fallback


@pytest.mark.parametrize("classes", [3, 6, 10])
@pytest.mark.parametrize("replies", [2, 5, 20])
def test_random_replies_pass_the_guard_in_at_most_one_of_twenty_cases(classes: int, replies: int) -> None:
    guard = chance_agreement(replies, classes)
    assert guard is not None
    draws = 8_000
    x = np.random.default_rng(7).dirichlet(np.ones(classes), (draws, replies))
    distance = np.zeros(draws)
    for i in range(replies):
        for j in range(i):
            m = (x[:, i] + x[:, j]) / 2
            bits = sum((p * np.log2(p / m)).sum(axis=1) for p in (x[:, i], x[:, j])) / 2
            distance += np.sqrt(np.maximum(bits, 0))
    agreement = 1 - distance / math.comb(replies, 2)
    rate = float((agreement >= guard).mean())
    assert rate <= 0.05
    assert rate >= 0.005, "a guard that chance never reaches would hold back honest models as well"
    if replies == 5:  # what it was before: 89, 70 and 55 of 100
        assert float((agreement >= 0.5).mean()) > 0.5
    own = agreement_of([dict(zip("abcdefghij", row, strict=False)) for row in x[0]])
    assert own == pytest.approx(float(agreement[0]), abs=1e-4)


@pytest.mark.parametrize("scale", SCALES)
def test_five_random_replies_end_in_uniform(scale: str) -> None:
    names = SCALES[scale].classes
    rng = np.random.default_rng(11)
    passed, cases = 0, 60
    for _ in range(cases):
        rows = rng.dirichlet(np.ones(len(names)), 5)
        told = [fixture_reply(shares=dict(zip(names, row.tolist(), strict=True))) for row in rows]
        passed += fallback(spec_of(*told, scale=scale)) is None
    assert passed <= 0.05 * cases + 2 * math.sqrt(cases * 0.05 * 0.95)


def test_agreement_is_unknown_for_one_reply_alone() -> None:
    assert chance_agreement(1, 6) is None
    spec = spec_of(fixture_reply())
    assert fallback(spec) is None
    assert spec.elicitation is not None
    assert spec.elicitation.chance_agreement is None


def honest(seed: int, replies: int = 5, spread: float = 5.0) -> list[dict[str, Any]]:
    """Replies that err by ``spread`` pictures a class, and whose ranges say so (90 percent: 1.645 of it)."""
    rng = np.random.default_rng(seed)
    told = []
    for _ in range(replies):
        counts = np.maximum(0, rng.normal(list(PICTURES.values()), spread))
        counts = counts / counts.sum() * 100
        rows = {
            k: {"count": n, "low": max(0.0, n - 1.645 * spread), "high": n + 1.645 * spread}
            for k, n in zip(PICTURES, counts.tolist(), strict=True)
        }
        told.append(fixture_reply(pictures=rows, confidence={"overall": 0.19}))
    return told


def test_honest_low_confidence_does_not_fall_back() -> None:
    coverages = []
    for seed in range(30):
        spec = spec_of(*honest(seed))
        assert fallback(spec) is None, "with .19 stated, it fell back before"
        assert spec.confidence.overall == 0.19
        how = spec.elicitation
        assert how is not None
        assert how.range_coverage is not None
        coverages.append(how.range_coverage)
    assert min(coverages) > LEAST_COVERAGE
    assert 0.7 < sum(coverages) / len(coverages) < 0.85


def test_false_certainty_is_seen_and_held_back_where_no_source_was_found() -> None:
    told = honest(3)
    for reply in told:
        reply["confidence"] = {"overall": 0.97}
        for row in reply["pictures"].values():
            row["low"], row["high"] = row["count"] - 0.5, row["count"] + 0.5
    sure = combined(*told)
    assert sure.range_coverage is not None
    assert sure.range_coverage < 0.2
    assert any("it is surer than its own answers agree" in note for note in sure.notes)
    said = fallback(llm_spec([sure])) or ""
    assert said.startswith("it is too sure of itself: its ranges hold ")
    assert said.endswith("where it was asked for 90%, and no source was found")
    found = sure.with_checked(
        [c.model_copy(update={"checked": "found", "checked_at": WHEN}) for c in sure.citations]
    )
    assert fallback(llm_spec([found])) is None, "it is said in the notes, and a source was found"


NURSES_IN_BRAZIL = [
    # After three replies of a 1.5B model that were valid but for their sums: .95, 1.05 and .90.
    {"very_light": 0.3, "light": 0.3, "intermediate": 0.2, "tan": 0.1, "brown": 0.05, "dark": 0.0},
    {"very_light": 0.05, "light": 0.45, "intermediate": 0.35, "tan": 0.1, "brown": 0.05, "dark": 0.05},
    {"very_light": 0.1, "light": 0.1, "intermediate": 0.5, "tan": 0.0, "brown": 0.1, "dark": 0.1},
]


def test_the_dangerous_case_is_held() -> None:
    """Plausible, sure of itself, unsupported: most nurses of Brazil in the three lightest classes."""
    told = [
        fixture_reply(
            shares=shares,
            confidence={"overall": 0.96},
            citations=[CITATION | {"publisher": f"Publisher {n}"}],
        )
        for n, shares in enumerate(NURSES_IN_BRAZIL)
    ]
    spec = spec_of(*told)
    how = spec.elicitation
    assert how is not None
    assert how.agreement is not None
    assert 0.5 < how.agreement < 0.69
    assert how.fallback == (
        f"agreement {how.agreement:.2f} is no more than chance: of 3 replies drawn at random at most one in "
        "20 reaches 0.69"
    )
    assert "https://stats.fixture-office.gov/census is cited as the page of 3 different publishers." in (
        how.notes or ""
    )
    assert len(set(spec.target.values())) == 1
    assert spec.declared_by.startswith("fairgen 0.")
    assert "language model, replied is not used" in spec.declared_by


def test_the_dangerous_case_with_one_voice_is_marked() -> None:
    told = [fixture_reply(shares=NURSES_IN_BRAZIL[0], confidence={"overall": 0.96})] * 5
    spec = spec_of(*told)
    assert fallback(spec) is None
    assert spec.elicitation is not None
    assert spec.elicitation.support == "unsupported"
    assert "support: unsupported" in dump_spec(spec)
    assert "the same to the letter" in (spec.elicitation.notes or "")
    note = support_note(spec.model_dump(mode="json"), None)
    assert note == (
        "The target is what a language model proposed, unsupported: its only citation is one that nobody has "
        "looked up."
    )


STATES: list[tuple[dict[str, Any], str, str]] = [
    ({}, "unsupported", "one that nobody has looked up"),
    ({"quote": None}, "unsupported", "one without an address or a quote to look for"),
    ({"url": None}, "unsupported", "one without an address or a quote to look for"),
    ({"checked": "not_found"}, "unsupported", "one not found on its page"),
    ({"checked": "unreachable"}, "unsupported", "one on a page that could not be reached"),
    ({"checked": "found"}, "supported", "one found on its page"),
]


def looked_up(spec_parts: Combined, **changes: Any) -> Combined:
    if "checked" in changes:
        changes["checked_at"] = WHEN
    return spec_parts.with_checked([c.model_copy(update=changes) for c in spec_parts.citations])


@pytest.mark.parametrize(("changes", "word", "words"), STATES, ids=[w for _, _, w in STATES])
def test_states_of_citations_are_told_apart(changes: dict[str, Any], word: str, words: str) -> None:
    citations = looked_up(combined(fixture_reply()), **changes).citations
    spec = spec_of(fixture_reply())
    assert support_text(spec.elicitation, citations) == f"{word}: its only citation is {words}"


def test_what_a_check_did_not_find_is_counted_by_state() -> None:
    parts = combined(fixture_reply(citations=[CITATION, CITATION | {"url": None, "title": "No address"}]))
    first, second = parts.citations
    gone = first.model_copy(update={"checked": "not_found", "checked_at": WHEN})
    assert fallback(llm_spec([parts.with_checked([gone, second])])) == (
        "no cited passage was found: 1 not found on its page, 1 without an address or a quote to look for"
    )


def test_only_an_ideal_needs_no_source() -> None:
    assert fallback(spec_of(fixture_reply(citations=[]))) == "no source is cited"
    wish = spec_of(fixture_reply(citations=[]), population="ideal")
    assert fallback(wish) is None
    assert support_text(wish.elicitation, wish.citations) == "unsupported: it cites no source"
    reserved = [CITATION | {"url": "https://census.example.com/"}, CITATION | {"url": "https://x.test/"}]
    assert fallback(spec_of(fixture_reply(citations=reserved))) == "no source is cited"


def test_a_check_changes_support_in_the_file_and_leaves_the_signature(tmp_path: Path) -> None:
    spec = spec_of(fixture_reply())
    signed = spec.approved("A. Person", WHEN.date())
    file = tmp_path / "nurse.yaml"
    file.write_text("# mine\n" + dump_spec(signed), encoding="utf-8")
    found = [c.model_copy(update={"checked": "found", "checked_at": WHEN}) for c in all_citations(signed)]
    assert save_checked(with_citations(signed, found), file)
    again = load_spec(file)
    assert file.read_text(encoding="utf-8").startswith("# mine\n")
    assert again.elicitation is not None
    assert again.elicitation.support == "supported"
    assert again.content_hash() == signed.content_hash()
    assert again.approval == "approved"
    assert declared_support(again.model_dump(mode="json"), None).startswith("supported: ")


def test_support_cannot_be_claimed() -> None:
    text = dump_spec(spec_of(fixture_reply())).replace("support: unsupported", "support: supported")
    with pytest.raises(
        SpecError, match=r"'elicitation.support' is 'supported', but none of its citations is"
    ):
        parse_spec(text)


def test_a_target_that_fell_back_in_some_contexts_names_both(tmp_path: Path) -> None:
    good = combined(fixture_reply())
    bad = combined({"about": "nothing"})
    other = combine(Asked(Question("a judge"), Endpoint("fixture"), 1, bad.asked.replies))
    spec = llm_spec([good, other])
    assert "a language model" in spec.declared_by
    assert "(1 of 2 contexts); uniform for all other prompts by fairgen" in spec.declared_by
    assert declared_support(spec.model_dump(mode="json"), None) == (
        "of 1 context that a language model proposed 1 is unsupported"
    )
    only = llm_spec([other, combine(Asked(Question("a cook"), Endpoint("fixture"), 1, bad.asked.replies))])
    assert only.declared_by.startswith("fairgen 0.")


OLD = {
    "llm-before-populations.yaml": (
        "approved",
        "sha256:602e85aa66a0faa2317e7568f77667cce6b4a6ffeef292ad75b064dc7fe98c66",
    ),
    "llm-before-populations-fallback.yaml": (
        "unapproved",
        "sha256:c42f8a2edf37c97d816f06c3b47711db9e27c21ea82ef02d83403f265d12f35b",
    ),
    "llm-before-populations-contexts.yaml": (
        "approved",
        "sha256:ed326c8cf64febcaea2b026300bc03c450e825942ecbaaf8d9131fea9fc92e0c",
    ),
}


@pytest.mark.parametrize("name", OLD)
def test_specs_from_before_populations_load_and_keep_their_signatures(name: str) -> None:
    approval, digest = OLD[name]
    spec = load_spec(FIXTURES / name)
    assert spec.content_hash() == digest
    assert spec.approval == approval
    assert parse_spec(dump_spec(spec)) == spec
    told = declared_support(spec.model_dump(mode="json"), None)
    assert ("unsupported" in told) == (name != "llm-before-populations-fallback.yaml")


def test_old_specs_are_all_tested() -> None:
    assert {path.name for path in FIXTURES.iterdir()} == set(OLD)


def test_shares_of_the_dangerous_case_are_as_told() -> None:
    sums = [round(sum(shares.values()), 2) for shares in NURSES_IN_BRAZIL]
    assert sums == [0.95, 1.05, 0.90]
    normal = [{k: v / sum(s.values()) for k, v in s.items()} for s in NURSES_IN_BRAZIL]
    light = [s["very_light"] + s["light"] + s["intermediate"] for s in normal]
    assert sum(light) / 3 == pytest.approx(0.81, abs=0.05)
    assert jensen_shannon(normal[0], SHARES) > 0
