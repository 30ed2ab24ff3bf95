"""The state of a spec's citations, wherever in the document they stand: taken out, put back, written down."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import TypeVar

from fairgen.common.resources import specs_dir
from fairgen.errors import UserError
from fairgen.targets.context import Context
from fairgen.targets.document import parse_spec, read_spec, save_spec, says, write_spec
from fairgen.targets.edits import set_values
from fairgen.targets.model import FairnessSpec
from fairgen.targets.parts import Citation
from fairgen.targets.strict_yaml import Location
from fairgen.targets.support import support

__all__ = ["all_citations", "require_own_file", "save_checked", "with_citations"]


_Part = TypeVar("_Part", FairnessSpec, Context)


def all_citations(spec: FairnessSpec) -> list[Citation]:
    """Those of the document, then those of its contexts, in order."""
    return [citation for _, part in _parts(spec) for citation in part.citations]


def _parts(spec: FairnessSpec) -> list[tuple[Location, FairnessSpec | Context]]:
    """What has citations of its own, and its place: the document, then its contexts."""
    return [((), spec), *((("contexts", number), part) for number, part in enumerate(spec.contexts))]


def with_citations(spec: FairnessSpec, citations: Sequence[Citation]) -> FairnessSpec:
    """A copy with other citations in the places of :func:`all_citations`. Where they differ in the state of
    their check alone, the content's hash stays the same, and so does an approval.
    """
    rest = iter(citations)
    own = [next(rest) for _ in spec.citations]
    contexts = [_citing(context, [next(rest) for _ in context.citations]) for context in spec.contexts]
    return _citing(spec, own).model_copy(update={"contexts": contexts})


def _citing(part: _Part, citations: list[Citation]) -> _Part:
    """A copy with other citations; its elicitation says what they say now, if it says anything of that."""
    asked = part.elicitation
    if asked is not None and asked.support is not None:
        asked = asked.model_copy(update={"support": support(citations)})
    return part.model_copy(update={"citations": citations, "elicitation": asked})


def require_own_file(path: str | os.PathLike[str]) -> None:
    """Refuse a spec that ships with fairgen, before any work is done for it.

    Raises:
        UserError: it does, or there is no such spec.
    """
    file, _ = read_spec(path)
    if file.resolve().is_relative_to(specs_dir().resolve()):
        raise UserError(
            f"{file.stem} ships with fairgen and is not written over: copy it first "
            f"(`fairgen spec show {shlex.quote(str(path))} --yaml > mine.yaml`)."
        )


def save_checked(spec: FairnessSpec, path: str | os.PathLike[str]) -> bool:
    """Write the states of the citations of ``spec`` into its file, all or nothing.

    Returns:
        Whether comments and layout were kept; else the document was written anew.

    Raises:
        UserError: the file ships with fairgen, was changed in between, or cannot be read or written.
    """
    require_own_file(path)
    file, raw = read_spec(path)
    if with_citations(parse_spec(raw, origin=str(file)), all_citations(spec)) != spec:
        raise UserError(f"{file} was changed while its citations were checked: check it again.")
    text = set_values(raw.decode(), _states(spec))
    kept = says(text, spec)
    if kept:
        write_spec(text, file)
    else:
        save_spec(spec, file)
    return kept


def _states(spec: FairnessSpec) -> list[tuple[Location, dict[str, str | None]]]:
    parts = _parts(spec)
    states: list[tuple[Location, dict[str, str | None]]] = [
        ((*place, "elicitation"), {"support": part.elicitation.support})
        for place, part in parts
        if part.elicitation and part.elicitation.support
    ]
    for place, part in parts:
        for number, citation in enumerate(part.citations):
            when = f"{citation.checked_at:%Y-%m-%dT%H:%M:%SZ}" if citation.checked_at else None
            state = {"checked": citation.checked, "checked_at": when}
            states.append(((*place, "citations", number), state))
    return states
