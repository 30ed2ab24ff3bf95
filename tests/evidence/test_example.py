"""The packs that are shown under docs/ hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.evidence.conftest import checked

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROOTS = DOCS / "evidence-of-the-embedded-model" / "roots.pem"


@pytest.mark.parametrize(
    ("folder", "largest", "approval"),
    [
        (
            "evidence-of-the-embedded-model",
            1_000_000,
            "approved by Example approver (documentation)",
        ),
        ("audit-of-the-embedded-model", 4_000_000, "not approved by anybody"),
    ],
)
def test_the_packs_under_docs_hold(folder: str, largest: int, approval: str) -> None:
    """If figures are computed otherwise now, `python -m tools.evidence_example` makes them again."""
    pack = DOCS / folder / "pack.zip"
    assert pack.stat().st_size < largest
    found = checked(pack, ROOTS)
    assert found.faults == []
    assert any(
        "leads to an authority of --trust" in one.text for one in found.findings if one.state == "holds"
    )
    assert any(approval in one.text for one in found.findings)
    assert found.manifest is not None
    (run,) = found.manifest.runs
    assert 0 < run.packed < run.pictures
