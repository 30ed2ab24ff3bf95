"""Steering techniques, one a file over `fairgen.steering.base`."""

from fairgen.steering.base import Steered, Steering, Technique, named_tone
from fairgen.steering.prompt_variants import PromptVariants
from fairgen.steering.registry import CONTINUOUS, TECHNIQUES, check_technique, chosen, technique

__all__ = [
    "CONTINUOUS",
    "TECHNIQUES",
    "PromptVariants",
    "Steered",
    "Steering",
    "Technique",
    "check_technique",
    "chosen",
    "named_tone",
    "technique",
]
