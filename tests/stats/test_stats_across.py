"""Figures over prompts, held against scipy and by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fairgen import stats

values = st.lists(st.floats(0, 1), min_size=2, max_size=40)


@given(values, st.sampled_from([0.8, 0.95]))
@settings(max_examples=40)
def test_the_interval_holds_the_mean_and_stays_among_the_values(found: list[float], level: float) -> None:
    result = stats.mean_interval(found, level=level, draws=400)
    assert result.mean == pytest.approx(np.mean(found))
    assert min(found) - 1e-12 <= result.low <= result.high <= max(found) + 1e-12
    assert (result.level, result.prompts) == (level, len(found))
    assert result == stats.mean_interval(found, level=level, draws=400)


@given(st.floats(-2, 2), st.integers(2, 30))
def test_equal_values_have_no_width(value: float, n: int) -> None:
    result = stats.mean_interval([value] * n)
    assert result.low == result.high == result.mean == pytest.approx(value)


def test_many_prompts_give_the_interval_of_the_normal_law() -> None:
    sample = np.random.default_rng(1).normal(0.3, 0.1, size=400)
    result = stats.mean_interval(sample.tolist())
    low, high = scipy.stats.t.interval(0.95, 399, sample.mean(), scipy.stats.sem(sample))
    assert (result.low, result.high) == pytest.approx((low, high), abs=0.0008)


@pytest.mark.slow
@pytest.mark.parametrize("prompts", [8, 36])
def test_the_interval_covers_as_often_as_it_says(prompts: int) -> None:
    """Prompts whose total variation is that of 30 pictures of a skewed sampler."""
    rng = np.random.default_rng(2)
    shares, target = np.array([0.4, 0.3, 0.1, 0.1, 0.05, 0.05]), np.full(6, 1 / 6)
    draws = rng.multinomial(30, shares, size=(400, prompts)) / 30
    tv = 0.5 * np.abs(draws - target).sum(axis=2)
    truth = 0.5 * np.abs(rng.multinomial(30, shares, size=200_000) / 30 - target).sum(axis=1).mean()
    intervals = [stats.mean_interval(row.tolist(), draws=500) for row in tv]
    covered = np.mean([each.low <= truth <= each.high for each in intervals])
    assert 0.93 <= covered <= 0.98


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=8))
@settings(max_examples=40)
def test_few_prompts_give_the_exact_permutation_test(pairs: list[tuple[int, int]]) -> None:
    a, b = ([float(pair[i]) for pair in pairs] for i in (0, 1))
    result = stats.paired_difference(a, b, draws=1000)
    gaps = np.subtract(b, a)
    means = [np.dot(signs, gaps) for signs in itertools.product((-1, 1), repeat=len(gaps))]
    below, above = (np.mean(np.multiply(s, means) >= s * gaps.sum() - 1e-9) for s in (-1, 1))
    assert result.exact
    assert result.p_value == pytest.approx(min(1.0, 2 * min(below, above)))
    assert (result.lower, result.higher) == (int((gaps < 0).sum()), int((gaps > 0).sum()))
    turned = stats.paired_difference(b, a, draws=1000)
    assert turned.p_value == pytest.approx(result.p_value)
    assert turned.difference.mean == pytest.approx(-result.difference.mean)


def test_many_prompts_agree_with_wilcoxon() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(0.4, 0.1, size=36)
    for shift, clear in ((0.0, False), (-0.2, True)):
        b = a + rng.normal(shift, 0.1, size=36)
        result = stats.paired_difference(a.tolist(), b.tolist())
        wilcoxon = scipy.stats.wilcoxon(b, a).pvalue
        assert not result.exact
        assert (result.p_value < 0.001) == (wilcoxon < 0.001) == clear
        assert (result.difference.high < 0) == clear
        assert result.p_value >= 1 / 10_001


@pytest.mark.slow
def test_the_paired_test_holds_its_level() -> None:
    rng = np.random.default_rng(4)
    p = []
    for _ in range(400):
        first, second = rng.normal(rng.normal(0, 1, size=9), 0.2, size=(2, 9))
        p.append(stats.paired_difference(first.tolist(), second.tolist(), draws=600).p_value)
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5
    assert np.mean(np.array(p) <= 0.5) >= 0.4


@pytest.mark.parametrize("bad", [[], [0.5], [0.1, math.nan], [0.1, math.inf]])
def test_what_is_no_sample_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="two prompts or more with finite values"):
        stats.mean_interval(bad)
    with pytest.raises(ValueError, match="two prompts or more with finite values"):
        stats.paired_difference(bad, [0.1] * len(bad))


def test_odd_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="level"):
        stats.mean_interval([0.1, 0.2], level=1.0)
    with pytest.raises(ValueError, match="draws"):
        stats.mean_interval([0.1, 0.2], draws=0)
    with pytest.raises(ValueError, match="same prompts"):
        stats.paired_difference([0.1, 0.2], [0.1, 0.2, 0.3])


@pytest.mark.parametrize(("n", "ones"), [(3, 0), (12, 1), (36, 36), (40, 11)])
def test_of_values_0_and_1_the_bounded_interval_is_clopper_and_pearson_s(n: int, ones: int) -> None:
    result = stats.bounded_mean_interval([1.0] * ones + [0.0] * (n - ones), draws=40_000)
    exact = scipy.stats.binomtest(ones, n).proportion_ci(0.95, "exact")
    assert (result.low, result.high) == pytest.approx((exact.low, exact.high), abs=0.012)
    assert result.prompts == n


@given(values, st.floats(-5, 5), st.floats(0.1, 9))
@example([1.0, 1.0], 0.0, 1.0)
@settings(max_examples=40)
def test_the_bounded_interval_holds_the_mean_within_its_bounds(
    found: list[float], least: float, width: float
) -> None:
    plain = stats.bounded_mean_interval(found, draws=400)
    assert 0 <= plain.low <= np.mean(found) + 1e-12
    assert np.mean(found) - 1e-12 <= plain.high <= 1
    assert plain == stats.bounded_mean_interval(found, draws=400)
    moved = stats.bounded_mean_interval(
        [least + width * value for value in found], (least, least + width), draws=400
    )
    assert (moved.low, moved.high) == pytest.approx(
        (least + width * plain.low, least + width * plain.high), abs=1e-9
    )


def test_many_prompts_make_the_bounded_interval_that_of_the_normal_law() -> None:
    sample = np.clip(np.random.default_rng(1).normal(0.3, 0.1, size=1000), 0, 1)
    result = stats.bounded_mean_interval(sample.tolist(), draws=4000)
    low, high = scipy.stats.t.interval(0.95, 999, sample.mean(), scipy.stats.sem(sample))
    assert (result.low, result.high) == pytest.approx((low, high), abs=0.004)


@pytest.mark.slow
@pytest.mark.parametrize("prompts", [3, 12, 36])
def test_the_bounded_interval_covers_where_some_prompts_are_far_off(prompts: int) -> None:
    """15 % of them at .8, the others near .05: the bootstrap covers 80 to 92 %."""
    rng = np.random.default_rng(5)
    held = []
    for number in range(400):
        far = rng.random(prompts) < 0.15
        found = np.where(far, 0.8, rng.uniform(0.02, 0.08, prompts))
        interval = stats.bounded_mean_interval(found.tolist(), draws=500, seed=number)
        held.append(interval.low <= 0.15 * 0.8 + 0.85 * 0.05 <= interval.high)
    assert np.mean(held) >= 0.95 - 2 * (0.05 * 0.95 / 400) ** 0.5


def test_what_is_out_of_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values in \[0, 1\] are needed"):
        stats.bounded_mean_interval([0.1, 1.2])
    with pytest.raises(ValueError, match="two prompts or more"):
        stats.bounded_mean_interval([0.1])
    with pytest.raises(ValueError, match="level"):
        stats.bounded_mean_interval([0.1, 0.2], level=0.0)
