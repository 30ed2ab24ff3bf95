"""The fairness spec: the declared target as a document. See :class:`FairnessSpec` and :func:`load_spec`."""

from fairgen.spec.document import (
    Problem,
    SpecError,
    dump_spec,
    list_specs,
    load_spec,
    parse_spec,
    save_spec,
    spec_from_shares,
)
from fairgen.spec.model import Citation, Confidence, Elicitation, FairnessSpec, spec_schema

__all__ = [
    "Citation",
    "Confidence",
    "Elicitation",
    "FairnessSpec",
    "Problem",
    "SpecError",
    "dump_spec",
    "list_specs",
    "load_spec",
    "parse_spec",
    "save_spec",
    "spec_from_shares",
    "spec_schema",
]
