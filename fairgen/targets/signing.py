"""Signs a spec in its file: only the approval changes, and comments, order and layout stay as they are."""

from __future__ import annotations

import os
import shlex
from datetime import date

from pydantic import ValidationError

from fairgen.common.resources import specs_dir
from fairgen.errors import UserError
from fairgen.targets.document import parse_spec, read_spec, says, write_spec
from fairgen.targets.edits import set_values
from fairgen.targets.model import FairnessSpec

__all__ = ["approve_file", "signed_text"]


def approve_file(
    path: str | os.PathLike[str], by: str, on: date | None = None
) -> tuple[FairnessSpec, FairnessSpec]:
    """Sign the spec in a file; returns it as it was, and as it is now.

    Args:
        by: the person who stands behind it.
        on: default today.

    Raises:
        SpecError: the document is refused.
        UserError: it ships with fairgen, cannot be read or written, ``by`` is no name, or its layout leaves
            no place for the approval.
    """
    file, raw = read_spec(path)
    if file.resolve().is_relative_to(specs_dir().resolve()):
        raise UserError(
            f"{file.stem} ships with fairgen and belongs to nobody: copy it first "
            f"(`fairgen spec show {shlex.quote(str(path))} --yaml > mine.yaml`), and approve the copy."
        )
    before = parse_spec(raw, origin=str(file))
    try:
        after = before.approved(by, on or date.today())
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        reason = detail.get("ctx", {}).get("reason") or detail["msg"]
        raise UserError(f"--by {by[:40]!r} is no name ({reason}): say who approves.") from None
    write_spec(signed_text(raw.decode(), after, origin=str(file)), file)
    return before, after


def signed_text(text: str, signed: FairnessSpec, *, origin: str = "spec") -> str:
    """``text``, a document of the same content as ``signed``, with the approval of ``signed`` in it.

    Raises:
        UserError: the layout (a mapping in braces, say) leaves no place to put the approval into.
    """
    approval = {
        "approved_by": signed.approved_by,
        "approved_on": signed.approved_on,
        "approved_hash": signed.approved_hash,
    }
    new = set_values(text, [((), approval)])
    if not says(new, signed):
        raise UserError(
            f"{origin} is laid out so that the approval cannot be put in without changing the rest: write "
            "every key of the document on a line of its own, such as `approved_by: null`."
        )
    return new
