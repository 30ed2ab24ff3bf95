"""Distances at one size: the closed form, and false alarms of sets of unequal size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fairgen import stats

TARGET = {"a": 0.3, "b": 0.5, "c": 0.2}


@pytest.mark.parametrize("size", range(1, 8))
def test_it_is_the_mean_over_all_subsets(size: int) -> None:
    pictures = "aaaabbc"
    every = [
        stats.total_variation({name: part.count(name) for name in TARGET}, TARGET)
        for part in itertools.combinations(pictures, size)
    ]
    counts = {name: pictures.count(name) for name in TARGET}
    assert stats.rarefied_tv(counts, TARGET, size) == pytest.approx(np.mean(every), abs=1e-12)


@pytest.mark.parametrize("size", [0, 4])
def test_a_size_out_of_range_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="has 1 to 3"):
        stats.rarefied_tv({"a": 3}, TARGET, size)


def test_enough_draws_reach_any_number_of_rows() -> None:
    far, near = ["a"] * 40, ["a", "b", "b", "c"] * 10
    for paired in (False, True):
        assert 2000 * stats.difference_test(far, near, TARGET, paired=paired, draws=200_000) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(6, 30), (12, 60), (30, 60)])
def test_sets_of_unequal_size_from_one_sampler_are_called_equal(first: int, second: int) -> None:
    rng = np.random.default_rng(6)
    rejected = []
    for _ in range(400):
        samplers = rng.dirichlet(np.array([4.0, 4.0, 2.0]), size=8)
        both = [
            [
                stats.rarefied_tv(
                    dict(zip(TARGET, map(int, rng.multinomial(n, p)), strict=True)), TARGET, first
                )
                for p in samplers
            ]
            for n in (first, second)
        ]
        rejected.append(stats.paired_difference(*both, draws=300).p_value <= 0.05)
    assert np.mean(rejected) <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5
