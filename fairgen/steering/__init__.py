"""Steering techniques, one a file over `fairgen.steering.base`."""

from __future__ import annotations

from fairgen.errors import UserError
from fairgen.steering.base import Steered, Technique, named_tone
from fairgen.steering.prompt_variants import PromptVariants

TECHNIQUES = ("auto", "none", "prompt")
"""What `technique` accepts. "auto" is the best that there is for any model."""


def technique(name: str, scale: str) -> Technique | None:
    """A fresh technique by name for a scale; None for "none". Raises `UserError` for another name."""
    if name == "none":
        return None
    if name in ("auto", PromptVariants.name):
        return PromptVariants(scale)
    raise UserError(f"There is no steering {name!r}: use one of {', '.join(TECHNIQUES)}.")


__all__ = ["TECHNIQUES", "PromptVariants", "Steered", "Technique", "named_tone", "technique"]
