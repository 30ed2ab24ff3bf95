"""Fits the second reader's straight line: twelve numbers of a face's pixels in Oklab -> tone on the raters'
scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from skin_tone.camera import careful, careless
from skin_tone.observer import tone_of
from skin_tone.picture import RGB
from skin_tone.second import SecondReader, describe_pixels, face_pixels

from .rated import PLAIN_KINDS, RatedFace
from .shots import Shots

_RIDGE = 1e-2
_RENDERS = 0.35  # share of the weight on renders

Floats = NDArray[np.float64]


def _pictures(faces: list[RatedFace], shots: Shots, renders: int) -> Iterator[tuple[RGB, float, bool]]:
    """Pictures, their tones, and whether they are renders."""
    for face in faces:
        if face.fit and face.kind in PLAIN_KINDS:
            yield face.picture(), face.tone, False
    for i in range(min(renders, len(shots))):
        rng = np.random.default_rng([3, i])
        camera = (careless if i % 2 else careful)(rng)
        yield camera.photograph(shots.light(i), rng), float(tone_of(shots.records[i].ita)), True


def fit(faces: list[RatedFace], folder: Path, renders: int = 240) -> tuple[Floats, float, dict[str, float]]:
    """Weights with the constant last, the standard error in classes, and figures."""
    rows, tones, rendered = [], [], []
    with SecondReader() as reader:
        for picture, tone, is_render in track(
            list(_pictures(faces, Shots(folder, "calibration"), renders)), "Reading"
        ):
            found = reader.find(picture)
            pixels = face_pixels(picture, found[0])[1] if found else None
            numbers = describe_pixels(pixels) if pixels is not None else None
            if numbers is not None:
                rows.append(numbers)
                tones.append(tone)
                rendered.append(is_render)
    x, y, made = np.array(rows), np.array(tones), np.array(rendered)
    counts = np.where(made, _RENDERS / made.sum(), (1 - _RENDERS) / (~made).sum())
    mean, scale = x.mean(axis=0), x.std(axis=0)
    z = np.column_stack([(x - mean) / scale, np.ones(len(x))])
    penalty = _RIDGE * np.diag([1.0] * x.shape[1] + [0.0])
    weights = np.linalg.solve(z.T @ (z * counts[:, None]) + penalty, z.T @ (y * counts))
    error = z @ weights - y
    sigma = float(np.quantile(np.abs(error[~made]), 0.9) / 1.6449)
    figures = {"renders_rms": float(error[made].std()), "rated_rms": float(error[~made].std())}
    plain = weights[:-1] / scale
    return np.append(plain, weights[-1] - plain @ mean), sigma, figures
