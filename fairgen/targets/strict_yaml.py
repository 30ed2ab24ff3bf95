"""YAML as plain data, with the line of every value, and without YAML's surprises.

Refused, with the line: duplicate keys, anchors and aliases (which can make a small file expand without
bound), tags that name types, several documents in one file, numbers that YAML reads otherwise than people
(010, 1:30), nesting and size beyond what a spec can need.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

__all__ = ["MAX_BYTES", "Location", "YamlProblem", "parse", "read_exponents"]

MAX_BYTES = 4 * 1024 * 1024
_MAX_DEPTH = 12
_MAX_NODES = 50_000
_MAX_DIGITS = 40
_NUMBER = re.compile(
    r"[-+]?(0|[1-9]\d*|(\d+(\.\d*)?|\.\d+)e[-+]?\d+|\d+\.\d*|\.\d+|\.inf|\.nan)", re.IGNORECASE
)
_EXPONENT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$")

Location = tuple[str | int, ...]
"""Keys and indices from the top of the document down to a value."""


@dataclass
class YamlProblem(Exception):
    """The text is refused; ``line`` counts from 1, or is None where the whole file is meant."""

    reason: str
    line: int | None = None


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses anchors and aliases, and bounds depth and number of nodes while it reads."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if getattr(event, "anchor", None) is not None:
            raise YamlProblem("anchors and aliases (& and *) are not allowed: write the value out", line)
        self._depth += 1
        self._nodes += 1
        if self._depth > _MAX_DEPTH:
            raise YamlProblem(f"nested more than {_MAX_DEPTH} levels deep", line)
        if self._nodes > _MAX_NODES:
            raise YamlProblem(f"more than {_MAX_NODES} values", line)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def read_exponents(kind: Any) -> None:
    """Let a loader or dumper take 1e-05 for the number that it is in JSON (text, to YAML 1.1)."""
    kind.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


read_exponents(_Loader)


def parse(raw: bytes) -> tuple[Any, dict[Location, int]]:
    """Plain data (dict, list, str, int, float, bool, date, None) and the line, from 1, of each location.

    A key's location has the line of the key. An empty document gives None.

    Raises:
        YamlProblem: the bytes are too many, not UTF-8, not YAML, or use what is refused (see the module).
    """
    if len(raw) > MAX_BYTES:
        raise YamlProblem(f"larger than {MAX_BYTES // 2**20} MiB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise YamlProblem("not UTF-8 text: save it as UTF-8", line) from None
    lines: dict[Location, int] = {}
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            return (None if root is None else _plain(loader, root, (), lines)), lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = " ".join(part for part in (error.problem, error.context) if part)
        raise YamlProblem(f"not valid YAML ({reason[:200]})", mark.line + 1 if mark else None) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlProblem("not valid YAML (a control character)", line) from None


def _plain(loader: _Loader, node: yaml.Node, at: Location, lines: dict[Location, int]) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(at, line)
    if isinstance(node, yaml.MappingNode):
        _require_tag(node, "map", line)
        return {key: _plain(loader, value, (*at, key), lines) for key, value in _unique_keys(node, at, lines)}
    if isinstance(node, yaml.SequenceNode):
        _require_tag(node, "seq", line)
        return [_plain(loader, value, (*at, i), lines) for i, value in enumerate(node.value)]
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind not in ("null", "bool", "int", "float", "str", "timestamp"):
        raise YamlProblem(f"the tag {node.tag[:80]!r} is not allowed", line)
    if kind in ("int", "float"):
        if len(node.value) > _MAX_DIGITS:
            raise YamlProblem(f"a number longer than {_MAX_DIGITS} characters", line)
        if not _NUMBER.fullmatch(node.value):  # 010 is 8 to YAML, 1:30 is 90 and 1_0 is 10
            raise YamlProblem(f"{node.value!r} is an unusual number: write plain decimal digits", line)
    try:
        return loader.construct_object(node)
    except (ValueError, OverflowError):  # a date such as 2026-02-31
        raise YamlProblem(f"{node.value[:40]!r} is not a valid date or number", line) from None


def _unique_keys(
    node: yaml.MappingNode, at: Location, lines: dict[Location, int]
) -> Iterator[tuple[str, yaml.Node]]:
    for key_node, value in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise YamlProblem("a key must be a plain word", line)
        key = key_node.value
        if (*at, key) in lines:
            raise YamlProblem(f"the key {key!r} is given twice, first on line {lines[(*at, key)]}", line)
        lines[(*at, key)] = line
        yield key, value


def _require_tag(node: yaml.Node, kind: str, line: int) -> None:
    if node.tag != f"tag:yaml.org,2002:{kind}":
        raise YamlProblem(f"the tag {node.tag[:80]!r} is not allowed", line)
