"""Directions in a model's hidden states, and how one is added."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from fairgen.probe.local import Edit

__all__ = ["States", "added", "mean_difference", "random_directions"]

States = NDArray[np.float32]
"""Mean hidden states of the tokens that two framings have in common, shape (layers, prompts, width)."""


def mean_difference(first: States, second: States, places: list[int]) -> NDArray[np.float32]:
    """The mean of ``first - second`` over some prompts, for each layer. Shape (layers, width).

    Difference of means: Marks & Tegmark, arXiv 2310.06824; Rimsky et al., arXiv 2312.06681.
    """
    return np.asarray((first[:, places] - second[:, places]).mean(axis=1), dtype=np.float32)


def random_directions(count: int, width: int, norm: float, seed: int) -> NDArray[np.float32]:
    """Directions drawn evenly from the sphere of that radius. Shape (count, width)."""
    drawn = np.random.default_rng(seed).standard_normal((count, width))
    return np.asarray(norm * drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float32)


def added(vector: NDArray[np.float32], strength: float) -> Edit:
    """h' = (h + a v) |h| / |h + a v| at every token: the direction changes, the length does not.

    Args:
        vector: v, shape (width,).
        strength: a.
    """
    shift = torch.from_numpy(np.asarray(strength * vector, dtype=np.float32))

    def edit(hidden: torch.Tensor) -> torch.Tensor:
        moved = hidden.float() + shift.to(hidden.device)
        length = hidden.float().norm(dim=-1, keepdim=True)
        changed = moved * length / moved.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        return torch.Tensor.to(changed, hidden.dtype)

    return edit
