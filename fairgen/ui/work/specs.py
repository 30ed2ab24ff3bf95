"""The specs that a visitor can choose: those that ship with fairgen, and their own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from fairgen.errors import UserError
from fairgen.targets import FairnessSpec, dump_spec, list_specs, load_spec, parse_spec, spec_from_shares
from fairgen.targets.strict_yaml import MAX_BYTES
from fairgen.ui.work.limits import text

Own = dict[str, str]
"""A visitor's own specs, which their browser keeps: name -> the document as YAML."""
_MOST = 50
_MOST_TEXT = 300_000
"""Specs of one visitor, and characters in all of them."""
_FIRST = ("uniform-ita6", "uniform-monk10", "uniform-lmd3")


def available(own: Any) -> dict[str, FairnessSpec]:
    """Name -> spec: the even ones, what else ships, the visitor's own (which win over one of that name).

    What a browser kept may be anything: what is no spec of its name is left out.
    """
    shipped = sorted(list_specs(), key=lambda name: (name not in _FIRST, name))
    kept = {}
    for name, document in list(own.items())[:_MOST] if isinstance(own, Mapping) else []:
        with suppress(UserError):
            spec = _parsed(text(document, MAX_BYTES, "spec"))
            if spec.name == name:
                kept[spec.name] = spec
    return {name: load_spec(name) for name in shipped} | kept


def require_room(own: Mapping[str, str], spec: FairnessSpec) -> None:
    """Raise `UserError` where a visitor has as many specs as they may have, or where the name is that of
    another spec, which ships with fairgen.
    """
    if spec.name in list_specs() and load_spec(spec.name).content_hash() != spec.content_hash():
        raise UserError(
            f"The name {spec.name!r} belongs to a spec that ships with fairgen: give yours another name."
        )
    others = [document for name, document in own.items() if name != spec.name]
    if len(others) >= _MOST or sum(map(len, others)) + len(dump_spec(spec)) > _MOST_TEXT:
        raise UserError(
            f"At most {_MOST} specs with {_MOST_TEXT:,} characters in all are kept here: forget your own "
            "specs first."
        )


def chosen_spec(name: Any, target: Any = None, *, own: Mapping[str, str] | None = None) -> FairnessSpec:
    """The spec that a visitor named, or the shares that they gave: class -> share.

    Only the visitor's own specs and those that ship with fairgen are looked at, never a file; a whole
    document in YAML or JSON stands for itself. Raises `UserError`.
    """
    if target is not None:
        if not isinstance(target, Mapping) or not all(isinstance(key, str) for key in target):
            raise UserError("The target must give each class of a scale a share, as {'light': 0.5, ...}.")
        return spec_from_shares(dict(target))
    if isinstance(name, str) and ("\n" in name or name.lstrip().startswith("{")):
        return parse_spec(text(name, MAX_BYTES, "spec"), origin="The spec")
    name = text(name, 100, "name of the spec")
    mine = available(own)
    if own and name in mine:
        return mine[name]
    shipped = ["uniform", *list_specs()]
    if name not in shipped:
        raise UserError(f"There is no spec {name[:40]!r}: choose one of {', '.join(shipped)}.")
    return load_spec(name)


def approved(spec: FairnessSpec, by: object) -> FairnessSpec:
    """The spec, approved today by that person. Raises `UserError`."""
    name = text(by, 300, "name").strip()
    if not name:
        raise UserError("An approval needs a name: say who approves.")
    try:
        return spec.approved(name, date.today())
    except ValidationError as error:
        reason = error.errors(include_url=False)[0]["msg"]
        raise UserError(f"The name cannot be used: {reason}.") from None


def require_approval(spec: FairnessSpec) -> FairnessSpec:
    """The spec, unless a language model proposed it and nobody approved it. Raises `UserError`."""
    if spec.source == "llm" and spec.approval != "approved":
        raise UserError(
            f"The target {spec.name!r} was proposed by a language model: read it in the Specs tab, change "
            "what you would not stand for, and approve it there before it is used."
        )
    return spec


@lru_cache(maxsize=64)
def _parsed(document: str) -> FairnessSpec:
    return parse_spec(document)
