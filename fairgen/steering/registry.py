"""The steering techniques by name. A technique's module is imported when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fairgen.errors import UserError
from fairgen.steering.base import Technique
from fairgen.steering.prompt_variants import PromptVariants
from fairgen.steering.support import steerable

if TYPE_CHECKING:
    from fairgen.steering.calibration import Calibration

CONTINUOUS = ("embedding", "semantic")
"""Techniques with a strength, which need the model's dose-response."""
TECHNIQUES = ("auto", "none", "prompt", *CONTINUOUS)
"""What `technique` accepts. "auto" is "embedding" where the pipeline can be steered in its embeddings, else
"prompt" (`chosen`)."""


def check_technique(name: str) -> str:
    """The name, if there is such a technique; else `UserError`."""
    if name not in TECHNIQUES:
        raise UserError(f"There is no steering {name!r}: use one of {', '.join(TECHNIQUES)}.")
    return name


def chosen(name: str, pipe: Any) -> str:
    """What "auto" stands for with this pipeline; other names as they are."""
    if check_technique(name) != "auto":
        return name
    return CONTINUOUS[0] if steerable(pipe) else PromptVariants.name


def technique(
    name: str, scale: str, calibration: Calibration | None = None, limit: float | None = None
) -> Technique | None:
    """A fresh technique by name for a scale; None for "none"; "auto" is what the calibration is for, words
    without one. ``limit`` is the largest strength of a continuous one (None: its own, 1.3).

    Raises:
        UserError: there is no such name, or it needs a calibration and got none.
    """
    if check_technique(name) == "none":
        return None
    if name == "auto":
        name = PromptVariants.name if calibration is None else calibration.technique
    if name == PromptVariants.name:
        return PromptVariants(scale)
    if calibration is None:
        raise UserError(f"Steering {name!r} needs the model's dose-response: run `fairgen calibrate` first.")
    kind = _kind(name)
    made: Technique = kind(scale, calibration) if limit is None else kind(scale, calibration, limit)
    return made


def _kind(name: str) -> Any:
    if name == "embedding":
        return import_module("fairgen.steering.embedding_direction").EmbeddingDirection
    return import_module("fairgen.steering.semantic_guidance").SemanticGuidance
