"""Fits the observer: rated faces, described in many looks and frames -> what raters named
(`skin_tone.observer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from safetensors.numpy import save_file
from scipy.linalg import cho_factor, cho_solve

from skin_tone.appearance import NAMES
from skin_tone.faces import FaceFinder
from skin_tone.observer import Observer, evened, plain_tone, similarity, width_at
from skin_tone.views import View, as_found, describe_views, views

from .frames import Frame
from .looks import STYLES, another_look, exposed
from .rated import PLAIN_KINDS, RatedFace

LOOKS = 4  # of each face and style, beside the face as it is
_NOISE = 0.15  # variance of a rating beside the kernel's 1
_EVEN = 0.6  # power of a tone's rarity by which its faces count more: dark skin is rare among the rated
_WIDENED = (3.0, 1.0, 1.5, -0.1)
"""Tone about which what is said is widened, factors on its lighter and darker side, and what is added."""
_COUNTS = {"others": 3.0, "t2i": 2.0}
"""How much faces of text-to-image models count beside those of StyleGAN2 and cameras."""
_EVENED = {"glossy": 0.6, "flat": 0.6, "dim": 1.0}
"""Style -> how far exposure is evened first: members that do not know the exposure beside some that do."""
_EXPOSED = {"glossy": -0.35, "flat": 0.35}
"""Style -> stops by which the last look differs from the face as it is, in nothing else."""
_UNSTEADY = ("forehead_", "chin_")
"""Numbers of patches that the frame, a fringe or a beard can take away at once; the highest and the lowest
fifth of the skin say the same.
"""
_FEATURES = ("brow", "lips_", "mouth_")
_ALL = tuple(k for k, name in enumerate(NAMES) if not name.startswith(_UNSTEADY))
_SKIN = tuple(k for k in _ALL if not NAMES[k].startswith(_FEATURES))
_MEMBERS = (
    ("glossy", "gauss", _SKIN),
    ("flat", "gauss", _SKIN),
    ("dim", "gauss", _ALL),
    ("dim", "laplace", _ALL),
    ("dim", "laplace", _SKIN),
)
"""Looks, kernel, and columns: skin alone, or skin, brows and lips."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Descriptions:
    """The described faces.

    Attributes:
        faces: the rated faces that were found and show enough skin.
        looks: style -> len(faces) x (1 + LOOKS) x len(NAMES); the first look of each is the face as it is;
            only that one where the licence forbids a fit (the others are NaN).
    """

    faces: list[RatedFace]
    looks: dict[str, Floats]

    @property
    def tones(self) -> Floats:
        return np.array([face.tone for face in self.faces])


def _describe_face(face: RatedFace, once: bool) -> dict[str, Floats] | None:
    held: dict[str, Any] = _describe_face.__dict__
    finder = held.setdefault("finder", None) or FaceFinder(8)
    held["finder"] = finder
    rgb = face.picture()
    found = finder.find(rgb)
    if not found:
        return None
    seen = [as_found(rgb, found[0])] if once else views(rgb, found[0], finder)
    seed = crc32(face.name.encode())
    described = {}
    for style in STYLES:
        rows = np.full((1 + LOOKS, len(NAMES)), np.nan)
        for k in range(1 + (LOOKS if face.fit else 0)):
            looks = [_in_look(view, style, k, seed) for view in seen] if k else seen
            numbers = describe_views(looks if once or k == 0 else _reframed(looks, style, k, seed))
            if numbers is None:
                return None
            rows[k] = numbers
        described[style] = rows
    return described


def _reframed(seen: list[View], style: str, number: int, seed: int) -> list[View]:
    """A face's views in another frame, all in one; as they are where it would leave too little skin."""
    frame = Frame.drawn(np.random.default_rng([seed, number, len(style), 1]))
    framed = [frame.around(view) for view in seen]
    return seen if describe_views(framed) is None else framed


def _in_look(view: View, style: str, number: int, seed: int) -> View:
    """A view in another look."""
    if number == LOOKS and style in _EXPOSED:
        return view._replace(pixels=exposed(view.pixels, _EXPOSED[style]))
    rng = np.random.default_rng([seed, number, len(style)])
    return view._replace(pixels=another_look(view.pixels, STYLES[style], rng))


def described(faces: Sequence[RatedFace], workers: int = 2, once: bool = False) -> Descriptions:
    """Describe rated faces; those that are not found or show too little skin are left out.

    Args:
        faces: the faces.
        workers: processes.
        once: describe each as it was found: not by the mean of several views, and in no other frame.
    """
    describe_face = partial(_describe_face, once=once)
    with ProcessPoolExecutor(workers) as pool:
        every = list(track(pool.map(describe_face, faces, chunksize=8), "Describing", total=len(faces)))
    kept = [(face, looks) for face, looks in zip(faces, every, strict=True) if looks is not None]
    return Descriptions(
        [face for face, _ in kept], {style: np.stack([looks[style] for _, looks in kept]) for style in STYLES}
    )


