"""Specs as files: load with line numbers in every refusal, dump, save, list what ships."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fairgen.common.files import file_errors, replacing
from fairgen.common.resources import specs_dir
from fairgen.common.text import as_written
from fairgen.errors import UserError
from fairgen.targets.context import Context
from fairgen.targets.fields import HASH_PATTERN, NAME_PATTERN
from fairgen.targets.model import FairnessSpec
from fairgen.targets.oversight import OversightContrast, OversightProbe
from fairgen.targets.parts import Citation, Confidence, Elicitation
from fairgen.targets.strict_yaml import MAX_BYTES, Location, YamlProblem, parse, read_exponents
from skin_tone.scales import SCALES

__all__ = [
    "Problem",
    "SpecError",
    "dump_spec",
    "list_specs",
    "load_spec",
    "parse_document",
    "parse_spec",
    "save_spec",
    "spec_from_shares",
    "validated",
]

_ALIASES = {"uniform": "uniform-ita6"}
_SHOWN_PROBLEMS = 3
_Kind = TypeVar("_Kind", bound=BaseModel)


@dataclass(frozen=True)
class Problem:
    """One reason to refuse a spec: ``line`` from 1 (None: whole file), ``field`` such as ``target.light``."""

    line: int | None
    field: str
    reason: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return where + (f"'{self.field}' {self.reason}" if self.field else self.reason)


class SpecError(UserError):
    """A spec is refused. ``problems`` holds every reason; the message names the first few."""

    def __init__(self, origin: str, problems: list[Problem]) -> None:
        self.problems = problems
        more = len(problems) - _SHOWN_PROBLEMS
        text = "; ".join(str(problem) for problem in problems[:_SHOWN_PROBLEMS])
        super().__init__(f"{origin}, {text}" + (f"; and {more} more" if more > 0 else "") + ".")


def list_specs() -> list[str]:
    """Names of the specs that ship with fairgen, sorted; each can be given to :func:`load_spec`."""
    return sorted(path.stem for path in specs_dir().glob("*.yaml"))


def load_spec(name_or_path: str | os.PathLike[str]) -> FairnessSpec:
    """Load a spec that ships with fairgen, by its name, or a YAML or JSON file, by its path.

    Args:
        name_or_path: such as ``uniform`` (short for ``uniform-ita6``) or ``specs/mine.yaml``. The name of a
            spec that ships with fairgen wins over a file with that name; write ``./name`` for the file.

    Raises:
        SpecError: the document is refused; the message gives file, line and reason.
        UserError: there is no such spec, or it cannot be read.
    """
    path, raw = read_spec(name_or_path)
    return parse_spec(raw, origin=str(path))


def read_spec(name_or_path: str | os.PathLike[str]) -> tuple[Path, bytes]:
    """The file that :func:`load_spec` would load, and its bytes, at most one more than a spec may have.

    Raises:
        UserError: there is no such spec, or it cannot be read.
    """
    text = os.fspath(name_or_path)
    name = _ALIASES.get(text, text)
    path = specs_dir() / f"{name}.yaml" if name in list_specs() else Path(text)
    with file_errors(f"The spec {text!r} cannot be read"):
        if not text or not path.exists():
            raise UserError(_no_such_spec(text))
        if not path.is_file():
            raise UserError(f"{path} is not a file: give a spec's name or a YAML file.")
        with path.open("rb") as file:
            return path, file.read(MAX_BYTES + 1)  # whatever size the file claims


def _no_such_spec(text: str) -> str:
    shipped = [*_ALIASES, *list_specs()]
    close = difflib.get_close_matches(text, shipped, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"There is no spec or file {text!r}{hint}: the shipped specs are {', '.join(shipped)}."


def parse_spec(raw: bytes | str, *, origin: str = "spec") -> FairnessSpec:
    """The spec in a YAML (or JSON) text of at most 4 MiB; ``origin`` begins the error messages.

    Raises:
        SpecError: the text is refused.
    """
    return parse_document(FairnessSpec, raw, origin=origin, start="`fairgen spec new`")


def says(text: str, spec: FairnessSpec) -> bool:
    """Whether a text is a document of just this spec."""
    try:
        return parse_spec(text) == spec
    except SpecError:
        return False


def parse_document(kind: type[_Kind], raw: bytes | str, *, origin: str, start: str) -> _Kind:
    """A document of some kind in a YAML (or JSON) text; ``start`` says what to start from if it is empty.

    Raises:
        SpecError: the text is refused.
    """
    if isinstance(raw, str):
        raw = raw.encode(errors="surrogatepass")  # what UTF-8 cannot hold is refused below, as in a file
    try:
        data, lines = parse(raw)
    except YamlProblem as problem:
        raise SpecError(origin, [Problem(problem.line, "", problem.reason)]) from None
    if data is None:
        raise SpecError(origin, [Problem(None, "", f"the document is empty: start from {start}")])
    if not isinstance(data, dict):
        reason = "the document must be a mapping, lines of `key: value`"
        raise SpecError(origin, [Problem(lines[()], "", reason)])
    return validated(kind, data, origin, lines)


def validated(
    kind: type[_Kind], data: Mapping[str, Any], origin: str, lines: Mapping[Location, int]
) -> _Kind:
    """A document of some kind from plain data; ``lines`` gives the line of each place that is known.

    Raises:
        SpecError: the data are refused.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise SpecError(origin, problems_of(error, lines, kind)) from None


