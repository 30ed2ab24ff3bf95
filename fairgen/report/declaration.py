"""The rows of every report's provenance: what was declared and who approved it, and which model made it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fairgen.runs import ModelInfo, SignerRecord
from fairgen.targets.approval import approval_text
from fairgen.targets.oversight import OversightProbe
from fairgen.targets.support import declared_support

__all__ = ["approval_in", "declaration", "model_rows", "signed_by"]

_SHOWN_PROMPTS = 3


def declaration(spec: Mapping[str, Any], spec_hash: str, context: int | None) -> list[tuple[str, str]]:
    """Name and value of each row. ``spec`` is the document as JSON, ``spec_hash`` that of its content, and
    ``context`` the index of the context whose target was used (None: the top-level target).
    """
    contexts = spec.get("contexts") or []
    chosen: Mapping[str, Any] = {} if context is None else contexts[context]
    version, scale, by = spec.get("version", "?"), spec.get("scale", "?"), spec.get("declared_by")
    return [
        ("Spec", f"{spec.get('name', 'by hand')} (version {version}, scale {scale})"),
        ("Target for", _target_for(chosen, context, len(contexts))),
        ("Target is about", str(chosen.get("about") or spec.get("about") or "")),
        ("Why that target", str(chosen.get("why") or spec.get("why") or "")),
        ("Support", declared_support(spec, context)),
        ("Declared by", f"{by} on {spec.get('declared_on')}" if by else ""),
        ("Consistency under stated oversight", _watched(spec if context is None else chosen)),
        ("Approval", approval_in(spec, spec_hash)),
        ("Spec hash", spec_hash),
    ]


def approval_in(spec: Mapping[str, Any], spec_hash: str) -> str:
    """The approval of a spec's document in words; ``spec_hash`` is that of its content."""
    return approval_text(
        spec.get("approved_by"), spec.get("approved_on"), spec.get("approved_hash"), spec_hash
    )


def _watched(part: Mapping[str, Any]) -> str:
    """Whether the model behind the target answers the same when told that it is watched; empty: not asked."""
    probe = (part.get("elicitation") or {}).get("probe")
    return OversightProbe.model_validate(probe).text if probe else ""


def _target_for(chosen: Mapping[str, Any], context: int | None, contexts: int) -> str:
    """Which of a spec's targets was used; empty where it has only one."""
    if not contexts:
        return ""
    if context is None:
        if contexts == 1:
            return "any prompt that the spec's context does not name (the default target)"
        return f"any prompt that none of the spec's {contexts} contexts names (the default target)"
    prompts = chosen["prompts"]
    more = len(prompts) - _SHOWN_PROMPTS
    shown = ", ".join(f"“{prompt}”" for prompt in prompts[:_SHOWN_PROMPTS])
    return shown + (f" and {more} more" if more > 0 else "") + f" (context {context + 1} of {contexts})"


def model_rows(model: ModelInfo) -> list[tuple[str, str]]:
    """Which model made the pictures, with which settings and weights, as names and values."""
    return [
        ("Model", f"{model.name} ({model.source})"),
        ("Pipeline", model.sampling),
        ("Fingerprint", model.fingerprint),
        ("Weights", "; ".join(f"{name} {digest}" for name, digest in sorted(model.weights.items()))),
        ("Device", f"{model.device}, {model.dtype}"),
    ]


def signed_by(signers: Iterable[SignerRecord]) -> str:
    """Who signed pictures; empty: nobody."""
    return "; ".join(f"{s.subject}, certificate {s.fingerprint} issued by {s.issuer}" for s in signers)
