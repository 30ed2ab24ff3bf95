"""The fairness spec: the declared target as a document. See :class:`FairnessSpec` and :func:`load_spec`."""

from fairgen.targets.approval import Approval
from fairgen.targets.context import Context
from fairgen.targets.document import (
    Problem,
    SpecError,
    dump_spec,
    list_specs,
    load_spec,
    parse_spec,
    save_spec,
    spec_from_shares,
)
from fairgen.targets.model import FairnessSpec
from fairgen.targets.parts import Citation, Confidence, Elicitation
from fairgen.targets.schema import spec_schema

__all__ = [
    "Approval",
    "Citation",
    "Confidence",
    "Context",
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
