"""How the streams of benchmarks/monitor.py leave six even classes, and how soon tests that know more than a
monitor can know would find it.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, ncx2

__all__ = ["DISTANCES", "HALVED", "WAYS", "fixed_sample", "halves", "knowing", "moved"]

Vector = NDArray[np.float64]

WAYS: dict[str, tuple[float, ...]] = {
    "darkest two to lightest two": (0.5, 0.5, 0, 0, -0.5, -0.5),
    "tilted to light": (5 / 9, 3 / 9, 1 / 9, -1 / 9, -3 / 9, -5 / 9),
    "outer four to middle two": (-0.25, -0.25, 0.5, 0.5, -0.25, -0.25),
    "dark half to light half": (1 / 3, 1 / 3, 1 / 3, -1 / 3, -1 / 3, -1 / 3),
    "every second class": (1 / 3, -1 / 3, 1 / 3, -1 / 3, 1 / 3, -1 / 3),
}
"""How mass moves among six even classes, a unit of TV. The last two are the smallest shifts of their TV that
there are (least chi-square distance), and the last does not follow the order of the scale.
"""
HALVED = ("dark half to light half", "every second class")
"""Ways in which three classes gain what the other three lose, each alike: `halves` holds them."""
DISTANCES = (0.2, 0.15, 0.1)


def moved(way: str, tv: float) -> Vector:
    """Six even classes with ``tv`` moved, shape (6,)."""
    return np.asarray(1 / 6 + tv * np.array(WAYS[way]))


def halves(tv: float) -> Vector:
    """All 20 ways in which three of six even classes gain what the others lose, ``tv`` in all; (20, 6)."""
    signs = np.array([s for s in itertools.product((1, -1), repeat=6) if sum(s) == 0])
    return np.asarray(1 / 6 + tv * signs / 3)


def knowing(pictures: NDArray[np.int8], null: Vector, ways: Vector, level: float = 0.05) -> list[int]:
    """The picture, from 1, at which a test that knows the ways in which a stream may leave its target alarms.

    Its evidence is the mean of their likelihood ratios, an e-process. With one way it is Wald's sequential
    probability ratio test; no test of its level needs fewer than ln(1 / level) / KL pictures on average
    (Wald, Annals of Mathematical Statistics 1945). With ways that are one another with their classes
    permuted, and even shares as the null, no e-process grows faster for the worst of them (Grünwald, de Heide
    & Koolen, JRSS B 2024: by symmetry the even mixture is the least favourable one).

    Args:
        pictures: classes, shape (streams, length).
        null: shares of the target, shape (k,).
        ways: shares off target, shape (ways, k), all above 0.
        level: it alarms at 1 / level.

    Returns:
        One number for each stream; 0: it never alarmed.
    """
    total = np.full(pictures.shape, -np.inf)
    for way in ways:
        np.logaddexp(total, np.cumsum(np.log(way / null)[pictures], axis=1), out=total)
    over = total >= np.log(len(ways) / level)
    return [int(n) for n in np.where(over.any(axis=1), over.argmax(axis=1) + 1, 0)]


def fixed_sample(way: str, tv: float) -> int:
    """Pictures at which one chi-square test, planned in advance, has a power of one half."""
    off = moved(way, tv)
    distance = float(((off - 1 / 6) ** 2 * 6).sum())
    line = chi2.isf(0.05, 5)
    return next(n for n in range(5, 10_000) if ncx2.sf(line, 5, n * distance) >= 0.5)
