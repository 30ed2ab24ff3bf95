"""Signs a spec in its file: only the approval changes, and comments, order and layout stay as they are."""

from __future__ import annotations

import json
import os
from datetime import date
from typing import Any

import yaml
from pydantic import ValidationError

from fairgen.errors import UserError
from fairgen.resources import specs_dir
from fairgen.spec.document import SpecError, parse_spec, read_spec, write_spec
from fairgen.spec.model import FairnessSpec

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
            f"(`fairgen spec show {path} --yaml > mine.yaml`), and approve the copy."
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
    new = _json(text, signed) or _lines(text, signed)
    try:
        kept = parse_spec(new) == signed
    except SpecError:
        kept = False
    if not kept:
        raise UserError(
            f"{origin} is laid out so that the approval cannot be put in without changing the rest: write "
            "every key of the document on a line of its own, such as `approved_by: null`."
        )
    return new


def _json(text: str, signed: FairnessSpec) -> str | None:
    """The document, if it is JSON; None if not."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return json.dumps(data | _approval(signed), ensure_ascii=False, indent=2) + "\n"


def _approval(signed: FairnessSpec) -> dict[str, Any]:
    return {
        "approved_by": signed.approved_by,
        "approved_on": str(signed.approved_on),
        "approved_hash": signed.approved_hash,
    }


def _lines(text: str, signed: FairnessSpec) -> str:
    """A YAML document in lines: values that are there are replaced, the others follow the last of them."""
    mark = text[: len(text) - len(text.removeprefix("\ufeff"))]
    text = text.removeprefix(mark)
    newline = "\r\n" if "\r\n" in text else "\n"
    text += "" if text.endswith("\n") else newline
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise ValueError("the text is no document")  # the caller has parsed it
    nodes = {key.value: (key, value) for key, value in root.value}
    lines = {name: f"{name}: {value}" for name, value in _approval(signed).items()}
    # Quotes and escapes as YAML wants them; a name is one line, however long.
    name = yaml.dump(signed.approved_by, default_style='"', allow_unicode=True, width=10_000)
    lines["approved_by"] = f"approved_by: {name.strip()}"
    present = [name for name in lines if name in nodes]
    last = nodes[present[-1]] if present else root.value[-1]
    indent = " " * root.start_mark.column
    missing = "".join(indent + line + newline for name, line in lines.items() if name not in nodes)
    below = _line_end(text, last[1].end_mark.index)
    edits = [(below, below, missing)]
    for name in present:
        begin, end = nodes[name][0].start_mark.index, nodes[name][1].end_mark.index
        old = text[begin:end]
        edits.append((begin, end, lines[name] + old[len(old.rstrip()) :]))
    for begin, end, new in sorted(edits, reverse=True):  # from the end, so that places stay what they are
        text = text[:begin] + new + text[end:]
    return mark + text


def _line_end(text: str, index: int) -> int:
    """Where the next line begins after a value that ends at ``index``."""
    if text[index - 1] == "\n":
        return index  # a block of text ends where the next line begins
    return text.index("\n", index) + 1
