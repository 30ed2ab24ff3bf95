"""From shares to whole counts: how many pictures of each class a set should have.

Classes are strings; the order of a quota's keys is the order of the scale, light to dark. Nothing is random
but :func:`draw`, which takes a seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import numpy as np

TIE_DIGITS = 9
"""Decimal places to which remainders and deficits are compared, so that ties do not depend on rounding."""


def _shares(target: Mapping[str, float], n: int) -> dict[str, float]:
    if n < 0:
        raise ValueError(f"the number of pictures must not be negative, got {n}")
    values = [float(share) for share in target.values()]
    total = math.fsum(values)
    if not values or not all(math.isfinite(v) and v >= 0 for v in values) or not 0.999 < total < 1.001:
        raise ValueError(f"the shares of a target are finite, not negative and sum to 1, got {dict(target)}")
    # A spec holds shares that sum to 1 within 1e-6; this takes out that rounding and nothing else.
    return {name: value / total for name, value in zip(target, values, strict=True)}


def quota(target: Mapping[str, float], n: int, *, turn: int = 0) -> dict[str, int]:
    """Whole counts that sum to ``n``, each less than 1 away from ``n * share`` (largest remainder, Hamilton).

    Classes with equal remainders are served in the order of ``target``, starting ``turn`` places along. An
    audit of many prompts passes the prompt's number, so that the odd pictures do not always go to the
    lightest class.

    Args:
        target: class -> share, in the order of the scale; sums to 1.
        n: number of pictures, 0 or more.
        turn: where the tie-break starts; any whole number.

    Raises:
        ValueError: ``n`` is negative, or ``target`` is no distribution.
    """
    shares = _shares(target, n)
    exact = {name: round(n * share, TIE_DIGITS) for name, share in shares.items()}
    counts = {name: math.floor(value) for name, value in exact.items()}
    names = list(shares)
    rank = {name: (place - turn) % len(names) for place, name in enumerate(names)}
    by_remainder = sorted(
        names, key=lambda name: (-round(exact[name] - counts[name], TIE_DIGITS), rank[name])
    )
    for name in by_remainder[: n - sum(counts.values())]:
        counts[name] += 1
    return counts


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
) -> dict[str, int]:
    """The counts to aim for, as a spec asks: :func:`quota` if ``exact``, :func:`draw` if ``expected``.

    *exact* makes this set match the target as closely as whole pictures can; *expected* lets each set vary
    as chance would, and only many sets together match.

    Raises:
        ValueError: ``n`` is negative, ``target`` is no distribution, or ``allocation`` is unknown.
    """
    if allocation == "exact":
        return quota(target, n, turn=turn)
    if allocation == "expected":
        return draw(target, n, seed)
    raise ValueError(f"allocation is 'exact' or 'expected', not {allocation!r}")