def problems_of(
    error: ValidationError,
    lines: Mapping[Location, int] | None = None,
    kind: type[BaseModel] = FairnessSpec,
) -> list[Problem]:
    """Why a document was refused, in words, in the order of the lines (where they are known)."""
    problems = [_problem(kind, detail, lines or {}) for detail in error.errors(include_url=False)]
    return sorted(problems, key=lambda problem: problem.line or 0)


def _problem(kind: type[BaseModel], detail: ErrorDetails, lines: Mapping[Location, int]) -> Problem:
    context = detail.get("ctx", {})
    at: Location = (*detail["loc"], *context.get("at", ()))
    known = at
    while known not in lines and known:
        known = known[:-1]
    line = lines[known] if known else None  # what is missing at the top has no line
    return Problem(line, ".".join(map(str, at)), _reason(kind, detail, context))


def _reason(kind: type[BaseModel], detail: ErrorDetails, context: dict[str, Any]) -> str:
    match detail["type"]:
        case "spec":
            return str(context["reason"])
        case "extra_forbidden":
            known = _keys_beside(kind, detail["loc"])
            close = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
            return "is an unknown key" + (f": did you mean '{close[0]}'" if close else ": take it out")
        case "missing":
            return "is missing: add it"
        case "literal_error":
            return f"must be {context['expected']}, not {as_written(detail['input'])}"
        case "string_pattern_mismatch":
            return _PATTERNS[context["pattern"]]
        case "too_short":
            return f"must have at least {context['min_length']} entry"
        case "too_long":
            return f"must have at most {context['max_length']} entries"
        case "string_too_long":
            return f"has more than {context['max_length']} characters: shorten it"
        case "string_type":
            return "must be text: put it in quotes"
        case "dict_type" | "model_type":
            return "must be a mapping, lines of `key: value`"
        case name if name.startswith("date"):
            return "must be a date such as 2026-11-23"
        case _:
            text = detail["msg"].removeprefix("Input ").removeprefix("should ")
            return "must " + text if text != detail["msg"] else "is refused: " + text


_PATTERNS = {
    NAME_PATTERN: "must be of lower-case letters, digits, '.', '_' and '-', and begin with a letter or digit",
    HASH_PATTERN: "must be 'sha256:' and 64 hexadecimal digits",
}
_PARTS: dict[str, type[BaseModel]] = {
    "citations": Citation,
    "confidence": Confidence,
    "elicitation": Elicitation,
    "contexts": Context,
    "probe": OversightProbe,
    "contrasts": OversightContrast,
}


