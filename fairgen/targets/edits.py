"""Changes values in the text of a document; comments, order and layout of all else stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from fairgen.targets.strict_yaml import Location

__all__ = ["set_values"]

_PLAIN = re.compile(r"found|not_found|unreachable|unchecked|sha256:[0-9a-f]{64}")

Changes = Sequence[tuple[Location, Mapping[str, Any]]]
"""For mappings of the document, by their place in it: the values that some of their keys shall have."""


def set_values(text: str, changes: Changes) -> str:
    """``text``, a valid YAML or JSON document, with other values; keys that are not there are added.

    The caller holds the result against what it should say: some layouts (a mapping in braces, say) leave no
    place for a key, and what comes out is no such document.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return _in_lines(text, changes)
    for place, values in changes:
        part = data
        for key in place:
            part = part[key]
        part.update(values)
    return json.dumps(data, ensure_ascii=False, indent=2, default=str) + "\n"


def _in_lines(text: str, changes: Changes) -> str:
    """A YAML document in lines: values that are there are replaced, the others follow the last of them."""
    start = len(text) - len(text.removeprefix("\ufeff"))
    root = yaml.compose(text[start:], Loader=yaml.SafeLoader)
    newline = "\r\n" if "\r\n" in text else "\n"
    edits: list[tuple[int, int | None, str]] = []
    for place, values in changes:
        node = _node(root, place)
        pairs = {key.value: (key, value) for key, value in node.value}
        written = {name: f"{name}: {_scalar(value)}" for name, value in values.items()}
        present = [name for name in values if name in pairs]
        last = pairs[present[-1]] if present else node.value[-1]
        indent = " " * node.start_mark.column
        missing = "".join(f"{indent}{line}{newline}" for name, line in written.items() if name not in pairs)
        edits.append((_line_end(text, start + last[1].end_mark.index), None, missing))
        for name in present:
            key, value = pairs[name]
            begin, end = start + key.start_mark.index, start + value.end_mark.index
            old = text[begin:end]
            edits.append((begin, end, written[name] + old[len(old.rstrip()) :]))
    for begin, end, new in sorted(edits, key=lambda edit: edit[0], reverse=True):
        if end is None and new and begin and text[begin - 1] != "\n":
            new = newline + new
        text = text[:begin] + new + text[begin if end is None else end :]
    return text


def _node(root: Any, place: Location) -> Any:
    for key in place:
        if isinstance(key, int):
            root = root.value[key]
        else:
            root = next(value for name, value in root.value if name.value == key)
    return root


def _scalar(value: Any) -> str:
    """A value on one line; text in quotes and with escapes, where YAML wants them."""
    if value is None:
        return "null"
    if not isinstance(value, str) or _PLAIN.fullmatch(value):
        return str(value)
    return yaml.dump(value, default_style='"', allow_unicode=True, width=10_000).strip()


def _line_end(text: str, index: int) -> int:
    """Where the line begins that follows the one in which a value ends (at ``index``)."""
    if index and text[index - 1] == "\n":
        return index  # a block of text ends where the next line begins
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1
