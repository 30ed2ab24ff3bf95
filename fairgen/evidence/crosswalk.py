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

from functools import partial
from typing import Literal

from fairgen.common.documents import Part
from fairgen.evidence.facts import RunFacts

__all__ = ["CrosswalkRow", "crosswalk"]

Coverage = Literal["covered", "partly", "not covered"]


class CrosswalkRow(Part):
    """One requirement."""

    source: str
    id: str
    asks: str
    coverage: Coverage
    where: list[str]
    why: str


def crosswalk(facts: list[RunFacts], *, approved: bool, cards: bool, signed: bool) -> list[CrosswalkRow]:
    """The table for one pack.

    Args:
        approved: whether a person approved every spec as it was used.
        cards: whether the card of every model is in the pack.
        signed: whether the manifest is signed.
    """
    cited = any(spec.get("citations") for one in facts for spec in one.figures.specs.values())
    signed_pictures = all(one.figures.signers for one in facts)
    return [*_nist(cited, cards, signed), *_act(signed_pictures), *_iso(approved, cards), *_ul(signed)]


def _row(
    source: str, id_: str, asks: str, where: str, why: str, coverage: Coverage = "partly"
) -> CrosswalkRow:
    """``where``: files and folders of the pack; a requirement without any is not covered."""
    given = coverage if where else "not covered"
    return CrosswalkRow(source=source, id=id_, asks=asks, coverage=given, where=where.split(), why=why)


def _nist(cited: bool, cards: bool, signed: bool) -> list[CrosswalkRow]:
    row = partial(_row, "NIST AI 600-1")
    return [
        row("MS-1.1-006", "Continuous monitoring of equity across groups", "",
            "A pack is about finished runs. Watching a product while it runs is another task."),
        row("MS-2.5-003", "Sources and citations are reviewed and verified", "specs/" if cited else "",
            "Each citation of a spec says whether its quote was found on its page." if cited else
            "The specs cite nothing, so there was nothing to verify."),
        row("MS-2.8-003", "A tamper-evident history of what was generated and changed",
            "runs/ records/ manifest.json",
            "Every picture has a record; records are linked, and the manifest holds the hash of each file"
            + (" and is signed." if signed else ". The manifest is not signed.")
            + " What happens to a picture after its run is not known."),
        row("MS-2.11-001", "Benchmarks fit for the use, with their assumptions and limits",
            "figures/ report/ limits.json",
            "The prompts, the declared target and the limits are documented. Whether the prompts fit a use "
            "is for whoever uses the model to say."),
        row("MS-2.11-002", "Fairness assessed by measuring across groups", "figures/ report/ tables/",
            "How often each skin tone appears, by prompt and group of prompts, with intervals and tests. "
            "Skin tone in pictures only: no other attribute, and no quality of service."),
        row("MS-2.11-003", "Affected groups identified, with them", "",
            "No affected person was asked by fairgen."),
        row("MS-2.11-004", "Sources of bias in training and test data", "models/" if cards else "",
            "Only what the model's card says of its training data." if cards else
            "No card of the model is in the pack."),
        row("MS-2.13-001", "A model of the measurement's error", "reader/ figures/",
            "The reader's confusion by tone and light, how often it abstains by tone, and every distance "
            "with the labels redrawn by how sure the reader was. Ratings by many people are missing."),
        row("MS-4.2-004", "Overrides of the system's decisions are recorded", "records/",
            "Places filled against the plan, steering that stayed off, specs that were edited or approved "
            "again between sets, sets that were moved aside, in their order. "
            "What people did outside fairgen is not known to it."),
    ]  # fmt: skip


def _act(signed_pictures: bool) -> list[CrosswalkRow]:
    marks = (
        "Every picture is marked in its metadata as made by a model, and signed (C2PA)."
        if signed_pictures
        else "Every picture that fairgen wrote is marked in its metadata as made by a model, unsigned."
    )
    why = f"{marks} There is no imperceptible watermark, and metadata can be removed."
    asks = "Outputs are marked, machine-readable and detectable"
    return [_row("EU AI Act, Regulation (EU) 2024/1689", "Article 50(2)", asks, "runs/", why)]


def _iso(approved: bool, cards: bool) -> list[CrosswalkRow]:
    row = partial(_row, "ISO/IEC TS 12791:2024")
    outside = "This is for the organisation; a pack has nothing about it."
    return [
        row("5.1.1", "Stakeholder identification", "", outside),
        row("5.1.2", "Stakeholder needs and requirements", "specs/ approvals.json",
            "The declared target, who declared it and why. Not how stakeholders were heard."),
        row("5.1.3", "Procurement", "", outside),
        row("5.1.4", "Data sources", "models/" if cards else "",
            "Only what the model's card says." if cards else "No card of the model is in the pack."),
        row("5.1.5", "Integration with risk management", "", outside),
        row("5.1.6", "Acceptance criteria", "specs/ approvals.json figures/",
            "The target and the tolerance were fixed before the first picture"
            + (", and a person approved the spec." if approved else "; not every spec was approved."),
            "covered" if approved else "partly"),
        row("5.2", "Design and development", "",
            "fairgen takes models as they are; how they were made is in their cards, where there are any."),
        row("5.3.2", "Static testing of data used in development", "", "No training data is looked at."),
        row("5.3.3", "Dynamic testing", "runs/ figures/ report/",
            "Outputs were generated, read and tested against the target. The document is about "
            "classification and regression; the reader is such a model, a generator of pictures is not."),
        row("5.4", "Re-evaluation, operations and monitoring", "",
            "A pack is about finished runs. Packs of later runs can be compared with it."),
        row("6.2", "Algorithmic and training techniques", "figures/ report/",
            "The steering that was used, with its effect from the same seeds. Nothing is trained."),
        row("6.3", "Data techniques", "", "No data are changed."),
        row("7", "Handling bias in a distributed life cycle", "models/ environment.json",
            "Which model, by hash, which software, and which versions. Not who is responsible for what."),
    ]  # fmt: skip


def _ul(signed: bool) -> list[CrosswalkRow]:
    row = partial(_row, "UL 3115")
    closed = "The criteria are not public, so this is by the domain's public name alone."
    return [
        row("Fairness", "Fairness considerations", "specs/ figures/ report/ reader/",
            f"Skin tone in pictures, and no other attribute. {closed}"),
        row("Transparency", "Transparency", "models/ reader/ limits.json records/",
            f"What was measured, how, with what, and what was left out. {closed}"),
        row("Governance", "Governance over the life cycle", "approvals.json records/",
            f"Who declared and approved the target, and when. {closed}"),
        row("Security", "Security controls", "manifest.json" if signed else "",
            f"Only that the evidence itself is signed. {closed}" if signed else closed),
        row("Robustness", "Robustness and reliability", "figures/ report/ reader/",
            "Only how far shares vary over seeds and prompts, and how the reader errs by tone and light. "
            "Nothing about adversarial or reworded prompts, or drift. Only reports about the document name "
            f"this domain. {closed}"),
        row("Privacy", "Privacy protections", "", closed),
    ]  # fmt: skip
