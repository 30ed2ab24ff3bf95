"""An interval for a mean over few prompts that holds whatever the prompts are like, as long as their values
are bounded.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairgen.stats.across import MeanInterval, observations

_CELLS = 4_000_000


def bounded_mean_interval(
    values: Sequence[float],
    bounds: tuple[float, float] = (0.0, 1.0),
    *,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
) -> MeanInterval:
    """The mean of one value a prompt, with an interval for the mean over all prompts of this kind.

    The values x and the end b of their range get random weights w that sum to 1 (Dirichlet, all parameters
    1); the upper end is the quantile ``(1 + level) / 2`` of ``sum(w x) + w b``, and the lower end mirrors it
    (Gaffke, Mathematical Methods of Statistics 2005; Learned-Miller & Thomas, arXiv 1905.06208). For values
    that are 0 or 1 it is the interval of Clopper and Pearson. A bootstrap takes the prompts that were seen
    for all there are, so it is too narrow where a few prompts in a hundred are far off; this one allows for
    prompts that were not seen. That it always covers what it says is conjectured, and no counterexample is
    known; docs/statistics.md has simulations.

    Args:
        values: one a prompt, two or more.
        bounds: the least and the largest value that is possible.
        draws: random weights that the quantiles are taken of.

    Raises:
        ValueError: fewer than two values, one outside ``bounds`` or not finite, ``level`` outside (0, 1), or
            ``draws`` below 1.
    """
    array = observations(values)
    least, largest = bounds
    if draws < 1 or not 0 < level < 1:
        raise ValueError(f"draws >= 1 and level in (0, 1) are needed, got {draws}, {level}")
    scaled = (array - least) / (largest - least)
    if scaled.min() < -1e-9 or scaled.max() > 1 + 1e-9:
        raise ValueError(f"values in [{least:g}, {largest:g}] are needed, got {list(values)}")
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS // (array.size + 1))
    means, rests = [], []
    for start in range(0, draws, block):
        weights = rng.standard_exponential((min(block, draws - start), array.size + 1))
        weights /= weights.sum(axis=1, keepdims=True)
        means.append(weights[:, :-1] @ scaled)
        rests.append(weights[:, -1])
    drawn, rest = np.concatenate(means), np.concatenate(rests)
    mean = float(scaled.mean())
    low = min(mean, float(np.quantile(drawn, (1 - level) / 2, method="lower")))
    high = max(mean, float(np.quantile(drawn + rest, (1 + level) / 2, method="higher")))
    # Weights that sum to 1 but for rounding lead no further than the bounds.
    low, high = np.clip((least + (largest - least) * low, least + (largest - least) * high), *bounds)
    return MeanInterval(float(array.mean()), float(low), float(high), level, int(array.size))
