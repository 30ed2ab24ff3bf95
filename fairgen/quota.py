"""From shares to whole counts: how many pictures of each class a set should have.

Classes are strings; the order of a quota's keys is the order of the scale, light to dark. Whatever is drawn
follows from a seed: all counts of :func:`draw`, and in :func:`quota` which classes get the odd pictures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

TIE_DIGITS = 9
"""Decimal places to which remainders and deficits are compared, so that ties do not depend on rounding."""
_TIES = 0x7469_6573
"""Keeps the draws of tie-breaks apart from others with the same seed."""
_GOLDEN = (5**0.5 - 1) / 2
"""Steps of this length, modulo 1, spread evenly however many are taken."""


def _shares(target: Mapping[str, float], n: int) -> dict[str, float]:
    if n < 0:
        raise ValueError(f"the number of pictures must not be negative, got {n}")
    values = [float(share) for share in target.values()]
    total = math.fsum(values)
    if not values or not all(math.isfinite(v) and v >= 0 for v in values) or not 0.999 < total < 1.001:
        raise ValueError(f"the shares of a target are finite, not negative and sum to 1, got {dict(target)}")
    # A spec holds shares that sum to 1 within 1e-6; this takes out that rounding and nothing else.
    return {name: value / total for name, value in zip(target, values, strict=True)}


def quota(target: Mapping[str, float], n: int, *, turn: int = 0, seed: int | None = None) -> dict[str, int]:
    """Whole counts that sum to ``n``, each less than 1 away from ``n * share`` (largest remainder, Hamilton).

    Where classes with equal remainders outnumber the pictures that are left for them, ``seed`` draws which
    ones get these: they lie evenly spaced along the scale from a start that is drawn, so over many seeds
    each class gets them equally often. A single picture is drawn from ``target``: else all sets of one would
    show the same class.

    Args:
        target: class -> share, in the order of the scale; sums to 1.
        n: number of pictures, 0 or more.
        turn: moves the start on by so many classes; any whole number. An audit passes the prompt's number,
            so that its prompts take turns.
        seed: of the draw, 0 or more. None draws nothing: classes with equal remainders are served in the
            order of ``target`` from ``turn`` on, and a single picture shows the most frequent class.

    Raises:
        ValueError: ``n`` is negative, or ``target`` is no distribution.
    """
    shares = _shares(target, n)
    start = None if seed is None else float(np.random.default_rng([_TIES, seed]).random())
    if n == 1 and start is not None:
        return _single(shares, (start + turn * _GOLDEN) % 1.0)
    exact = {name: round(n * share, TIE_DIGITS) for name, share in shares.items()}
    counts = {name: math.floor(value) for name, value in exact.items()}
    left = n - sum(counts.values())
    while left:  # the classes with the largest remainder, then those with the next largest
        remainders = {name: round(exact[name] - counts[name], TIE_DIGITS) for name in shares}
        largest = max(remainders.values())
        tied = [name for name, value in remainders.items() if value == largest]
        chosen = min(left, len(tied))
        for name in _odd(tied, chosen, list(shares), turn, start):
            counts[name] += 1
        left -= chosen
    return counts


def _odd(tied: list[str], chosen: int, names: list[str], turn: int, start: float | None) -> list[str]:
    """Which of the ``tied`` classes get an odd picture each."""
    if start is None:
        place = {name: (at - turn) % len(names) for at, name in enumerate(names)}
        return sorted(tied, key=place.__getitem__)[:chosen]
    first = math.floor(start * len(tied)) + turn
    return [tied[(first + i * len(tied) // chosen) % len(tied)] for i in range(chosen)]


def _single(shares: Mapping[str, float], at: float) -> dict[str, int]:
    """One picture, of the class whose part of the line from 0 to 1 holds ``at``."""
    names = [name for name, share in shares.items() if share > 0]
    edges = np.cumsum([shares[name] for name in names])
    found = names[min(int(np.searchsorted(edges, at, side="right")), len(names) - 1)]
    return {name: int(name == found) for name in shares}


def draw(target: Mapping[str, float], n: int, seed: int) -> dict[str, int]:
    """Counts of ``n`` independent draws from ``target`` (multinomial), the same for the same seed.

    Raises:
        ValueError: ``n`` is negative, or ``target`` is no distribution.
    """
    shares = _shares(target, n)
    counts = np.random.default_rng(seed).multinomial(n, list(shares.values()))
    return {name: int(count) for name, count in zip(shares, counts, strict=True)}


def allocate(
    target: Mapping[str, float],
    n: int,
    allocation: Literal["exact", "expected"] = "exact",
    *,
    seed: int = 0,
    turn: int = 0,
    ties: int | None = None,
) -> dict[str, int]:
    """The counts to aim for, as a spec asks: :func:`quota` if ``exact``, :func:`draw` if ``expected``.

    *exact* makes this set match the target as closely as whole pictures can; *expected* lets each set vary
    as chance would, and only many sets together match.

    Args:
        target: class -> share, in the order of the scale; sums to 1.
        n: number of pictures, 0 or more.
        allocation: which of the two.
        seed: of what is drawn, 0 or more.
        turn: as in :func:`quota`.
        ties: a seed of its own for :func:`quota`; default: ``seed``. An audit, whose prompts have seeds of
            their own, passes one for all, so that its prompts take turns.

    Raises:
        ValueError: ``n`` is negative, ``target`` is no distribution, or ``allocation`` is unknown.
    """
    if allocation == "exact":
        return quota(target, n, turn=turn, seed=seed if ties is None else ties)
    if allocation == "expected":
        return draw(target, n, seed)
    raise ValueError(f"allocation is 'exact' or 'expected', not {allocation!r}")
