"""One picture to sample, as a model is asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """One picture to sample."""

    prompt: str
    seed: int
    """0 ... 2**64 - 1."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of the pipeline's call, such as negative_prompt; requests with equal ones share a
    batch.
    """
    strength: float = 0.0
    """Of the steering that `Model.generate` is given; 0 leaves the picture as the model makes it."""
