"""Whether a spec is approved: what a signature covers, and how its state is told."""

from __future__ import annotations

from datetime import date
from typing import Literal

__all__ = ["Approval", "approval_state", "approval_text"]

Approval = Literal["approved", "unapproved", "void"]
"""approved: a person signed what the document says now; unapproved: nobody signed; void: the document was
changed after it was signed, or the signature does not say what was signed."""


def approval_state(by: str | None, signed: str | None, content: str) -> Approval:
    """The state of an approval: who signed, the hash that was signed, and the hash of the content now.

    Hashes are ``sha256:<hex>``, as `FairnessSpec.content_hash` gives them.
    """
    if not by:
        return "unapproved"
    return "approved" if signed == content else "void"


def approval_text(by: str | None, on: date | str | None, signed: str | None, content: str) -> str:
    """The same in words: "approved by X on D", "not approved by anybody", or "approval void: ..." and why."""
    match approval_state(by, signed, content):
        case "unapproved":
            return "not approved by anybody"
        case "approved":
            return f"approved by {by}" + (f" on {on}" if on else "")
        case "void" if signed is None:
            return f"approval void: {by} is named, but no hash says what was approved"
        case "void":
            return f"approval void: changed after {by} approved it" + (f" on {on}" if on else "")
