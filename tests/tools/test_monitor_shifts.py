"""Tests that know the shift, beside which docs/statistics.md shows the monitor's delays."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from tools.figures.index import ROOT

EVEN = np.full(6, 1 / 6)


@pytest.fixture(scope="module")
def shifts() -> Any:
    """benchmarks/monitor_shifts.py, which is a script's and of no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        import monitor_shifts

        yield monitor_shifts
    del sys.modules["monitor_shifts"]


def test_all_halves_are_as_far_and_hold_the_ways_of_the_table(shifts: Any) -> None:
    found = shifts.halves(0.2)
    assert found.shape == (20, 6)
    assert np.allclose(0.5 * np.abs(found - EVEN).sum(axis=1), 0.2)
    for way in shifts.HALVED:
        assert np.isclose(found, shifts.moved(way, 0.2)).all(axis=1).sum() == 1


def test_it_alarms_where_the_mean_likelihood_ratio_first_reaches_the_line(shifts: Any) -> None:
    ways = shifts.halves(0.2)[:3]
    pictures = np.random.default_rng(1).choice(6, size=(20, 80), p=ways[0]).astype(np.int8)
    found = shifts.knowing(pictures, EVEN, ways)
    for row, first in zip(pictures, found, strict=True):
        ratios = np.cumprod(ways[:, row] / EVEN[row], axis=1).mean(axis=0)
        assert first == next((t for t, value in enumerate(ratios, 1) if value >= 20), 0)
    assert 0 < sum(map(bool, found)) < 20


def test_on_target_it_ever_alarms_in_one_of_twenty_streams_at_most(shifts: Any) -> None:
    pictures = np.random.default_rng(2).integers(0, 6, size=(1_000, 400)).astype(np.int8)
    for ways in (shifts.moved("tilted to light", 0.2)[None], shifts.halves(0.2)):
        assert np.mean(np.array(shifts.knowing(pictures, EVEN, ways)) > 0) < 0.065  # 5 % and chance
