"""The pack as OSCAL Assessment Results (NIST, version 1.1.3), for governance tools.

Observations alone: what was measured, and where it is in the pack. There are no findings, since a finding
says whether an objective is satisfied, and that is not for fairgen to say. Identifiers are UUIDs of version 5
over what they name, so the same pack has the same document.
"""

from __future__ import annotations

import uuid
from typing import Any

from fairgen.evidence.crosswalk import CrosswalkRow
from fairgen.evidence.facts import RunFacts
from fairgen.evidence.inputs import Inputs

__all__ = ["OSCAL_VERSION", "oscal_document"]

OSCAL_VERSION = "1.1.3"
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "tag:fairgen,2026:evidence/oscal/1")
_NAMESPACE = "http://fairgen.invalid/ns/oscal"
"""Names our own properties, as OSCAL asks; .invalid is reserved and leads nowhere (RFC 2606)."""


def oscal_document(
    inputs: Inputs, facts: list[RunFacts], rows: list[CrosswalkRow], hashes: dict[str, str]
) -> dict[str, Any]:
    """The document as JSON.

    Args:
        hashes: path in the pack -> 'sha256:<hex>', of the files that are its evidence.
    """
    when = inputs.created_at.isoformat()
    key = f"{when} {sorted(hashes.items())}"
    resources = [_resource(path, sha, key) for path, sha in sorted(hashes.items())]
    return {
        "assessment-results": {
            "uuid": _id("document", key),
            "metadata": {
                "title": "Skin tones in generated pictures, against a declared target",
                "last-modified": when,
                "version": "1",
                "oscal-version": OSCAL_VERSION,
                "remarks": "Written by fairgen. It says what was measured; whether a requirement is met is "
                "for whoever reads it to judge.",
            },
            "import-ap": {
                "href": f"#{_id('resource', key, min(hashes))}",
                "remarks": "There is no separate plan: what was planned is in the run file's own head.",
            },
            "results": [_result(one, inputs, rows, key) for one in facts],
            "back-matter": {"resources": resources},
        }
    }


def _id(*parts: str) -> str:
    """A UUID of version 5: OSCAL allows it where an identifier is to be the same each time."""
    return str(uuid.uuid5(_SPACE, "\n".join(parts)))


def _resource(path: str, sha: str, key: str) -> dict[str, Any]:
    return {
        "uuid": _id("resource", key, path),
        "title": path,
        "rlinks": [
            {"href": path, "hashes": [{"algorithm": "SHA-256", "value": sha.removeprefix("sha256:")}]}
        ],
    }


def _result(one: RunFacts, inputs: Inputs, rows: list[CrosswalkRow], key: str) -> dict[str, Any]:
    name, figures = one.run.name, one.figures
    begun, packed = figures.created_at.isoformat(), inputs.created_at.isoformat()
    covered = [row for row in rows if row.coverage != "not covered"]
    observations = []
    for arm in figures.arms:
        props = {
            "arm": arm.arm,
            "prompts": arm.prompts,
            "mean-tv": arm.tv,
            "chance-floor": arm.noise_floor_tv,
            "prompts-within-tolerance": arm.met,
            "tolerance": figures.tolerance,
            "generated": arm.generated,
            "discarded": arm.discarded,
            "not-read": arm.abstained,
        }
        observations.append(
            {
                "uuid": _id("observation", key, name, arm.arm),
                "title": f"{one.run.title}: arm {arm.arm}",
                "description": "Total variation (0 to 1) of the skin tones of each set from its declared "
                "target, mean over the prompts.",
                "props": [
                    {"name": prop, "ns": _NAMESPACE, "value": str(value)}
                    for prop, value in props.items()
                    if value is not None
                ],
                "methods": ["TEST"],
                "types": ["control-objective"],
                "relevant-evidence": [
                    {"href": path, "description": what}
                    for path, what in (
                        (f"figures/{name}.json", "every figure, with intervals and tests"),
                        (f"runs/{name}/run.jsonl", "the record of every picture"),
                    )
                ],
                "collected": begun,
            }
        )
    for row in covered:
        observations.append(
            {
                "uuid": _id("observation", key, name, row.source, row.id),
                "title": f"{row.source}, {row.id}: {row.coverage}",
                "description": f"{row.asks}. {row.why}",
                "methods": ["EXAMINE"],
                "relevant-evidence": [
                    {"href": where, "description": "where the pack speaks to it"} for where in row.where
                ],
                "collected": packed,
            }
        )
    return {
        "uuid": _id("result", key, name),
        "title": f"Run {one.run.title}",
        "description": f"{sum(s.generated for s in figures.sets):,} pictures in {len(figures.sets)} sets.",
        "start": begun,
        "end": packed,
        "reviewed-controls": {
            "description": "Requirements by their public ids; crosswalk.json says how far each is covered.",
            "control-selections": [
                {"include-controls": [{"control-id": _token(f"{row.source} {row.id}")} for row in covered]}
            ],
        },
        "observations": observations,
    }


def _token(text: str) -> str:
    """An OSCAL token: letters, digits, dots, dashes, beginning with a letter."""
    return "".join(c if c.isalnum() or c in ".-_" else "-" for c in text.lower())
