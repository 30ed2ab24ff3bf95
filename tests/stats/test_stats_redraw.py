"""Labels redrawn from the reader's probabilities: against the bootstrap and what is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairgen import stats

CLASSES = ("light", "medium", "dark")
TARGET = {"light": 0.5, "medium": 0.25, "dark": 0.25}


def vector(*shares: float) -> dict[str, float]:
    return dict(zip(CLASSES, shares, strict=True))


def test_sure_labels_stay_what_they_are() -> None:
    labels = [vector(1, 0, 0)] * 3 + [vector(0, 0, 1)]
    redrawn = stats.redrawn_tv(labels, TARGET, draws=50)
    assert redrawn.shape == (50,)
    assert redrawn == pytest.approx(stats.total_variation({"light": 3, "dark": 1}, TARGET))


@given(
    rows=st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=2, max_size=12),
    seed=st.integers(0, 100),
)
def test_agrees_with_the_bootstrap_that_keeps_the_pictures(rows: list[list[float]], seed: int) -> None:
    labels = [vector(*(np.array(row) / sum(row))) for row in rows]
    redrawn = stats.redrawn_tv(labels, TARGET, draws=3_000, seed=seed)
    other = stats.bootstrap(labels, TARGET, redraw_pictures=False, draws=1_000, seed=seed + 1)
    assert ((redrawn >= 0) & (redrawn <= 1)).all()
    assert redrawn.mean() == pytest.approx(other.tv_mean, abs=0.04)


def test_blocks_do_not_change_the_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [vector(0.6, 0.3, 0.1)] * 10
    whole = stats.redrawn_tv(labels, TARGET, draws=4_000)
    monkeypatch.setattr("fairgen.stats.redraw._CELLS", 100)
    parts = stats.redrawn_tv(labels, TARGET, draws=4_000)
    assert whole == pytest.approx(parts), "the random numbers are the same, block by block"


@pytest.mark.parametrize(
    ("labels", "draws", "message"),
    [([], 10, "no picture"), ([vector(0.5, 0.1, 0.1)], 10, "sum to 1"), ([vector(1, 0, 0)], 0, "draws >= 1")],
)
def test_what_makes_no_sense_is_refused(labels: list[dict[str, float]], draws: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stats.redrawn_tv(labels, TARGET, draws=draws)
