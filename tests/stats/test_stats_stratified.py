"""The stratified permutation test and the power that it reports beside every p-value."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test, wasserstein_distance

from fairgen.stats.distances import Vector
from fairgen.stats.shift_power import shift_power, shifts
from fairgen.stats.stratified import along_scale, half_l1, mean_difference, stratified_test

rows = st.lists(st.integers(0, 5), min_size=3, max_size=3).map(lambda r: np.array(r, dtype=float) / 5)
groups = st.lists(rows, min_size=1, max_size=3).map(np.array)
strata = st.lists(st.tuples(groups, groups), min_size=1, max_size=2)


@settings(max_examples=30)
@given(strata)
def test_the_exact_test_counts_every_arrangement(pairs: list[tuple[Vector, Vector]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    found = stratified_test(first, second)
    pools = [np.concatenate(pair) for pair in pairs]
    every = []
    for choice in itertools.product(
        *(itertools.combinations(range(len(p)), len(a)) for p, a in zip(pools, first, strict=True))
    ):
        one = [p[list(c)] for p, c in zip(pools, choice, strict=True)]
        other = [np.delete(p, list(c), axis=0) for p, c in zip(pools, choice, strict=True)]
        every.append(float(half_l1(mean_difference(one, other))))
    assert found.exact
    assert sorted(np.round(every, 12)) == pytest.approx(found.null.tolist(), abs=1e-9)
    hits = sum(value >= found.distance - 1e-9 for value in every)
    assert found.p_value == pytest.approx(hits / len(every))
    assert found.p_value > 0


def test_one_stratum_is_scipys_permutation_test() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.random((5, 1)), rng.random((5, 1)) + 0.4
    ours = stratified_test([first], [second])
    theirs = permutation_test(
        (first[:, 0], second[:, 0]),
        lambda x, y, axis: np.abs(x.mean(axis=axis) - y.mean(axis=axis)),
        vectorized=True,
        n_resamples=np.inf,
        alternative="greater",
    )
    assert ours.exact
    assert ours.p_value == pytest.approx(theirs.pvalue)


def test_the_random_test_is_near_the_exact_one_and_repeats() -> None:
    rng = np.random.default_rng(2)
    first, second = [rng.random((6, 3))], [rng.random((6, 3)) + np.array([0.2, 0, 0])]
    exact = stratified_test(first, second)
    drawn = [stratified_test(first, second, exact_up_to=1, draws=20_000, seed=s) for s in (5, 5, 6)]
    assert not drawn[0].exact
    assert drawn[0].p_value == drawn[1].p_value != drawn[2].p_value
    assert drawn[0].p_value == pytest.approx(exact.p_value, abs=0.02)
    assert drawn[0].chance(0.95) == pytest.approx(exact.chance(0.95), abs=0.02)


def test_strata_that_differ_are_no_difference_of_the_groups() -> None:
    low, high = np.full((4, 2), 0.1), np.full((4, 2), 0.9)
    assert stratified_test([low, high], [low, high]).p_value == 1
    assert stratified_test([low], [high]).p_value < 0.05


@given(
    st.lists(st.integers(1, 9), min_size=4, max_size=4), st.lists(st.integers(1, 9), min_size=4, max_size=4)
)
def test_the_distance_along_the_scale_is_the_earth_movers(a: list[int], b: list[int]) -> None:
    p, q = np.array(a) / sum(a), np.array(b) / sum(b)
    expected = wasserstein_distance(range(4), range(4), p, q) / 3
    assert float(along_scale(p - q)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("first", [[], [np.empty((0, 2))], [np.array([[np.nan, 1.0]])], [np.ones(3)]])
def test_groups_that_are_none_are_refused(first: list[Vector]) -> None:
    with pytest.raises(ValueError, match="each stratum"):
        stratified_test(first, [np.ones((2, 2))] * len(first))


@given(st.lists(st.integers(0, 9), min_size=2, max_size=6).filter(lambda c: sum(c) > 0), st.floats(0.01, 0.3))
def test_every_shift_has_its_size_and_leaves_shares(counts: list[int], size: float) -> None:
    shares = np.array(counts) / sum(counts)
    for shift in shifts(shares, size, count=16):
        assert half_l1(shift) == pytest.approx(size)
        assert (shares + shift >= -1e-12).all()
        assert shift.sum() == pytest.approx(0, abs=1e-12)


def test_the_power_is_the_rate_at_which_the_test_rejects() -> None:
    rng = np.random.default_rng(3)
    base, size, n = np.array([0.1, 0.2, 0.3, 0.4]), 0.12, 15
    ways = shifts(base, size)
    stated, rejected = [], 0
    for trial in range(150):
        first, second = ([rng.dirichlet(q * 20, n)] for q in (base, base + ways[rng.integers(len(ways))]))
        found = stratified_test(first, second, draws=299, seed=trial)
        stated.append(shift_power(first, second, size, found.chance(0.95), draws=500, seed=trial))
        rejected += found.p_value <= 0.05
    mean = float(np.mean([power for power in stated if power is not None]))
    assert 0.3 < mean < 0.95  # where neither is trivial
    assert rejected / 150 == pytest.approx(mean, abs=0.1)


def test_power_that_cannot_be_told_is_none() -> None:
    one = [np.array([[0.5, 0.5]])]
    assert shift_power(one, one, 0.1, 0.05) is None
    sure = [np.array([[1.0, 0.0]] * 3)]
    assert shift_power(sure, sure, 0.1, 0.05) is None  # no class could gain in proportion to its share
    assert shift_power([np.full((3, 2), 0.5)] * 2, [np.full((3, 2), 0.5)] * 2, 0.1, 0.05) == 1
