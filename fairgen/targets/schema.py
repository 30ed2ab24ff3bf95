"""The JSON Schema of a spec document, for editors and for other programs."""

from __future__ import annotations

from typing import Any

from fairgen.common.documents import json_schema
from fairgen.targets.model import FairnessSpec
from skin_tone.scales import SCALES

__all__ = ["spec_schema"]


def spec_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a spec document; ties the classes of targets and confidences to the scale.

    What a schema cannot say (that shares sum to 1, that a hash matches, that a prompt stands once) only
    ``load_spec`` checks.
    """
    schema = json_schema(FairnessSpec, "fairgen fairness spec", "validation")
    schema["allOf"] = [_of_scale(scale.name, scale.classes) for scale in SCALES.values()]
    schema["allOf"].append(_ASKED_EXACTLY_IF_LLM)
    return schema


_ASKED = {"required": ["elicitation"], "properties": {"elicitation": {"type": "object"}}}
_ASKED_SOMEWHERE = {
    "anyOf": [_ASKED, {"required": ["contexts"], "properties": {"contexts": {"contains": _ASKED}}}]
}
_ASKED_EXACTLY_IF_LLM = {
    "if": {"properties": {"source": {"const": "llm"}}, "required": ["source"]},
    "then": _ASKED_SOMEWHERE,
    "else": {"not": _ASKED_SOMEWHERE},
}


def _of_scale(name: str, classes: tuple[str, ...]) -> dict[str, Any]:
    known = {"propertyNames": {"enum": list(classes)}}
    part = {
        "target": {"required": list(classes), **known},
        "confidence": {"properties": {"classes": known}},
    }
    return {
        "if": {"properties": {"scale": {"const": name}}, "required": ["scale"]},
        "then": {"properties": {**part, "contexts": {"items": {"properties": part}}}},
    }
