"""The state of a spec's citations, wherever in the document they stand: taken out, put back, written down."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence

from fairgen.common.resources import specs_dir
from fairgen.errors import UserError
from fairgen.targets.document import SpecError, parse_spec, read_spec, save_spec, write_spec
from fairgen.targets.edits import set_values
from fairgen.targets.model import FairnessSpec
from fairgen.targets.parts import Citation, Elicitation
from fairgen.targets.strict_yaml import Location
from fairgen.targets.support import support

__all__ = ["all_citations", "require_own_file", "save_checked", "with_citations"]


def all_citations(spec: FairnessSpec) -> list[Citation]:
    """Those of the document, then those of its contexts, in order."""
    return [*spec.citations, *(citation for context in spec.contexts for citation in context.citations)]


def with_citations(spec: FairnessSpec, citations: Sequence[Citation]) -> FairnessSpec:
    """A copy with other citations in the places of :func:`all_citations`. Where they differ in the state of
    their check alone, the content's hash stays the same, and so does an approval.
    """
    rest = iter(citations)
    own = [next(rest) for _ in spec.citations]
    contexts = []
    for context in spec.contexts:
        checked = [next(rest) for _ in context.citations]
        asked = _with_support(context.elicitation, checked)
        contexts.append(context.model_copy(update={"citations": checked, "elicitation": asked}))
    asked = _with_support(spec.elicitation, own)
    return spec.model_copy(update={"citations": own, "contexts": contexts, "elicitation": asked})


def _with_support(asked: Elicitation | None, citations: Sequence[Citation]) -> Elicitation | None:
    """The elicitation with what the citations say now, where it says anything of that."""
    if asked is None or asked.support is None:
        return asked
    return asked.model_copy(update={"support": support(citations)})


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
    try:
        kept = parse_spec(text) == spec
    except SpecError:
        kept = False
    if kept:
        write_spec(text, file)
    else:
        save_spec(spec, file)
    return kept


def _states(spec: FairnessSpec) -> list[tuple[Location, dict[str, str | None]]]:
    asked: list[tuple[Location, Elicitation | None]] = [(("elicitation",), spec.elicitation)]
    for number, context in enumerate(spec.contexts):
        asked.append((("contexts", number, "elicitation"), context.elicitation))
    places: list[Location] = [("citations", index) for index in range(len(spec.citations))]
    for number, context in enumerate(spec.contexts):
        places += [("contexts", number, "citations", index) for index in range(len(context.citations))]
    states: list[tuple[Location, dict[str, str | None]]] = [
        (place, {"support": how.support}) for place, how in asked if how is not None and how.support
    ]
    return states + [
        (
            place,
            {
                "checked": citation.checked,
                "checked_at": f"{citation.checked_at:%Y-%m-%dT%H:%M:%SZ}" if citation.checked_at else None,
            },
        )
        for place, citation in zip(places, all_citations(spec), strict=True)
    ]