def members(data: Descriptions, rows: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """Fit the committee on the faces ``rows``, as tensors."""
    tensors: dict[str, NDArray[Any]] = {}
    tones = np.repeat(data.tones[rows], 1 + LOOKS)
    counts = np.array([_COUNTS.get(face.name.split("/")[0], 1.0) for face in data.faces])
    noise = _NOISE / (_rarity(tones) * np.repeat(counts[rows], 1 + LOOKS))
    for style in STYLES:
        numbers = evened(data.looks[style][rows].reshape(-1, len(NAMES)), _EVENED[style])
        mean, scale = numbers.mean(axis=0), numbers.std(axis=0) + 1e-6
        standard = (numbers - mean) / scale
        residuals = tones - plain_tone(numbers)
        level = residuals.mean()
        tensors |= {
            f"looks.{style}.mean": mean.astype(np.float32),
            f"looks.{style}.scale": scale.astype(np.float32),
            f"looks.{style}.share": np.array([_EVENED[style]], dtype=np.float32),
            # What is written must lie row by row: safetensors takes an array's bytes as they are.
            f"looks.{style}.points": np.ascontiguousarray(standard, dtype=np.float16),
        }
        for number, (looks, kernel, columns) in enumerate(_MEMBERS):
            if looks != style:
                continue
            z = standard[:, columns]
            squares = np.square(z).sum(axis=1)
            alike = similarity(np.maximum(squares[:, None] + squares[None] - 2 * z @ z.T, 0), kernel)
            alike[np.diag_indices(len(alike))] += noise
            weights = cho_solve(cho_factor(alike, overwrite_a=True), residuals - level)
            head = f"member.{number}.{style}.{kernel}"
            tensors |= {
                f"{head}.columns": np.array(columns, dtype=np.int32),
                f"{head}.weights": weights.astype(np.float32),
                f"{head}.level": np.array([level], dtype=np.float32),
            }
    return tensors


def _plain_level(data: Descriptions, rows: NDArray[np.bool_]) -> float:
    """By how much raters name faces as they are darker than `plain_tone`, on average."""
    return float(np.mean(data.tones[rows] - plain_tone(data.looks["glossy"][rows, 0])))


def _rarity(tones: Floats) -> Floats:
    """How much each face counts, mean 1: more where few faces of its tone were rated."""
    bins = np.clip(((tones - 0.25) / 0.5).astype(int), 0, 12)
    weights = (np.bincount(bins, minlength=13)[bins] + 2.0) ** -_EVEN
    return np.asarray(np.clip(weights / weights.mean(), 0.2, 5.0))


def _judged(
    tensors: dict[str, NDArray[Any]], constants: Sequence[float], numbers: Floats
) -> tuple[Floats, Floats]:
    observer = Observer({**tensors, "constants": np.array(constants, dtype=np.float32)})
    said = [observer.judge(row) for row in numbers]
    return np.array([j.tone for j in said]), np.array([j.nearness for j in said])


def left_out(data: Descriptions) -> tuple[NDArray[np.intp], Floats, Floats]:
    """What committees say of faces that they were not fitted on.

    Generators with few rated faces are left out whole; of those that most of the fit comes from, a fifth at a
    time.

    Returns:
        Indices of faces, the tones said of them, and their nearness.
    """
    fit = np.array([face.fit and face.kind in PLAIN_KINDS for face in data.faces])
    generators = np.array([face.generator for face in data.faces])
    large = [name for name in np.unique(generators[fit]) if (generators[fit] == name).sum() > 90]
    folds = [fit & (generators == name) for name in np.unique(generators[fit]) if name not in large]
    fifth = np.array([crc32(face.name.encode()) % 5 for face in data.faces])
    folds += [fit & np.isin(generators, large) & (fifth == k) for k in range(5)]
    index, tones, near = [], [], []
    for fold in track(folds, "Leaving out"):
        if fold.sum() == 0:
            continue
        rows = fit & ~fold
        constants = (*_WIDENED, 1, 1, _plain_level(data, rows))
        said, nearness = _judged(members(data, rows), constants, data.looks["glossy"][fold, 0])
        index.append(np.flatnonzero(fold))
        tones.append(said)
        near.append(nearness)
    return np.concatenate(index), np.concatenate(tones), np.concatenate(near)


def fit(data: Descriptions, out: Path) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Fit the committee on all faces that may be fitted on, its standard error on faces left out; write
    ``out``.

    Args:
        data: the described faces.
        out: ``observer.safetensors``.

    Returns:
        Figures of the faces left out, and name of the face -> the tone that was said of it and its standard
        error.
    """
    index, said, near = left_out(data)
    error, width = np.abs(said - data.tones[index]), width_at(said)
    far = 1 - near
    # A straight line through the absolute errors, never falling with distance, then one factor so that nine
    # in ten of the errors lie inside 1.645 of it (split conformal prediction).
    slope, start = np.polyfit(far, error / width, 1)
    slope, start = max(0.0, float(slope)), max(0.2, float(start))
    factor = float(np.quantile(error / width / (start + slope * far), 0.9)) / 1.6449
    sigma_near, sigma_far = start * factor, slope * factor
    fitting = np.array([face.fit and face.kind in PLAIN_KINDS for face in data.faces])
    tensors = members(data, fitting)
    tensors["constants"] = np.array(
        [*_WIDENED, sigma_near, sigma_far, _plain_level(data, fitting)], dtype=np.float32
    )
    temporary = out.with_suffix(".part")
    save_file(tensors, temporary)
    temporary.replace(out)
    figures = {
        "faces": float(fitting.sum()),
        "sigma_near": sigma_near,
        "sigma_far": sigma_far,
        "left_out_rms": float(np.sqrt(np.mean((said - data.tones[index]) ** 2))),
        "left_out_mean_error": float(np.mean(said - data.tones[index])),
        "left_out_within_half": float(np.mean(error <= 0.5)),
    }
    sigmas = (sigma_near + sigma_far * far) * width
    return figures, {
        data.faces[k].name: (float(tone), float(sigma))
        for k, tone, sigma in zip(index, said, sigmas, strict=True)
    }
