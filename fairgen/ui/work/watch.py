"""How far the batch in hand is: its steps, and a rough preview of what it will be."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SIDE = 64
"""Longest side of a preview, in pixels."""
_MOST = 4
"""Pictures of a batch that are previewed."""
_FEWEST = 4 * 64
"""Places of latents that a map to colours is fitted to at least."""


@dataclass(frozen=True)
class Step:
    """Where sampling stands.

    Attributes:
        done: steps of the batch that are done.
        total: steps of the batch.
        previews: addresses (data URIs) of rough pictures; empty where none can be made.
    """

    done: int
    total: int
    previews: tuple[str, ...] = ()


class StepWatch:
    """Follows the sampling of one engine. Thread-safe; what is watched never waits for who looks.

    A preview is a linear map of the latents to colours, fitted by least squares to the pictures that the
    model made before: it costs no pass through the autoencoder and needs no table for each kind of model.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = self._total = 0
        self._owner = ""
        self._latents: NDArray[np.float32] | None = None
        self._map: NDArray[np.float32] | None = None

    def begin(self, owner: str) -> None:
        """What is sampled from now on is that run's (its id), and nobody else sees it."""
        with self._lock:
            if owner != self._owner:
                self._owner, self._done, self._latents = owner, 0, None

    def step(self, done: int, total: int, latents: Any) -> None:
        """Take what a pipeline tells after a step; ``latents`` are a tensor or None."""
        spatial = latents is not None and getattr(latents, "ndim", 0) == 4 and latents.shape[1] <= 16
        kept = latents[:_MOST].detach().float().cpu().numpy() if spatial else None
        with self._lock:
            self._done, self._total, self._latents = done, total, kept

    def pictures(self, made: Sequence[Image.Image]) -> None:
        """Learn from the pictures that the latents of the last step became; the batch is over."""
        with self._lock:
            latents, self._latents, self._done = self._latents, None, 0
        if latents is None or not made:
            return
        fitted = _fitted(latents, made)
        if fitted is not None:
            with self._lock:
                if self._map is None or self._map.shape != fitted.shape:
                    self._map = fitted
                else:  # later pictures correct the earlier ones
                    self._map = 0.7 * self._map + 0.3 * fitted

    def forget(self) -> None:
        """Another model comes: its latents mean something else."""
        with self._lock:
            self._map, self._latents, self._done = None, None, 0

    def now(self, owner: str) -> Step | None:
        """Where that run's batch stands; None between batches, and while another run's is sampled."""
        with self._lock:
            if owner != self._owner:
                return None
            done, total, latents, colours = self._done, self._total, self._latents, self._map
        if not done:
            return None
        if latents is None or colours is None or colours.shape[0] != latents.shape[1] + 1:
            return Step(done, total)
        return Step(done, total, tuple(_address(one, colours) for one in latents))


def _fitted(latents: NDArray[np.float32], made: Sequence[Image.Image]) -> NDArray[np.float32] | None:
    """The map (channels + 1, 3) from latents to colours (0-1) of the pictures that they became."""
    height, width = latents.shape[2:]
    rows, colours = [], []
    for one, picture in zip(latents, made, strict=False):
        small = np.asarray(picture.resize((width, height), Image.Resampling.BOX), dtype=np.float32) / 255
        rows.append(one.reshape(len(one), -1).T)
        colours.append(small.reshape(-1, 3))
    known = np.concatenate(rows)
    if len(known) < _FEWEST or not np.isfinite(known).all():
        return None
    known = np.hstack([known, np.ones((len(known), 1), dtype=np.float32)])
    found = np.linalg.lstsq(known, np.concatenate(colours), rcond=None)[0]
    return np.asarray(found, dtype=np.float32)


def _address(latents: NDArray[np.float32], colours: NDArray[np.float32]) -> str:
    channels, height, width = latents.shape
    flat = latents.reshape(channels, -1).T @ colours[:-1] + colours[-1]
    shown = (np.clip(flat, 0, 1) * 255).astype(np.uint8).reshape(height, width, 3)
    picture = Image.fromarray(shown)
    picture.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
