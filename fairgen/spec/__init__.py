"""The fairness spec: the declared target as a document. See :class:`FairnessSpec` and :func:`load_spec`."""

from fairgen.spec.approval import Approval
from fairgen.spec.context import Context
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
from fairgen.spec.model import FairnessSpec
from fairgen.spec.oversight import OversightContrast, OversightProbe
from fairgen.spec.parts import Citation, Confidence, Elicitation
from fairgen.spec.schema import spec_schema

__all__ = [
    "Approval",
    "Citation",
    "Confidence",
    "Context",
    "Elicitation",
    "FairnessSpec",
    "OversightContrast",
    "OversightProbe",
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
