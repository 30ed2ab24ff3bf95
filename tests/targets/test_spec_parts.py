"""Citations, elicitations, dates and numbers: what each part of a spec takes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from fairgen.targets import Citation, FairnessSpec, SpecError, parse_spec
from tests.doubles.spec_documents import MINIMAL


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "file:///etc/passwd", "http://", "x y", "http://[", "http://a b"]
)
def test_citations_take_only_web_addresses(url: str) -> None:
    with pytest.raises(ValidationError, match="web address"):
        Citation(title="t", claim="c", url=url)


def test_a_checked_citation_says_when() -> None:
    with pytest.raises(ValidationError, match="exactly when"):
        Citation.model_validate({"title": "t", "claim": "c", "checked": "found", "checked_at": None})
    with pytest.raises(ValidationError, match="exactly when"):
        Citation(title="t", claim="c", checked_at=datetime(2026, 1, 1, tzinfo=UTC))
    noted = Citation(title="t", claim="c", checked="found", checked_at=datetime(2026, 1, 1))
    assert noted.checked_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_fallback_target_must_be_uniform() -> None:
    fields = parse_spec(MINIMAL).model_dump()
    fields["source"] = "llm"
    fields["elicitation"] = {
        "model": "m",
        "asked_on": "2026-11-23",
        "prompt_hash": "sha256:" + "0" * 64,
        "replies": ["{}"],
        "fallback": "no citations",
    }
    with pytest.raises(ValidationError, match="fell back to uniform, but the shares differ"):
        FairnessSpec.model_validate(fields)
    fields["target"] = dict.fromkeys(fields["target"], 1 / 3)
    assert FairnessSpec.model_validate(fields).elicitation is not None


@pytest.mark.parametrize(
    "given", ["0", "86400", "'0'", "2026-11-23T00:00:00", "2026-11-23 00:00:00Z", "true"]
)
def test_a_day_is_a_day_and_not_a_number(given: str) -> None:
    with pytest.raises(SpecError, match="line 12: 'declared_on' must be a date such as 2026-11-23"):
        parse_spec(MINIMAL.replace("2026-11-23", given))


def test_a_moment_is_no_number() -> None:
    with pytest.raises(ValidationError, match="must be a moment such as"):
        Citation.model_validate({"title": "t", "claim": "c", "checked": "found", "checked_at": 5})


@pytest.mark.parametrize("version", ["010", "0x10", "1_0", "1:30"])
def test_numbers_that_yaml_reads_otherwise_than_people_are_refused(version: str) -> None:
    with pytest.raises(SpecError, match="is an unusual number: write plain decimal digits"):
        parse_spec(MINIMAL.replace("version: 1", f"version: {version}"))


def test_small_shares_of_json_are_numbers() -> None:
    text = MINIMAL.replace("light: 0.2", "light: 2e-07").replace("medium: 0.3", "medium: 0.4999998")
    spec = parse_spec(text)
    assert spec.target["light"] == 2e-7
    assert parse_spec(spec.model_dump_json()) == spec


def test_bytes_are_no_text() -> None:
    with pytest.raises(SpecError, match=r"line 10: the tag .*binary.* is not allowed"):
        parse_spec(MINIMAL.replace("a wish", "!!binary aGVsbG8="))
