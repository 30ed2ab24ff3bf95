"""Which public requirements the files of a pack speak to, and how far: covered, partly, or not covered.

The requirements are named by their public ids and described in words of our own. "Covered" says that the pack
holds what the requirement asks to be documented or measured, about skin tone in pictures. It is a finding
aid: nothing here says that a requirement is met.

Sources: NIST AI 600-1 (July 2024), suggested actions; Regulation (EU) 2024/1689, Article 50(2); ISO/IEC TS
12791:2024, whose table of contents is public; UL 3115, whose text is not public: only the domains that UL
Solutions names in public (www.ul.com, interview with R. Slone, May 2026), and robustness, which it does not
name there and reports about the document do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fairgen.common.documents import Part
from fairgen.evidence.facts import RunFacts

__all__ = ["CrosswalkRow", "crosswalk"]

Coverage = Literal["covered", "partly", "not covered"]
_NIST, _ACT = "NIST AI 600-1", "EU AI Act, Regulation (EU) 2024/1689"
_ISO, _UL = "ISO/IEC TS 12791:2024", "UL 3115"


class CrosswalkRow(Part):
    """One requirement."""

    source: str
    id: str
    asks: str
    coverage: Coverage
    where: list[str]
    why: str


@dataclass(frozen=True)
class _Facts:
    """What decides between "covered" and "partly"."""

    approved: bool
    signed_pictures: bool
    cited: bool
    cards: bool
    signed_pack: bool


def crosswalk(facts: list[RunFacts], *, approved: bool, cards: bool, signed: bool) -> list[CrosswalkRow]:
    """The table for one pack.

    Args:
        approved: whether a person approved every spec as it was used.
        cards: whether the card of every model is in the pack.
        signed: whether the manifest is signed.
    """
    known = _Facts(
        approved=approved,
        signed_pictures=all(one.figures.signers for one in facts),
        cited=any(spec.get("citations") for one in facts for spec in one.figures.specs.values()),
        cards=cards,
        signed_pack=signed,
    )
    return [*_nist(known), *_act(known), *_iso(known), *_ul(known)]


def _row(source: str, id_: str, asks: str, coverage: Coverage, where: str, why: str) -> CrosswalkRow:
    return CrosswalkRow(source=source, id=id_, asks=asks, coverage=coverage, where=where.split(), why=why)


def _nist(known: _Facts) -> list[CrosswalkRow]:
    return [
        _row(
            _NIST, "MS-1.1-006", "Continuous monitoring of equity across groups", "not covered", "",
            "A pack is about finished runs. Watching a product while it runs is another task.",
        ),
        _row(
            _NIST, "MS-2.5-003", "Sources and citations are reviewed and verified",
            "partly" if known.cited else "not covered", "specs/" if known.cited else "",
            "Each citation of a spec says whether its quote was found on its page."
            if known.cited
            else "The specs cite nothing, so there was nothing to verify.",
        ),
        _row(
            _NIST, "MS-2.8-003", "A tamper-evident history of what was generated and changed",
            "partly", "runs/ records/ manifest.json",
            "Every picture has a record; records are linked, and the manifest holds the hash of each file"
            + (" and is signed." if known.signed_pack else ". The manifest is not signed.")
            + " What happens to a picture after its run is not known.",
        ),
        _row(
            _NIST, "MS-2.11-001", "Benchmarks fit for the use, with their assumptions and limits", "partly",
            "figures/ report/ limits.json",
            "The prompts, the declared target and the limits are documented. Whether the prompts fit a use "
            "is for whoever uses the model to say.",
        ),
        _row(
            _NIST, "MS-2.11-002", "Fairness assessed by measuring across groups", "partly",
            "figures/ report/ tables/",
            "How often each skin tone appears, by prompt and group of prompts, with intervals and tests. "
            "Skin tone in pictures only: no other attribute, and no quality of service.",
        ),
        _row(
            _NIST, "MS-2.11-003", "Affected groups identified, with them", "not covered", "",
            "No affected person was asked by fairgen.",
        ),
        _row(
            _NIST, "MS-2.11-004", "Sources of bias in training and test data", "partly" if known.cards else
            "not covered", "models/" if known.cards else "",
            "Only what the model's card says of its training data."
            if known.cards
            else "No card of the model is in the pack.",
        ),
        _row(
            _NIST, "MS-2.13-001", "A model of the measurement's error", "partly", "reader/ figures/",
            "The reader's confusion by tone and light, how often it abstains by tone, and every distance "
            "with the labels redrawn by how sure the reader was. Ratings by many people are missing.",
        ),
        _row(
            _NIST, "MS-4.2-004", "Overrides of the system's decisions are recorded", "partly", "records/",
            "Places filled against the plan, steering that stayed off, specs that were edited or approved "
            "again between sets, sets that were moved aside, in their order. "
            "What people did outside fairgen is not known to it.",
        ),
    ]  # fmt: skip


def _act(known: _Facts) -> list[CrosswalkRow]:
    marks = (
        "Every picture is marked in its metadata as made by a model, and signed (C2PA)."
        if known.signed_pictures
        else "Every picture that fairgen wrote is marked in its metadata as made by a model, unsigned."
    )
    return [
        _row(
            _ACT, "Article 50(2)", "Outputs are marked, machine-readable and detectable", "partly", "runs/",
            f"{marks} There is no imperceptible watermark, and metadata can be removed.",
        )
    ]  # fmt: skip


def _iso(known: _Facts) -> list[CrosswalkRow]:
    outside = "This is for the organisation; a pack has nothing about it."
    return [
        _row(_ISO, "5.1.1", "Stakeholder identification", "not covered", "", outside),
        _row(
            _ISO, "5.1.2", "Stakeholder needs and requirements", "partly", "specs/ approvals.json",
            "The declared target, who declared it and why. Not how stakeholders were heard.",
        ),
        _row(_ISO, "5.1.3", "Procurement", "not covered", "", outside),
        _row(_ISO, "5.1.4", "Data sources", "partly" if known.cards else "not covered",
             "models/" if known.cards else "", "Only what the model's card says." if known.cards else
             "No card of the model is in the pack."),
        _row(_ISO, "5.1.5", "Integration with risk management", "not covered", "", outside),
        _row(
            _ISO, "5.1.6", "Acceptance criteria", "covered" if known.approved else "partly",
            "specs/ approvals.json figures/",
            "The target and the tolerance were fixed before the first picture"
            + (", and a person approved the spec." if known.approved else "; not every spec was approved."),
        ),
        _row(_ISO, "5.2", "Design and development", "not covered", "",
             "fairgen takes models as they are; how they were made is in their cards, where there are any."),
        _row(
            _ISO, "5.3.2", "Static testing of data used in development", "not covered", "",
            "No training data is looked at.",
        ),
        _row(
            _ISO, "5.3.3", "Dynamic testing", "partly", "runs/ figures/ report/",
            "Outputs were generated, read and tested against the target. The document is about "
            "classification and regression; the reader is such a model, a generator of pictures is not.",
        ),
        _row(_ISO, "5.4", "Re-evaluation, operations and monitoring", "not covered", "",
             "A pack is about finished runs. Packs of later runs can be compared with it."),
        _row(
            _ISO, "6.2", "Algorithmic and training techniques", "partly", "figures/ report/",
            "The steering that was used, with its effect from the same seeds. Nothing is trained.",
        ),
        _row(_ISO, "6.3", "Data techniques", "not covered", "", "No data are changed."),
        _row(_ISO, "7", "Handling bias in a distributed life cycle", "partly", "models/ environment.json",
             "Which model, by hash, which software, and which versions. Not who is responsible for what."),
    ]  # fmt: skip


def _ul(known: _Facts) -> list[CrosswalkRow]:
    closed = "The criteria are not public, so this is by the domain's public name alone."
    return [
        _row(_UL, "Fairness", "Fairness considerations", "partly", "specs/ figures/ report/ reader/",
             f"Skin tone in pictures, and no other attribute. {closed}"),
        _row(_UL, "Transparency", "Transparency", "partly", "models/ reader/ limits.json records/",
             f"What was measured, how, with what, and what was left out. {closed}"),
        _row(_UL, "Governance", "Governance over the life cycle", "partly", "approvals.json records/",
             f"Who declared and approved the target, and when. {closed}"),
        _row(_UL, "Security", "Security controls", "partly" if known.signed_pack else "not covered",
             "manifest.json" if known.signed_pack else "",
             f"Only that the evidence itself is signed. {closed}" if known.signed_pack else closed),
        _row(_UL, "Robustness", "Robustness and reliability", "partly", "figures/ report/ reader/",
             "Only how far shares vary over seeds and prompts, and how the reader errs by tone and light. "
             "Nothing about adversarial or reworded prompts, or drift. Only reports about the document name "
             f"this domain. {closed}"),
        _row(_UL, "Privacy", "Privacy protections", "not covered", "", closed),
    ]  # fmt: skip