def _keys_beside(kind: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """The keys that the mapping around a place may hold."""
    around = [key for key in place[:-1] if isinstance(key, str)]
    model = _PARTS.get(around[-1]) if around else kind
    return list(model.model_fields) if model else []


class _Dumper(yaml.SafeDumper):
    """Long text folded, text of several lines as a block, and no aliases, which loading refuses."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_str(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    if any(mark in value for mark in "\x85\u2028\u2029"):
        style: str | None = '"'  # line breaks to YAML, which would fold them: escaped
    else:
        style = "|" if "\n" in value else ">" if len(value) > 80 else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _represent_str)
read_exponents(_Dumper)


def _readable(share: float) -> float | str:
    """1/6 rather than 0.16666666666666666, where the fraction gives back the very same number."""
    fraction = Fraction(share).limit_denominator(100)
    if len(repr(share)) > 8 and fraction.numerator / fraction.denominator == share:
        return str(fraction)
    return share


def _readable_shares(target: dict[str, float]) -> dict[str, float | str]:
    return {name: _readable(share) for name, share in target.items()}


def _context_fields(context: Context) -> dict[str, Any]:
    fields = context.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    fields["target"] = _readable_shares(context.target)
    if "confidence" in fields:
        fields["confidence"] = context.confidence.model_dump(mode="json")
    return fields


def dump_spec(spec: FairnessSpec) -> str:
    """The spec as a YAML document; :func:`parse_spec` of it gives an equal spec."""
    fields = spec.model_dump(mode="json", exclude_none=True, exclude={"contexts", *spec.APPROVAL_FIELDS})
    fields["target"] = _readable_shares(spec.target)
    fields["confidence"] = spec.confidence.model_dump(mode="json")  # null says: makes no sense here
    if spec.contexts:
        fields["contexts"] = [_context_fields(context) for context in spec.contexts]
    fields.update(declared_on=spec.declared_on, approved_by=spec.approved_by)  # empty: the place to sign
    if spec.approved_on:
        fields["approved_on"] = spec.approved_on
    if spec.approved_hash:
        fields["approved_hash"] = spec.approved_hash
    return yaml.dump(fields, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def save_spec(spec: FairnessSpec, path: str | os.PathLike[str]) -> None:
    """Write the spec as YAML, all or nothing, over what was there.

    Raises:
        UserError: the file cannot be written, or would be too large to load again.
    """
    write_spec(dump_spec(spec), path)


def write_spec(text: str, path: str | os.PathLike[str]) -> None:
    """Write a spec's text, all or nothing, over what was there; a file keeps its mode, a link its target.

    Raises:
        UserError: the file cannot be written, or would be too large to load again.
    """
    raw = text.encode()
    if len(raw) > MAX_BYTES:
        raise UserError(f"The spec would take {len(raw)} bytes, above the limit of {MAX_BYTES}: shorten it.")
    with file_errors(f"The spec cannot be written to {path}"):
        target = Path(path).resolve()
        if target.exists() and not target.is_file():  # /dev/null would be renamed over
            raise UserError(f"The spec cannot be written to {path}: it is no file.")
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o644
        with replacing(target) as made:
            made.write_bytes(raw)
            made.chmod(mode)


def spec_from_shares(
    shares: str | Mapping[str, float],
    *,
    scale: str | None = None,
    name: str = "by-hand",
    about: str = "Not said: the shares were given as numbers.",
    why: str = "Not said: the shares were given as numbers.",
    declared_by: str = "user",
    declared_on: date | None = None,
    allocation: str = "exact",
) -> FairnessSpec:
    """A spec by hand from ``"light=0.5,medium=1/4,dark=.25"``: every class of ``scale``, shares summing to 1.

    Args:
        shares: class -> share, or ``class=share`` pairs, separated by commas; a share is a number or a
            fraction.
        scale: ita6, monk10 or lmd3; default: the one whose classes are named.
        declared_on: default today.

    Raises:
        SpecError: a pair cannot be read, or the spec they make is refused.
    """
    target: dict[str, Any] = {} if isinstance(shares, str) else dict(shares)
    for pair in filter(str.strip, shares.split(",")) if isinstance(shares, str) else ():
        key, equals, text = (part.strip() for part in pair.partition("="))
        if not equals or not key or not text:
            raise SpecError(
                "shares", [Problem(None, "", f"{pair.strip()[:40]!r} is not of the form class=share")]
            )
        if key in target:
            raise SpecError("shares", [Problem(None, f"target.{key}", "is given twice")])
        try:
            target[key] = float(text)
        except ValueError:
            target[key] = text  # a fraction, or refused by the model with its reason
    data = {
        "name": name,
        "version": 1,
        "scale": scale or _scale_of(set(target)),
        "target": target,
        "source": "user",
        "about": about,
        "why": why,
        "allocation": allocation,
        "declared_by": declared_by,
        "declared_on": declared_on or date.today(),
    }
    return validated(FairnessSpec, data, "shares", {})


def _scale_of(names: set[str]) -> str:
    """The scale that knows most of the names; among equals the one that lacks fewest."""
    return max(SCALES.values(), key=lambda s: (len(names & set(s.classes)), -len(s.classes))).name
