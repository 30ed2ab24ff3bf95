"""How the skin of a face looks in its picture: numbers that a careful observer's judgement can be learnt
from.

Lightness alone says little in pictures that were tone-mapped or glossed over: a lit-up brown face is as light
as a fair one in the shade. Chroma, hue, and how both change from the dark to the light parts of the same skin
say more. So the cells of skin are sorted by lightness, and the colour of every eighth part of them is kept,
beside the patches, the spread, and how much of the contrast is fine. Eye whites and pupils are left out:
generators make them up.

A patch of the forehead or the chin is there or not, by a pixel of the frame, a fringe or a beard. So the
skin that can be seen is also divided by place, from its highest to its lowest cell and from one side to the
other: those numbers change little by little with what is seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from .medians import median
from .upright import LEAST_SKIN, UprightFace

_PARTS = 8
_BANDS = 5
_TRIM = 0.03  # of the skin's cells at each end: glints and pores
_LEAST = 8  # cells of a patch that counts
_LEAST_MOUTH = 16
_BROW_SHARE = 25  # percentile of the brows' lightness: between the hairs is skin
_BROWS_OUT_OF_SIGHT = -25.0
_LIPS_BESIDE_SKIN = np.array([-10.0, 10.0, 0.0])
"""L*, a*, b* that lips mostly differ from skin by."""
_LAB = ("L", "a", "b")
_PATCHES = ("cheeks", "forehead", "nose_bridge", "chin")
NAMES: tuple[str, ...] = (
    *(f"part_{k}_{c}" for k in range(_PARTS) for c in _LAB),
    *(f"{patch}_{c}" for patch in _PATCHES for c in _LAB),
    "cheeks_differ",
    "chroma",
    "hue",
    *(f"spread_{c}" for c in _LAB),
    "L_goes_with_a",
    "L_goes_with_b",
    "contrast",
    "fine_contrast",
    "brow_L",
    *(f"lips_{c}" for c in _LAB),
    *(f"band_{k}_{c}" for k in range(_BANDS) for c in _LAB),
    "halves_differ",
    *(f"sides_{c}" for c in _LAB),
    "sides_differ",
    *(f"mouth_{c}" for c in _LAB),
    "brows_darker",
)
"""Names of the numbers, in order."""


def describe(face: UprightFace) -> NDArray[np.float64] | None:
    """The numbers named in `NAMES`, finite, or None where fewer than `LEAST_SKIN` cells show skin.

    Colours are CIELAB (L* 0-100): of each eighth of the skin from dark to light (``part``), of the patches,
    of each fifth from top to bottom (``band``), of the outer quarters left and right (``sides``, their mean),
    of lips, mouth and brows. ``cheeks_differ``, ``halves_differ`` and ``sides_differ`` are of L*, left and
    right, without a sign; ``brows_darker`` is the brows' L* less the skin's. Chroma and spreads are in CIELAB
    units, hue in degrees; the two ``L_goes_with`` are correlations, -1 to 1.
    """
    skin = face.lab[face.skin]
    if len(skin) < LEAST_SKIN:
        return None
    ordered = skin[np.argsort(skin[:, 0], kind="stable")]
    cut = int(_TRIM * len(ordered))
    ordered = ordered[cut : len(ordered) - cut]
    parts = np.concatenate([part.mean(axis=0) for part in np.array_split(ordered, _PARTS)])
    middle = median(ordered)
    patches = {name: _median(face, mask & face.skin) for name, mask in face.patches.items()}
    both = [p for p in (patches["right_cheek"], patches["left_cheek"]) if p is not None]
    cheeks = np.mean(both, axis=0) if both else middle
    rest = [cheeks if (p := patches[name]) is None else p for name in _PATCHES[1:]]
    lips, brows = _median(face, face.lips), _median(face, face.brows)
    spread = ordered.std(axis=0)
    lightness = face.lab[..., 0]
    return np.array(
        [
            *parts,
            *np.concatenate([cheeks, *rest]),
            abs(both[0][0] - both[1][0]) if len(both) == 2 else 0.0,
            median(np.hypot(ordered[:, 1], ordered[:, 2])),
            np.degrees(np.arctan2(middle[2], middle[1])),
            *spread,
            *(_correlation(ordered[:, 0], ordered[:, k]) for k in (1, 2)),
            (lightness - _local_mean(lightness, face.skin, 9))[face.skin].std(),
            (lightness - _local_mean(lightness, face.skin, 3))[face.skin].std(),
            # Where lips or brows are out of sight, what they mostly look like beside this skin.
            middle[0] - 20.0 if brows is None else brows[0],
            *(middle + _LIPS_BESIDE_SKIN if lips is None else lips),
            *_by_place(face, skin),
        ]
    )


def _by_place(face: UprightFace, skin: NDArray[np.float64]) -> list[float]:
    """The numbers of `NAMES` from ``band_0_L`` on."""
    bands = [median(band) for band in np.array_split(skin, _BANDS)]
    across = skin[np.argsort(np.nonzero(face.skin)[1], kind="stable")]
    half, quarter = len(skin) // 2, len(skin) // 4
    one_half, other_half = (median(part[:, 0]) for part in (across[:half], across[-half:]))
    one_side, other_side = (median(part) for part in (across[:quarter], across[-quarter:]))
    middle = median(skin)
    mouth, brows = face.lab[face.mouth], face.lab[face.brows][:, 0]
    darker = np.percentile(brows, _BROW_SHARE) - middle[0] if len(brows) >= _LEAST else _BROWS_OUT_OF_SIGHT
    return [
        *np.concatenate(bands),
        abs(one_half - other_half),
        *(one_side + other_side) / 2,
        abs(one_side[0] - other_side[0]),
        *(median(mouth) if len(mouth) >= _LEAST_MOUTH else middle + _LIPS_BESIDE_SKIN),
        darker,
    ]


def _median(face: UprightFace, mask: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    values = face.lab[mask]
    return median(values) if len(values) >= _LEAST else None


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if one.std() < 0.1 or other.std() < 0.1:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _local_mean(values: NDArray[np.float64], mask: NDArray[np.bool_], size: int) -> NDArray[np.float64]:
    """Mean of ``values`` over the cells of ``mask`` in a square of ``size`` cells around each cell."""
    share = uniform_filter(mask.astype(np.float64), size)
    return np.asarray(uniform_filter(np.where(mask, values, 0.0), size) / np.maximum(share, 1e-3))
