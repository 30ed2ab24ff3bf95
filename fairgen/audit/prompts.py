"""Lists of prompts: plain lines, YAML or CSV -> validated entries, with the line number in every refusal.

Plain text has one prompt a line. A line that begins with ``#`` is a comment, and text after `` #`` is one
too. A comment that holds nothing but ``[word]`` names the group of the lines that follow.

YAML is a list of prompts (text, or mappings with `FIELDS`), or a mapping with the one key ``prompts``. CSV
has a header line that names its columns, which are among `FIELDS`. Only ``prompt`` is needed; what is left
out is taken from the command.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fairgen.common.text import as_written, prompt_problem, without_comment
from fairgen.errors import UserError
from fairgen.targets.context import normal_prompt
from fairgen.targets.strict_yaml import YamlProblem, parse

FIELDS = ("prompt", "spec", "count", "seed", "group")
MAX_PROMPTS = 10_000
MAX_COUNT = 10_000
MAX_SEED = 2**63 - 1
_MAX_BYTES = 8 << 20
_MAX_GROUP = 40
_MARK = re.compile(r"#\s*\[([^\[\]]*)\]\s*")


@dataclass(frozen=True)
class PromptEntry:
    """One prompt of a list; None where the list leaves the choice to the command."""

    prompt: str
    line: int
    """In the file, from 1."""
    group: str | None = None
    spec: str | None = None
    """Name of a shipped spec, or a file (relative to the list's folder)."""
    count: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class PromptList:
    """A list as it was read."""

    path: Path
    entries: tuple[PromptEntry, ...]
    content_hash: str
    """'sha256:<hex>' of the file."""


class _Refused(Exception):
    """The line, None where it is the whole file, and the reason."""


def read_prompt_list(path: Path) -> PromptList:
    """Read and check a list; ``.yaml``, ``.yml``, ``.json`` and ``.csv`` by their ending, all else as text.

    Raises:
        UserError: the file cannot be read or is no UTF-8 text; it holds no prompt, more than 10,000, an
            unknown key or column, a prompt twice for the same spec, or a value that is out of range. The
            message gives file, line and mend.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"The prompts {path} cannot be read ({error.strerror}).") from error
    kind = path.suffix.lower()
    read = _from_yaml if kind in (".yaml", ".yml", ".json") else _from_csv if kind == ".csv" else _from_text
    try:
        if len(raw) > _MAX_BYTES:
            _refuse(None, f"is larger than {_MAX_BYTES >> 20} MiB: split it")
        entries = tuple(_checked(read(raw)))
        if not entries:
            _refuse(None, "holds no prompts: write one a line")
    except _Refused as problem:
        line, reason = problem.args
        where = f", line {line}" if line else ""
        raise UserError(f"{path}{where} {reason}.") from None
    return PromptList(path, entries, f"sha256:{hashlib.sha256(raw).hexdigest()}")


def repeats(line: int) -> str:
    """What is wrong with a prompt that stands in an earlier line too, for the same spec."""
    return f"repeats the prompt of line {line}: take one of them out"


def _refuse(line: int | None, reason: str) -> NoReturn:
    raise _Refused(line, reason)


def _checked(entries: Iterator[PromptEntry]) -> Iterator[PromptEntry]:
    seen: dict[tuple[str, str | None], int] = {}
    for number, entry in enumerate(entries, 1):
        if number > MAX_PROMPTS:
            _refuse(entry.line, f"is prompt {number}: an audit takes {MAX_PROMPTS} at most")
        # Two ways to write one character (NFC, NFD) look alike, and most models are given the same by them.
        words = normal_prompt(entry.prompt)
        # A list in JSON may hold two prompts in one line.
        before = seen.get((words, entry.spec))
        if before is not None:
            _refuse(entry.line, repeats(before))
        seen[words, entry.spec] = entry.line
        yield entry


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(raw.count(b"\n", 0, error.start) + 1, "is no UTF-8 text: save the list as UTF-8")


def _from_text(raw: bytes) -> Iterator[PromptEntry]:
    group: str | None = None
    for number, line in enumerate(_text(raw).split("\n"), 1):
        words = line.strip()
        if words.startswith("#"):
            if mark := _MARK.fullmatch(words):
                group = _group(number, mark[1])
        elif words:
            yield PromptEntry(_prompt(number, without_comment(words)), number, group)


def _from_yaml(raw: bytes) -> Iterator[PromptEntry]:
    try:
        data, lines = parse(raw)
    except YamlProblem as problem:
        _refuse(problem.line, f"is refused: {problem.reason}")
    at: tuple[str | int, ...] = ()
    if isinstance(data, dict):
        if set(data) != {"prompts"}:
            _refuse(lines[()], "must be a list of prompts, or a mapping with the one key 'prompts'")
        data, at = data["prompts"], ("prompts",)
    if data is None:
        return
    if not isinstance(data, list):
        _refuse(lines[at], "must be a list: begin each prompt with '- '")
    for place, item in enumerate(data):
        line = lines[(*at, place)]
        fields = {"prompt": item} if isinstance(item, str) else item
        if not isinstance(fields, dict):
            _refuse(line, f"must be text, or a mapping with {', '.join(FIELDS)}: put the prompt in quotes")
        yield _entry(line, fields, {key: lines.get((*at, place, key), line) for key in fields})


def _from_csv(raw: bytes) -> Iterator[PromptEntry]:
    reader = csv.reader(io.StringIO(_text(raw), newline=""), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for row in reader:
            start, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if header is None:
                header = [cell.strip() for cell in row]
                if len(set(header)) != len(header):
                    _refuse(start, "names a column twice")
                _known(start, header, "column")
                continue
            if len(row) != len(header):
                _refuse(
                    start, f"has {len(row)} cells, the header {len(header)}: put cells with commas in quotes"
                )
            filled = {key: cell.strip() for key, cell in zip(header, row, strict=True) if cell.strip()}
            yield _entry(start, filled | _numbers(start, filled), dict.fromkeys(filled, start))
    except csv.Error as error:
        _refuse(line, f"is no CSV ({error})")


def _numbers(line: int, cells: Mapping[str, str]) -> dict[str, int]:
    found = {}
    for key in ("count", "seed"):
        if key in cells:
            if not re.fullmatch(r"[0-9]{1,19}", cells[key]):
                _refuse(line, f"has the {key} {cells[key][:40]!r}: give a whole number")
            found[key] = int(cells[key])
    return found


def _known(line: int, keys: list[Any], what: str) -> None:
    for key in keys:
        if key not in FIELDS:
            _refuse(line, f"has the unknown {what} {str(key)[:40]!r}: use {', '.join(FIELDS)}")
    if "prompt" not in keys:
        _refuse(line, f"has no {what} 'prompt': add it")


def _entry(line: int, fields: Mapping[str, Any], at: Mapping[str, int]) -> PromptEntry:
    _known(line, list(fields), "key")
    given = {key: value for key, value in fields.items() if value is not None}
    spec = given.get("spec")
    if spec is not None and (not isinstance(spec, str) or not spec.strip()):
        _refuse(at["spec"], "has a spec that is no text: give a spec's name or its file")
    return PromptEntry(
        _prompt(at["prompt"], given.get("prompt")),
        line,
        _group(at["group"], given["group"]) if "group" in given else None,
        spec.strip() if spec else None,
        _whole(at, given, "count", 1, MAX_COUNT),
        _whole(at, given, "seed", 0, MAX_SEED),
    )


def _whole(at: Mapping[str, int], given: Mapping[str, Any], key: str, low: int, high: int) -> int | None:
    value = given.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        _refuse(at[key], f"has the {key} {as_written(value)}: give a whole number from {low} to {high}")
    return value


def _prompt(line: int, value: Any) -> str:
    if not isinstance(value, str):
        _refuse(line, "has a prompt that is no text: put it in quotes")
    if problem := prompt_problem(value):
        _refuse(line, f"has a prompt that {problem}")
    return value.strip()


def _group(line: int, value: Any) -> str:
    name = value.strip() if isinstance(value, str) else ""
    if not name or len(name) > _MAX_GROUP or not name.isprintable():
        _refuse(line, f"has a group that is no name of 1 to {_MAX_GROUP} letters")
    return name
