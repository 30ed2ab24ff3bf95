"""The pack that is shown under docs/ holds."""

from __future__ import annotations

from pathlib import Path

from tests.evidence.conftest import checked

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "evidence-of-the-embedded-model"


def test_the_pack_under_docs_holds() -> None:
    """If figures are computed otherwise now, `python -m tools.evidence_example` makes it again."""
    pack = EXAMPLE / "pack.zip"
    assert pack.stat().st_size < 1_000_000
    found = checked(pack, EXAMPLE / "roots.pem")
    assert found.faults == []
    texts = "\n".join(one.text for one in found.findings if one.state == "holds")
    assert "leads to an authority of --trust" in texts
    assert "approved by Example approver (documentation)" in texts
    assert found.manifest is not None
    (run,) = found.manifest.runs
    assert 0 < run.packed < run.pictures
