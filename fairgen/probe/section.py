"""Puts the result of a probe into the spec whose model was asked."""

from __future__ import annotations

from collections.abc import Sequence

from fairgen.targets import FairnessSpec
from fairgen.targets.oversight import OversightProbe

__all__ = ["with_probes"]


def with_probes(spec: FairnessSpec, probes: Sequence[OversightProbe]) -> FairnessSpec:
    """A copy with ``elicitation.probe`` in the document or, where it has contexts, in each of them, in order.

    Raises:
        ValueError: there is another number of probes than of elicitations.
    """
    fields = spec.model_dump()
    parts = fields["contexts"] or [fields]
    asked = [part["elicitation"] for part in parts if part["elicitation"] is not None]
    for elicitation, probe in zip(asked, probes, strict=True):
        elicitation["probe"] = probe.model_dump()
    return FairnessSpec.model_validate(fields)
