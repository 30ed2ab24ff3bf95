"""What a pack says to machines is accepted by the tools and schemas that it is for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fairgen.evidence import manifest_schema, plan_pack
from fairgen.evidence.comparing import first_difference
from fairgen.evidence.every_eval_ever import eval_record
from fairgen.evidence.manifest import MANIFEST
from tests.doubles.evidence_packs import Insider, files_in
from tests.evidence.conftest import checked

ROOT = Path(__file__).resolve().parents[2]


def test_compliance_trestle_reads_the_oscal_document(pack: Path, tmp_path: Path) -> None:
    from trestle.oscal.assessment_results import AssessmentResults

    files = files_in(pack)
    path = tmp_path / "assessment-results.json"
    path.write_bytes(files["oscal/assessment-results.json"])
    read = AssessmentResults.oscal_read(path)
    assert isinstance(read, AssessmentResults)
    (result,) = read.results
    assert result.findings is None  # whether a requirement is met is not for fairgen to say
    assert result.observations
    arms = [one for one in result.observations if one.methods == ["TEST"]]
    figures = json.loads(files["figures/small-audit.json"])
    assert [{p.name: p.value for p in one.props or []}["mean-tv"] for one in arms] == [
        str(arm["tv"]) for arm in figures["arms"]
    ]
    assert read.back_matter is not None
    for resource in read.back_matter.resources or []:
        (link,) = resource.rlinks or []
        assert link.href in files


def _eval_schema() -> dict[str, Any]:
    path = ROOT / "tests/fixtures/every_eval_ever/eval.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return schema


def test_a_model_behind_an_api_is_not_said_to_run_here(run: Path) -> None:
    plan = plan_pack([run])
    (one,) = plan.facts
    one.models[0] = one.models[0].model_copy(update={"source": "api", "steps": None})
    record = eval_record(one, plan.inputs)
    jsonschema.Draft7Validator(_eval_schema()).validate(record)
    assert "inference_engine" not in record["model_info"]
    assert record["model_info"]["additional_details"]["deployment_type"] == "unknown"


def test_the_schema_of_every_eval_ever_accepts_the_record(pack: Path) -> None:
    files = files_in(pack)
    schema = _eval_schema()
    record = json.loads(files["every-eval-ever/small-audit.json"])
    jsonschema.Draft7Validator(schema).validate(record)
    figures = json.loads(files["figures/small-audit.json"])
    assert [one["score_details"]["score"] for one in record["evaluation_results"]] == [
        arm["tv"] for arm in figures["arms"]
    ]
    assert record["schema_version"] == schema["version"]


def test_the_schema_of_the_manifest_is_published(pack: Path) -> None:
    published = json.loads((ROOT / "docs/schemas/evidence-manifest.schema.json").read_text("utf-8"))
    assert published == manifest_schema()
    jsonschema.Draft202012Validator(published).validate(json.loads(files_in(pack)[MANIFEST]))


def test_no_word_of_conformity_or_certification(pack: Path) -> None:
    """But for what the model's card, the packages and other people's texts are called."""
    files = files_in(pack)
    for name in ("index.html", "crosswalk.json", "limits.json", "oscal/assessment-results.json"):
        text = files[name].decode().lower()
        for word in ("conform", "certified", "certification", "complian", "satisf", "guarantee"):
            assert word not in text, f"{word} in {name}"


def test_a_pack_of_another_version_has_its_figures_computed_anew(
    pack: Path, insider: Insider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fairgen.evidence import following

    monkeypatch.setattr(following, "software_hash", lambda: "sha256:" + "0" * 64)
    found = checked(pack)
    assert found.faults == []
    assert any("words were not made again" in one.text for one in found.findings)
    files = files_in(pack)
    document = json.loads(files["figures/small-audit.json"])
    document["arms"][0]["tv"] += 0.1
    files["figures/small-audit.json"] = json.dumps(document).encode()
    insider.write(tmp_path / "forged.zip", files)
    assert "does not state the figures" in "\n".join(checked(tmp_path / "forged.zip").faults)


@pytest.mark.parametrize(
    ("stated", "found", "said"),
    [
        ({"a": [1, 2.0]}, {"a": [1, 2.0 + 1e-12]}, None),
        ({"a": 1}, {"a": 1, "b": 2}, "b is missing"),
        ({"a": 1, "b": 2}, {"a": 1}, "b is there, and does not follow"),
        ({"a": [1, 2]}, {"a": [1]}, "a has 2 entries, and 1 follow"),
        ({"a": True}, {"a": 1}, "a is true, and 1 follows"),
        ({"a": "x"}, {"a": None}, 'a is "x", and null follows'),
        ([], {}, "the document is [], and {} follows"),
    ],
)
def test_the_first_difference(stated: object, found: object, said: str | None) -> None:
    assert first_difference(stated, found) == said


def test_keys_of_one_version_alone_do_not_count() -> None:
    assert first_difference({"a": 1, "old": 2}, {"a": 1, "new": 3}, common=True) is None
    assert first_difference({"a": 1, "old": 2}, {"a": 2, "new": 3}, common=True) == "a is 1, and 2 follows"
    assert (
        first_difference({"fairgen": "1", "a": 1}, {"fairgen": "2", "a": 1}, frozenset({"fairgen"})) is None
    )
