"""How near generated pictures are to renders: as distributions (Frechet), and one by one (copies)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
DIMENSIONS = 64
_SMALL = 32


@dataclass(frozen=True)
class Space:
    """Coordinates in which renders have mean 0 and variance 1 along every axis: features, turned on their
    principal axes and scaled. Distances in it count in standard deviations of the renders, so that they can
    be compared between classifiers, and directions in which features hardly vary are left out.
    """

    mean: Array
    axes: Array
    """features x dimensions; scaled."""
    explained: float
    """Share of the features' variance that the axes hold."""

    @classmethod
    def of(cls, features: Array, dimensions: int = DIMENSIONS) -> Space:
        """From the renders' features, n x f; at most ``dimensions`` axes, and none without variance."""
        mean = features.mean(0)
        values, vectors = np.linalg.eigh(np.cov(features, rowvar=False))
        order = np.argsort(values)[::-1]
        values, vectors = np.maximum(values[order], 0), vectors[:, order]
        kept = min(dimensions, int((values > 1e-6 * values[0]).sum()))
        return cls(
            mean, vectors[:, :kept] / np.sqrt(values[:kept]), float(values[:kept].sum() / values.sum())
        )

    def __call__(self, features: Array) -> Array:
        return np.asarray((features - self.mean) @ self.axes)


def frechet(one: Array, other: Array) -> float:
    """Squared Frechet distance of two normal laws with the means and covariances of two samples, n x d each:
    ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2)`` (Dowson & Landau 1982; as a figure of merit for generators
    Heusel et al., NeurIPS 2017, there in features of an Inception network). Above 0 even for two samples of
    one law, the more so the smaller they are: compare only where sample sizes are equal.
    """
    first, second = (np.atleast_2d(np.cov(sample, rowvar=False)) for sample in (one, other))
    root = _root(first)
    # The eigenvalues of C1 C2 are those of the symmetric C1^1/2 C2 C1^1/2, which are real and not negative.
    cross = np.linalg.eigvalsh(root @ second @ root)
    gap = one.mean(0) - other.mean(0)
    return float(gap @ gap + np.trace(first + second) - 2 * np.sqrt(np.maximum(cross, 0)).sum())


def _root(matrix: Array) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def frechet_beside_floor(generated: Array, held_out: Array) -> dict[str, Any]:
    """The distance of generated pictures to one half of the held-out renders, beside that of the other half:
    the floor, which no model can be expected to pass. Samples of one size; the smaller decides.
    """
    size = min(len(held_out) // 2, len(generated))
    reference, other = held_out[0::2][:size], held_out[1::2][:size]
    distance, floor = frechet(generated[:size], reference), frechet(other, reference)
    return {"frechet": distance, "floor": floor, "above_floor": distance - floor, "sample_size": size}


def nearest(points: Array, among: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Euclidean distance of each point to the nearest of others, and which that is."""
    squares = np.square(among).sum(1)
    distances, places = [], []
    for i in range(0, len(points), 256):
        part = points[i : i + 256]
        place = (squares - 2 * part @ among.T).argmin(1)
        distances.append(np.linalg.norm(part - among[place], axis=1))
        places.append(place)
    return np.concatenate(distances), np.concatenate(places)


def small_pixels(pictures: npt.NDArray[np.uint8], *, mirror: bool = False) -> Array:
    """Square pictures, whose side is a multiple of 32, as points: 32 x 32 x 3 means over blocks.

    Scaled so that Euclidean distances are root mean square differences of values in 0-255.
    """
    n, side = pictures.shape[:2]
    step = side // _SMALL
    # Half the memory of float64: there are tens of thousands of renders.
    blocks = pictures.reshape(n, _SMALL, step, _SMALL, step, 3).mean((2, 4), dtype=np.float32)
    if mirror:
        blocks = blocks[:, :, ::-1]
    return np.asarray(blocks.reshape(n, -1) / np.float32(np.sqrt(_SMALL * _SMALL * 3)))


def copies(generated: Array, held_out: Array) -> dict[str, Any]:
    """Distances to the nearest training render, of generated pictures beside held-out renders. Were training
    pictures copied, generated ones would lie nearer; but blurred pictures lie nearer to everything too.
    """
    border = float(np.quantile(held_out, 0.01))
    shares = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75)
    return {
        "generated": {f"{q:g}": float(np.quantile(generated, q)) for q in shares},
        "held_out": {f"{q:g}": float(np.quantile(held_out, q)) for q in shares},
        "ratio_of_medians": float(np.median(generated) / np.median(held_out)),
        "nearer_than_1_percent_of_held_out": float(np.mean(generated < border)),
    }
