"""Steering techniques, one a file over `fairgen.steering.base`; the registry knows them by name."""

from fairgen.steering.base import Steered, Steering, Technique, named_tone
from fairgen.steering.registry import check_technique, chosen, technique

__all__ = [
    "Steered",
    "Steering",
    "Technique",
    "check_technique",
    "chosen",
    "named_tone",
    "technique",
]
