"""Measures how the renders look on which the light estimator was fitted (`skin_tone.familiarity`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from safetensors.numpy import save_file
from scipy.optimize import minimize
from scipy.special import expit

from skin_tone.appearance import NAMES, describe
from skin_tone.camera import careful, careless_and_more
from skin_tone.faces import FaceFinder
from skin_tone.familiarity import FARTHEST, Familiarity
from skin_tone.picture import RGB
from skin_tone.upright import lay_upright
from tools.portraits.contexts import CONTEXTS

from .backdrops import any_backdrop
from .fit import Autoencoder
from .observe import Descriptions
from .shots import SIZE, Shots, contexts_of

_RIDGE = 0.05
"""Added to the variances, which are 1: no direction in which renders hardly differ decides by itself."""
_COUNTS = {"plain": 0.7, "glossy": 0.15, "flat": 0.15, "dim": 0.1}
"""Weight of the rated faces as they are, and in each style of looks. The dim ones count least: renders that a
careless camera took look like those.
"""
_PENALTY = 2e-4
_AMONG = 99.0

Floats = NDArray[np.float64]


def describe_renders(folder: Path, vae: Path, shots: int, pictures: list[Path]) -> Floats:
    """Descriptions of calibration shots under careful and careless cameras and through the embedded model's
    autoencoder, and of ``pictures`` that the embedded model made; n x len(NAMES).
    """
    split, autoencoder = Shots(folder, "calibration"), Autoencoder(vae)
    scenes = tuple(CONTEXTS[i].scene for i in contexts_of("calibration"))
    rows = []
    with FaceFinder(1) as finder:

        def add(picture: RGB) -> None:
            faces = finder.find(picture)
            numbers = describe(lay_upright(picture, faces[0].landmarks)) if faces else None
            if numbers is not None:
                rows.append(numbers)

        for i in track(range(min(shots, len(split))), "Describing renders"):
            for view in range(3):
                rng = np.random.default_rng([9, i, view])
                light = split.light(i, any_backdrop(rng, SIZE, scenes) if view else None)
                camera = careful if view == 0 else careless_and_more
                picture = camera(rng).photograph(light, rng)
                add(autoencoder(picture) if view == 2 else picture)
        for path in pictures:
            with Image.open(path) as image:
                add(np.asarray(image.convert("RGB")))
    return np.array(rows)


def write(renders: Floats, faces: Descriptions, out: Path) -> dict[str, float]:
    """Fit `Familiarity` and write ``familiarity.safetensors``.

    Args:
        renders: descriptions, from `describe_renders`.
        faces: rated faces; those whose licence allows a fit are used, in all their looks.
        out: the file.

    Returns:
        How many faces of each kind lie on their own side.
    """
    fit = np.array([face.fit for face in faces.faces])
    seen = {"plain": faces.looks["glossy"][fit, 0]}
    seen |= {style: looks[fit, 1:].reshape(-1, len(NAMES)) for style, looks in faces.looks.items()}
    rows = np.concatenate([renders, *seen.values()])
    is_render = np.arange(len(rows)) < len(renders)
    counts = [(renders, 1.0), *((numbers, _COUNTS[name]) for name, numbers in seen.items())]
    weight = np.concatenate([np.full(len(kind), share / len(kind)) for kind, share in counts])
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    z = np.clip((rows - mean) / scale, -FARTHEST, FARTHEST)
    weights = _logistic(np.concatenate([z, z * z - 1, np.ones((len(z), 1))], axis=1), is_render, weight)

    centre, spread = renders.mean(axis=0), renders.std(axis=0) + 1e-6
    values, vectors = np.linalg.eigh(np.corrcoef(renders.T) + _RIDGE * np.eye(renders.shape[1]))
    whiten = (vectors / np.sqrt(values)).T / spread
    found = Familiarity(mean, scale, weights[:-1], float(weights[-1]), centre, whiten, 1.0)
    among = float(np.percentile([found.distance(row) for row in renders], _AMONG))
    tensors = {
        "mean": mean, "scale": scale, "weights": weights[:-1], "bias": weights[-1:], "centre": centre,
        "whiten": whiten, "among": np.array([among]),
    }  # fmt: skip
    temporary = out.with_suffix(".part")
    kept = {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in tensors.items()}
    save_file(kept, temporary)
    temporary.replace(out)
    shares = {
        "renders": np.mean([found.evidence(row) > 0 for row in renders]),
    } | {name: np.mean([found.evidence(row) < 0 for row in numbers]) for name, numbers in seen.items()}
    return {name: float(share) for name, share in shares.items()} | {"among": among}


def _logistic(rows: Floats, is_render: NDArray[np.bool_], weight: Floats) -> Floats:
    """Weights of a logistic regression with a small penalty on their squares; the last is the bias."""

    def loss(weights: Floats) -> tuple[float, Floats]:
        odds = rows @ weights
        signed = np.where(is_render, odds, -odds)
        penalised = np.append(weights[:-1], 0.0)
        gradient = -np.where(is_render, 1.0, -1.0) * expit(-signed) * weight
        value = (weight * np.logaddexp(0, -signed)).sum() + _PENALTY * (penalised**2).sum()
        return float(value), rows.T @ gradient + 2 * _PENALTY * penalised

    found = minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return np.asarray(found.x)
