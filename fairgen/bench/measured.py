"""The bias that a model shows, prompt by prompt, beside the table that made it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fairgen.common.documents import Part
from fairgen.models.known_bias import KnownBias

__all__ = ["Estimated", "MeasuredBias", "MeasuredRow", "measured_bias"]

LEVEL = 0.95
FEWEST = 2
"""Readings that a prompt needs: of one picture nobody knows how far another would lie from it."""
_DRAWS = 2_000


class Estimated(Part):
    """A figure and its bootstrap interval at `LEVEL` (None where the pictures leave none)."""

    value: float
    low: float | None
    high: float | None


class MeasuredRow(Part):
    """One prompt: what its training tones were, and what its pictures show. Degrees of ITA."""

    prompt: str
    phrase: str
    group: str
    table_mean: float = Field(description="as the table has it")
    table_spread: float
    expected_mean: float = Field(description="mean of the law that the table stands for")
    pictures: int = Field(ge=0)
    read: int = Field(ge=0, description="pictures in which a tone was read")
    mean: Estimated | None = Field(description="of the ITA read; None: fewer than two readings")
    spread: float | None = Field(description="standard deviation of the ITA read")


class MeasuredBias(Part):
    """All prompts, and how well what was read follows what was put in."""

    fingerprint: str | None = Field(default=None, description="the model's identity, as in a result file")
    reader: str | None = Field(default=None, description="the readers' identity, as in a result file")
    rows: tuple[MeasuredRow, ...]
    prompts: int = Field(ge=0, description="prompts with enough readings: those that the figures are over")
    correlation: Estimated | None = Field(
        description="Pearson's, of mean ITA read and the table's mean; None: fewer than three prompts"
    )
    mean_absolute_error: Estimated | None = Field(
        description="over prompts, of mean ITA read against the law's expected mean, degrees"
    )
    mean_error: Estimated | None = Field(description="the same with its sign; above 0: lighter than put in")


def measured_bias(
    table: KnownBias, readings: Mapping[str, Sequence[float | None]], *, seed: int = 0
) -> MeasuredBias:
    """Hold readings of unsteered pictures against the table that made the bias.

    Intervals are bootstrapped over pictures, each prompt's drawn anew among themselves, for the prompts are
    the table's and no sample of anything (bias-corrected and accelerated: Efron, JASA 1987;
    `scipy.stats.bootstrap`). The correction matters: drawing anew adds noise to every mean, which by itself
    lowers a correlation and raises an absolute error. Reading error is not in the intervals.

    Args:
        readings: prompt -> ITA in degrees of each of its pictures, None where no tone was read. Prompts that
            are left out count as not measured.

    Raises:
        ValueError: a prompt is not in the table, or a reading is not finite.
    """
    if unknown := [prompt for prompt in readings if prompt not in {row.prompt for row in table.rows}]:
        raise ValueError(f"{unknown[0]!r} is no prompt of the table")
    rows, samples, means, expected = [], [], [], []
    for row in table.rows:
        found = readings.get(row.prompt, ())
        known = np.array([value for value in found if value is not None], dtype=np.float64)
        if not np.isfinite(known).all():
            raise ValueError(f"readings of {row.prompt!r} are not finite")
        wanted = table.expected_mean(row)
        mean = None
        if len(known) >= FEWEST:
            samples.append(known)
            means.append(row.mean)
            expected.append(wanted)
            mean = _estimated([known], lambda drawn: drawn[0], seed)
        rows.append(
            MeasuredRow(
                prompt=row.prompt,
                phrase=row.phrase,
                group=row.group,
                table_mean=row.mean,
                table_spread=row.spread,
                expected_mean=wanted,
                pictures=len(found),
                read=len(known),
                mean=mean,
                spread=float(known.std(ddof=1)) if mean else None,
            )
        )
    truth, law = np.array(means), np.array(expected)
    enough = len(samples) >= 3 and np.ptp(truth) > 0
    return MeasuredBias(
        rows=tuple(rows),
        prompts=len(samples),
        correlation=_estimated(samples, lambda drawn: _pearson(drawn, truth), seed) if enough else None,
        mean_absolute_error=_estimated(samples, lambda drawn: np.abs(drawn.T - law).mean(axis=-1), seed),
        mean_error=_estimated(samples, lambda drawn: (drawn.T - law).mean(axis=-1), seed),
    )


def _pearson(drawn: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each column of prompts x draws with the table's means."""
    moved, centred = (drawn.T - drawn.T.mean(axis=-1, keepdims=True)), truth - truth.mean()
    size = np.sqrt(np.square(moved).sum(-1) * np.square(centred).sum())
    # Means that are all alike follow nothing.
    return np.asarray(np.divide(moved @ centred, size, out=np.zeros_like(size), where=size > 0))


def _estimated(samples: Sequence[NDArray[np.float64]], figure: Any, seed: int) -> Estimated | None:
    """``figure`` of the samples' means, which it gets as an array samples x draws (or samples alone)."""
    if not samples:
        return None
    from scipy.stats import bootstrap

    def statistic(*drawn: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        return np.asarray(figure(np.stack([one.mean(axis=axis) for one in drawn])))

    value = float(statistic(*samples))
    if not any(np.ptp(one) > 0 for one in samples):
        return Estimated(value=value, low=None, high=None)
    found = bootstrap(
        tuple(samples),
        statistic,
        n_resamples=_DRAWS,
        confidence_level=LEVEL,
        method="BCa",
        vectorized=True,
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    low, high = float(found.low), float(found.high)
    whole = bool(np.isfinite((low, high)).all())
    return Estimated(value=value, low=low if whole else None, high=high if whole else None)
