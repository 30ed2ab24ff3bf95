"""Who approved the specs of a pack, when, and whether what they signed is what the run used."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fairgen.common.documents import Part
from fairgen.evidence.facts import RunFacts, document_hash
from fairgen.report.declaration import approval_in, declaration
from fairgen.runs import SpecDocument
from fairgen.targets import Approval
from fairgen.targets.approval import approval_state

__all__ = ["SpecStatement", "spec_statements"]


_STRENGTH: tuple[Approval, ...] = ("void", "unapproved", "approved")


class SpecStatement(Part):
    """What is said about one spec."""

    name: str
    version: int | None
    recorded_hash: str = Field(description="hash of the content, as the run file names it")
    content_hash: str | None = Field(
        description="the same, computed from the document; None: this version of fairgen cannot read it"
    )
    same: bool | None = Field(description="whether the two agree")
    approval: Approval
    approved_by: str | None
    approved_on: str | None
    approved_hash: str | None = Field(description="hash of what was approved")
    text: str = Field(description="the approval in words")
    declared_by: str | None
    declared_on: str | None
    source: str | None = Field(description="'uniform', 'table', 'llm', 'user'")
    rows: list[tuple[str, str]] = Field(description="what else a report says of it")
    runs: list[str]
    document: dict[str, Any]

    @property
    def outdated(self) -> bool:
        """A person signed an earlier version than the one that was used."""
        return self.approval == "void" and self.approved_hash is not None


def spec_statements(facts: list[RunFacts]) -> list[SpecStatement]:
    """One statement a spec, in the order in which the runs use them. Where its approval changed while they
    were made, the weakest counts.
    """
    found: dict[str, SpecStatement] = {}
    for one in facts:
        for key, document in one.figures.specs.items():
            if key in found:
                found[key] = found[key].model_copy(update={"runs": [*found[key].runs, one.run.name]})
            else:
                found[key] = _statement(key, document, one.run.name)
        for use in one.uses:
            known = found.get(use.content)
            if known is not None and known.document != use.document:
                new = _statement(use.content, use.document, one.run.name)
                if _STRENGTH.index(new.approval) < _STRENGTH.index(known.approval):
                    found[use.content] = new.model_copy(update={"runs": known.runs})
    return list(found.values())


def _statement(key: str, document: SpecDocument, run: str) -> SpecStatement:
    content = document_hash(document)
    # The hash of the document counts: a run file could name any.
    used = content or key
    by, signed = document.get("approved_by"), document.get("approved_hash")
    approved_on, declared_on = document.get("approved_on"), document.get("declared_on")
    return SpecStatement(
        name=str(document.get("name", "by hand")),
        version=document.get("version"),
        recorded_hash=key,
        content_hash=content,
        same=None if content is None else content == key,
        approval=approval_state(by, signed, used),
        approved_by=by,
        approved_on=None if approved_on is None else str(approved_on),
        approved_hash=signed,
        text=approval_in(document, used),
        declared_by=document.get("declared_by"),
        declared_on=None if declared_on is None else str(declared_on),
        source=document.get("source"),
        rows=[(name, value) for name, value in declaration(document, key, None) if value],
        runs=[run],
        document=document,
    )
