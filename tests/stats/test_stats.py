"""Distances, chance floor, intervals and tests, held against scipy, statsmodels and the reference table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from fairgen import stats

Counts = dict[str, int]
Target = dict[str, float]


def uniform(k: int) -> Target:
    return {f"c{i}": 1 / k for i in range(k)}


@st.composite
def counts_and_target(draw: st.DrawFn, max_classes: int = 10) -> tuple[Counts, Target]:
    k = draw(st.integers(2, max_classes))
    weights = draw(st.lists(st.integers(1, 40), min_size=k, max_size=k))
    counts = draw(st.lists(st.integers(0, 40), min_size=k, max_size=k).filter(any))
    names = [f"c{i}" for i in range(k)]
    return (
        dict(zip(names, counts, strict=True)),
        {name: w / sum(weights) for name, w in zip(names, weights, strict=True)},
    )


@given(counts_and_target())
def test_distances_agree_with_scipy_and_stay_in_range(pair: tuple[Counts, Target]) -> None:
    counts, target = pair
    p = np.array(list(counts.values())) / sum(counts.values())
    q = np.array(list(target.values()))
    tv = stats.total_variation(counts, target)
    assert tv == pytest.approx(0.5 * np.linalg.norm(p - q, 1), abs=1e-12)
    assert stats.fd(counts, target) == pytest.approx(np.linalg.norm(p - q), abs=1e-12)
    assert stats.alignment_error(counts, target) == pytest.approx(stats.fd(counts, target) ** 2, abs=1e-12)
    assert stats.kl(counts, target) == pytest.approx(scipy.stats.entropy(p, q), abs=1e-9)
    if tv > 1e-6:  # of nearly equal distributions scipy takes the root of a negative rounding error
        expected = scipy.spatial.distance.jensenshannon(p, q, base=2)
        assert stats.jensen_shannon(counts, target) == pytest.approx(expected, abs=1e-7)
    assert 0 <= stats.jensen_shannon(counts, target) <= 1 + 1e-12
    assert 0 <= tv <= 1
    assert stats.kl(counts, target) >= 2 * tv**2 - 1e-9  # Pinsker's inequality


def test_distances_at_their_ends() -> None:
    target = {"a": 0.5, "b": 0.5, "c": 0.0}
    assert stats.total_variation({"a": 2, "b": 2}, target) == 0
    assert stats.kl({"a": 2, "b": 2}, target) == 0
    assert stats.jensen_shannon({"a": 2, "b": 2}, target) == 0
    assert stats.total_variation({"c": 7}, target) == 1
    assert stats.jensen_shannon({"c": 7}, target) == pytest.approx(1)
    assert stats.kl({"c": 7}, target) == math.inf
    assert stats.alignment_error({"a": 1}, target) == 0.5


@pytest.mark.parametrize(
    ("counts", "target", "reason"),
    [
        ({}, {"a": 1.0}, "nothing was counted"),
        ({"a": 0}, {"a": 1.0}, "nothing was counted"),
        ({"z": 1}, {"a": 1.0}, "no class 'z'"),
        ({"a": -1}, {"a": 1.0}, "not negative"),
        ({"a": math.nan}, {"a": 1.0}, "finite"),
        ({"a": 1}, {"a": 0.9}, "sum to 1"),
        ({"a": 1}, {"a": math.nan}, "finite shares"),
        ({"a": 1}, {"a": 1.5, "b": -0.5}, "not negative"),
    ],
)
def test_bad_input_is_refused(counts: Counts, target: Target, reason: str) -> None:
    for distance in (stats.total_variation, stats.kl, stats.fd, stats.jensen_shannon, stats.multinomial_test):
        with pytest.raises(ValueError, match=reason):
            distance(counts, target)


# Mean TV / mean FD of a perfect independent sampler against a uniform target, simulated: within .002.
FLOOR = {
    (3, 20): (0.129, 0.164), (3, 30): (0.100, 0.130), (3, 50): (0.080, 0.103),
    (3, 100): (0.057, 0.073), (3, 250): (0.035, 0.045),
    (6, 20): (0.203, 0.195), (6, 30): (0.160, 0.159), (6, 50): (0.127, 0.123),
    (6, 100): (0.089, 0.087), (6, 250): (0.057, 0.055),
    (10, 20): (0.257, 0.207), (10, 30): (0.212, 0.168), (10, 50): (0.166, 0.131),
    (10, 100): (0.118, 0.092), (10, 250): (0.075, 0.058),
}  # fmt: skip


@pytest.mark.parametrize(("k", "n"), FLOOR)
def test_noise_floor_reproduces_the_reference_table(k: int, n: int) -> None:
    tv, root = FLOOR[k, n]
    assert stats.noise_floor(uniform(k), n) == pytest.approx(tv, abs=0.0025)
    assert stats.noise_band(uniform(k), n).fd_mean == pytest.approx(root, abs=0.003)


@given(counts_and_target(max_classes=4), st.integers(1, 200))
@settings(max_examples=40)
def test_noise_floor_is_the_expected_deviation(pair: tuple[Counts, Target], n: int) -> None:
    target = pair[1]
    k = np.arange(n + 1)
    by_sum = sum(
        0.5 * (np.abs(k / n - share) * scipy.stats.binom.pmf(k, n, share)).sum() for share in target.values()
    )
    assert stats.noise_floor(target, n) == pytest.approx(by_sum, rel=1e-9)


def test_noise_band_surrounds_the_floor_and_repeats() -> None:
    target = {"a": 0.7, "b": 0.2, "c": 0.1, "d": 0.0}
    band = stats.noise_band(target, 30)
    assert band == stats.noise_band(target, 30)
    assert 0 <= band.tv[0] < stats.noise_floor(target, 30) < band.tv[1] <= 1
    wider = stats.noise_band(target, 30, level=0.99)
    assert wider.tv[1] > band.tv[1]
    rng = np.random.default_rng(1)
    q = np.array(list(target.values()))
    tv = [0.5 * np.abs(rng.multinomial(30, q) / 30 - q).sum() for _ in range(2000)]
    assert np.mean(tv) == pytest.approx(stats.noise_floor(target, 30), abs=0.006)
    assert np.mean((band.tv[0] <= np.array(tv)) & (np.array(tv) <= band.tv[1])) >= 0.93
    assert band.alignment_error_mean == pytest.approx(0.46 / 30)


def test_noise_floor_at_its_ends() -> None:
    assert stats.noise_floor({"a": 1.0, "b": 0.0}, 5) == 0
    assert stats.noise_floor({"a": 0.5, "b": 0.5}, 1) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="at least one picture"):
        stats.noise_floor({"a": 1.0}, 0)
    with pytest.raises(ValueError, match="level"):
        stats.noise_band({"a": 1.0}, 5, level=1.0)


def test_holm_agrees_with_statsmodels() -> None:
    assert stats.holm([]) == []
    rng = np.random.default_rng(2)
    for values in ([0.3], [0.01, 0.04, 0.01, 0.5], [1.0, 0.0, 0.2], list(rng.random(40) ** 3)):
        assert stats.holm(values) == pytest.approx(list(multipletests(values, method="holm")[1]), abs=1e-12)


@given(counts_and_target())
@settings(max_examples=60)
def test_intervals_agree_with_statsmodels(pair: tuple[Counts, Target]) -> None:
    counts, values = pair[0], np.array(list(pair[0].values()))
    n = values.sum()
    methods: dict[stats.IntervalMethod, str] = {"jeffreys": "jeffreys", "clopper-pearson": "beta"}
    found = {}
    for method, name in methods.items():
        low, high = proportion_confint(values, n, 0.05 / len(values), name)
        low, high = np.where(values == 0, 0, low), np.where(values == n, 1, high)
        found[method] = np.array(list(stats.simultaneous_intervals(counts, method=method).values()))
        assert found[method] == pytest.approx(np.column_stack([low, high]), abs=1e-9)
    # The exact interval holds the other, whatever the counts.
    assert (found["clopper-pearson"][:, 0] <= found["jeffreys"][:, 0] + 1e-12).all()
    assert (found["jeffreys"][:, 1] <= found["clopper-pearson"][:, 1] + 1e-12).all()


def test_intervals_refuse() -> None:
    with pytest.raises(ValueError, match="level"):
        stats.simultaneous_intervals({"a": 1}, level=1.0)
    with pytest.raises(ValueError, match="one of jeffreys"):
        stats.simultaneous_intervals({"a": 1}, method="wald")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="whole"):
        stats.simultaneous_intervals({"a": 1.5})  # type: ignore[dict-item]


@given(counts_and_target())
@settings(max_examples=25)
def test_intervals_hold_the_shares_and_grow_with_the_level(pair: tuple[Counts, Target]) -> None:
    counts, _ = pair
    narrow, wide = stats.simultaneous_intervals(counts, level=0.8), stats.simultaneous_intervals(counts)
    for name, count in counts.items():
        share = count / sum(counts.values())
        assert 0 <= wide[name][0] <= narrow[name][0] <= share + 1e-12
        assert share - 1e-12 <= narrow[name][1] <= wide[name][1] <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shares", "n"),
    [
        ([1 / 6] * 6, 30),
        ([0.36, 0.128, 0.128, 0.128, 0.128, 0.128], 30),  # 89.9 % with Jeffreys
        ([0.4, 0.3, 0.1, 0.1, 0.05, 0.05], 30),
        ([1 / 6] * 6, 100),
        ([0.4, 0.3, 0.1, 0.1, 0.05, 0.05], 100),
        ([1 / 3] * 3, 30),
        ([0.1] * 10, 100),
    ],
)
def test_intervals_cover_as_often_as_they_say(shares: list[float], n: int) -> None:
    """In 95 % of 5,000 seeded sets or more; the whole grid is in docs/statistics.md."""
    rng = np.random.default_rng(0)
    runs, covered = 5000, 0
    for row in rng.multinomial(n, shares, size=runs):
        intervals = stats.simultaneous_intervals({f"c{i}": int(x) for i, x in enumerate(row)}).values()
        covered += all(low <= share <= high for (low, high), share in zip(intervals, shares, strict=True))
    assert covered / runs >= 0.945


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.02, 0.98))
@settings(max_examples=50)
def test_two_classes_give_the_exact_binomial_test(a: int, b: int, share: float) -> None:
    if a + b == 0:
        return
    p = stats.multinomial_test({"a": a, "b": b}, {"a": share, "b": 1 - share})
    assert p == pytest.approx(scipy.stats.binomtest(a, a + b, share).pvalue, rel=1e-6, abs=1e-12)


@given(counts_and_target(max_classes=4))
@settings(max_examples=20)
def test_exact_and_monte_carlo_agree(pair: tuple[Counts, Target]) -> None:
    counts = {name: count % 6 for name, count in pair[0].items()}
    if not any(counts.values()):
        return
    n, names = sum(counts.values()), list(counts)
    assert stats.has_exact_test(pair[1], n)
    exact = stats.multinomial_test(counts, pair[1])
    law = scipy.stats.multinomial(n, [pair[1][name] for name in names])
    drawn = law.rvs(4000, random_state=0)
    seen = law.logpmf([counts[name] for name in names])
    assert exact == pytest.approx(np.mean(law.logpmf(drawn) <= seen + 1e-7), abs=0.04)


def test_monte_carlo_takes_over_where_outcomes_are_too_many() -> None:
    target = uniform(10)
    assert not stats.has_exact_test(target, 30)
    assert stats.has_exact_test(uniform(6), 30)
    even, skewed = dict.fromkeys(target, 3), dict.fromkeys(target, 1) | {"c0": 21}
    assert stats.multinomial_test(even, target) == 1.0
    assert stats.multinomial_test(skewed, target, draws=999) == 1 / 1000
    some = dict.fromkeys(target, 3) | {"c0": 8, "c1": 0, "c2": 1}
    assert stats.multinomial_test(some, target, seed=4) == stats.multinomial_test(some, target, seed=4)
    chi2 = scipy.stats.chisquare(list(some.values())).pvalue
    assert stats.multinomial_test(some, target) == pytest.approx(chi2, abs=0.1)


@pytest.mark.slow
def test_multinomial_test_holds_its_level() -> None:
    rng = np.random.default_rng(0)
    target = {"a": 0.5, "b": 0.3, "c": 0.2}
    p = np.array(
        [
            stats.multinomial_test(
                dict(zip("abc", map(int, rng.multinomial(20, [0.5, 0.3, 0.2])), strict=True)), target
            )
            for _ in range(400)
        ]
    )
    assert np.mean(p <= 0.05) <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5
    assert np.mean(p <= 0.5) >= 0.35


def test_excluded_classes_and_fractions_of_pictures() -> None:
    assert stats.multinomial_test({"a": 9, "b": 1}, {"a": 1.0, "b": 0.0}) == 0
    assert stats.multinomial_test({"a": 9, "b": 0}, {"a": 1.0, "b": 0.0}) == 1
    with pytest.raises(ValueError, match="whole"):
        stats.multinomial_test({"a": 1.5}, {"a": 1.0})  # type: ignore[dict-item]


def test_equivalence_of_two_classes_is_two_one_sided_binomial_tests() -> None:
    p = stats.equivalence_test({"a": 52, "b": 48}, {"a": 0.5, "b": 0.5}, 0.15)
    low = scipy.stats.binomtest(52, 100, 0.65, alternative="less").pvalue
    high = scipy.stats.binomtest(52, 100, 0.35, alternative="greater").pvalue
    assert p == pytest.approx(max(low, high))


@pytest.mark.slow
@pytest.mark.parametrize("moved", [[0, 5], [0, 1, 2, 3, 4, 5]])
def test_equivalence_test_holds_its_level_on_the_border(moved: list[int]) -> None:
    """Samplers exactly the tolerance away are called equivalent in at most 5 % of cases."""
    shares = np.full(6, 1 / 6)
    half = len(moved) // 2
    shares[moved[:half]] += 0.15 / half
    shares[moved[half:]] -= 0.15 / half
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(300):
        drawn = dict(zip(uniform(6), map(int, rng.multinomial(200, shares)), strict=True))
        passed += stats.equivalence_test(drawn, uniform(6), 0.15) <= 0.05
    assert passed / 300 <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5


def test_equivalence_needs_pictures_and_not_only_a_match() -> None:
    assert stats.equivalence_test(dict.fromkeys(uniform(6), 5), uniform(6), 0.16) > 0.05
    assert stats.equivalence_test(dict.fromkeys(uniform(6), 20), uniform(6), 0.16) < 0.05
    assert stats.equivalence_test({"c0": 300}, uniform(6), 0.16) == pytest.approx(1)
    with pytest.raises(ValueError, match="tolerance"):
        stats.equivalence_test({"c0": 3}, uniform(6), 0)
    with pytest.raises(ValueError, match="at most 16"):
        stats.equivalence_test({"c0": 3}, uniform(17), 0.1)


def test_bootstrap_of_a_certain_reader_with_fixed_pictures_has_no_width() -> None:
    rows = [{"a": 1.0, "b": 0.0}] * 3 + [{"b": 1.0}] * 7
    fixed = stats.bootstrap(rows, {"a": 0.5, "b": 0.5}, redraw_pictures=False, draws=50)
    assert fixed.shares == {"a": (0.3, 0.3), "b": (0.7, 0.7)}
    assert list(fixed.tv) == pytest.approx([0.2, 0.2])
    redrawn = stats.bootstrap(rows, {"a": 0.5, "b": 0.5})
    low, high = redrawn.shares["a"]
    assert (low, high) == (
        scipy.stats.binom.ppf(0.025, 10, 0.3) / 10,
        scipy.stats.binom.ppf(0.975, 10, 0.3) / 10,
    )


def test_bootstrap_carries_the_readers_doubt() -> None:
    doubtful = [{"a": 0.8, "b": 0.2, "c": 0.0}] * 200
    target = {"a": 0.8, "b": 0.2, "c": 0.0}
    result = stats.bootstrap(doubtful, target, redraw_pictures=False, draws=1500)
    spread = 1.96 * math.sqrt(0.8 * 0.2 / 200)
    assert list(result.shares["a"]) == pytest.approx([0.8 - spread, 0.8 + spread], abs=0.01)
    assert list(result.shares["c"]) == [0.0, 0.0]
    assert result.tv_mean == pytest.approx(stats.noise_floor(target, 200), abs=0.002)
    assert result == stats.bootstrap(doubtful, target, redraw_pictures=False, draws=1500)


@pytest.mark.slow
@pytest.mark.parametrize("n", [12, 30])
@pytest.mark.parametrize("shares", [[1 / 6] * 6, [0.4, 0.3, 0.1, 0.1, 0.05, 0.05], [0.1] * 10])
def test_bootstrap_covers_the_samplers_total_variation(shares: list[float], n: int) -> None:
    """Also where that is 0, which a percentile interval never reaches, and with few pictures."""
    k = len(shares)
    target, rng = uniform(k), np.random.default_rng(0)
    truth = 0.5 * sum(abs(share - 1 / k) for share in shares)
    covered = 0
    for seed in range(200):
        rows = [{f"c{i}": 1.0} for i in rng.choice(k, size=n, p=shares)]
        low, high = stats.bootstrap(rows, target, draws=200, seed=seed).tv
        assert 0 <= low <= high <= 1
        covered += low <= truth <= high
    assert covered / 200 >= 0.95 - 2 * (0.05 * 0.95 / 200) ** 0.5


@pytest.mark.parametrize(
    ("rows", "reason"),
    [([], "nothing was read"), ([{"a": 0.5}], "sum to 1"), ([{"z": 1.0}], "no class 'z'")],
)
def test_bootstrap_refuses(rows: list[dict[str, float]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        stats.bootstrap(rows, {"a": 0.5, "b": 0.5})


@pytest.mark.slow
def test_intervals_cover_whatever_the_shape_and_size() -> None:
    """60 random shapes of 2 to 10 classes, n = 12 to 300; bounds depend on the count alone, so by table."""
    rng = np.random.default_rng(5)
    for _ in range(60):
        k, n = int(rng.integers(2, 11)), int(rng.integers(12, 301))
        shares = rng.dirichlet(np.full(k, rng.choice([0.3, 1.0, 5.0])))
        bounds = [
            stats.simultaneous_intervals({"c0": x, "c1": n - x} | {f"c{i}": 0 for i in range(2, k)})["c0"]
            for x in range(n + 1)
        ]
        found = np.array(bounds)[rng.multinomial(n, shares, size=4000)]
        held = ((found[..., 0] <= shares) & (shares <= found[..., 1])).all(axis=1)
        assert held.mean() >= 0.945 - 0.007, (n, shares)
