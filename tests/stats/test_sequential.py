"""Evidence and intervals that hold at every moment of a stream."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fairgen.stats.distances import Vector
from fairgen.stats.sequential import (
    ChangeProcess,
    EProcess,
    Plan,
    ShareBox,
    change_bins,
    reading_box,
    share_sequence,
)
from fairgen.stats.sequential.alternatives import alternatives
from fairgen.stats.sequential.change import tie_breaker
from fairgen.stats.sequential.confidence import log_excess

weights = st.lists(st.integers(0, 9), min_size=3, max_size=5).filter(lambda w: sum(v > 0 for v in w) > 1)
shares = weights.map(lambda w: np.array(w, dtype=float) / sum(w))
positive = st.lists(st.integers(1, 9), min_size=3, max_size=5).map(
    lambda w: np.array(w, dtype=float) / sum(w)
)


@st.composite
def boxes(draw: st.DrawFn) -> ShareBox:
    """A box about a distribution."""
    middle = draw(shares)
    k = len(middle)
    low = np.array(draw(st.lists(st.sampled_from([0.0, 0.02, 0.1]), min_size=k, max_size=k)))
    high = np.array(draw(st.lists(st.sampled_from([0.0, 0.02, 0.2]), min_size=k, max_size=k)))
    return ShareBox(np.maximum(middle - low, 0), np.minimum(middle + high, 1))


def largest(box: ShareBox, values: Vector) -> float:
    """The largest expectation of ``values`` over all distributions of the box: fill up the best classes."""
    shares, left = box.low.copy(), 1 - box.low.sum()
    for i in np.argsort(-values):
        taken = min(left, box.high[i] - box.low[i])
        shares[i] += taken
        left -= taken
    return float(shares @ values)


@given(boxes(), shares)
def test_no_bet_on_a_projection_wins_on_average_anywhere_in_the_box(box: ShareBox, other: Vector) -> None:
    p = np.resize(other, len(box.low))
    p = p / p.sum()
    r = box.project(p)
    assert r.sum() == pytest.approx(1)
    assert box.holds(r)
    ratio = np.divide(p, r, out=np.zeros_like(p), where=r > 0)  # what never comes has no part in a mean
    assert largest(box, np.where(box.high > 0, ratio, 0)) <= 1 + 1e-9
    if box.holds(p):
        assert ratio[p > 0] == pytest.approx(1)


@given(boxes())
def test_projecting_many_is_projecting_each(box: ShareBox) -> None:
    rows = np.random.default_rng(0).dirichlet(np.ones(len(box.low)), size=5)
    assert box.project(rows) == pytest.approx(np.array([box.project(row) for row in rows]))


@settings(max_examples=20, deadline=None)
@given(positive.filter(lambda q: len(q) <= 4), st.integers(1, 4), st.booleans())
def test_the_expectation_is_one_at_every_moment(target: Vector, length: int, only_later: bool) -> None:
    """Over all streams of a length, each with its probability."""
    k = len(target)
    streams = np.array(list(itertools.product(range(k), repeat=length)))
    plan = Plan(learning=0.0, from_start=0.0) if only_later else Plan()
    test = EProcess(ShareBox.point(target), streams=len(streams), plan=plan)
    for t in range(length):
        test.update(streams[:, t])
    assert target[streams].prod(axis=1) @ test.values == pytest.approx(1)


@settings(max_examples=20, deadline=None)
@given(boxes().filter(lambda b: len(b.low) <= 4), st.integers(0, 99))
@example(ShareBox(np.array([0.6, 0.38, 0.0]), np.array([0.62, 0.4, 0.2])), 0)
def test_the_expectation_is_at_most_one_all_over_the_box(box: ShareBox, seed: int) -> None:
    k, length = len(box.low), 3
    streams = np.array(list(itertools.product(range(k), repeat=length)))
    test = EProcess(box, streams=len(streams))
    for t in range(length):
        test.update(streams[:, t])
    truth = box.project(np.random.default_rng(seed).dirichlet(np.ones(k)))
    truth = truth / truth.sum()
    assert truth[streams].prod(axis=1) @ test.values <= 1 + 1e-9


def test_the_change_process_has_expectation_one_whatever_the_shares() -> None:
    rng = np.random.default_rng(5)
    for truth in (np.array([0.6, 0.3, 0.1]), np.array([0.05, 0.05, 0.9])):
        test = ChangeProcess(np.full(3, 1 / 3), 3, streams=20_000)
        for _ in range(8):
            test.update(rng.choice(3, size=20_000, p=truth), rng.random(20_000))
        assert test.values.mean() == pytest.approx(1, abs=4 * test.values.std() / np.sqrt(20_000))


def test_ranks_are_uniform_before_a_change() -> None:
    """Each picture's rank falls into the bins with their widths, whatever the stream's shares."""
    rng, seen = np.random.default_rng(6), []
    test = ChangeProcess(np.array([0.2, 0.3, 0.5]), 3, streams=4_000)
    for _ in range(6):
        before = test._test.counts.copy()
        test.update(rng.choice(3, size=4_000, p=[0.7, 0.2, 0.1]), rng.random(4_000))
        seen.append((test._test.counts - before).mean(axis=0))
    assert np.mean(seen, axis=0) == pytest.approx([0.2, 0.3, 0.5], abs=0.015)


@pytest.mark.parametrize("reader", [False, True])
def test_a_stream_that_leaves_its_target_is_found(reader: bool) -> None:
    target = np.full(6, 1 / 6)
    box = ShareBox(target - 0.03, target + 0.03) if reader else ShareBox.point(target)
    off = np.array([0.35, 0.25, 0.15, 0.1, 0.1, 0.05])
    rng = np.random.default_rng(7)
    test = EProcess(box, streams=200)
    for _ in range(300):
        on = test.update(rng.choice(6, size=200, p=target))
    assert (on >= 20).mean() <= 0.05
    late = EProcess(box, streams=200)
    for t in range(600):
        late.update(rng.choice(6, size=200, p=target if t < 300 else off))
    assert (late.values >= 20).mean() > 0.95


def test_a_class_that_is_declared_never_to_come_is_evidence_at_once() -> None:
    test = EProcess(ShareBox.point(np.array([0.5, 0.5, 0.0])))
    assert test.update(np.array([0]))[0] < 3
    assert test.update(np.array([2]))[0] > 1e6


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(0, 40))
def test_a_state_put_back_goes_on_to_the_same_bit(stream: list[int], cut: int) -> None:
    target = np.array([0.4, 0.3, 0.2, 0.1])

    def pair() -> tuple[EProcess, ChangeProcess]:
        return EProcess(ShareBox.point(target)), ChangeProcess(change_bins(target), 4)

    whole, first = pair(), pair()
    for number, seen in enumerate(stream):
        if number == cut:
            states = [part.state() for part in first]
            first = pair()
            first[0].restore(states[0])
            first[1].restore(states[1])
        tie = np.array([tie_breaker("a", number)])
        for one in (whole, first):
            one[0].update(np.array([seen]))
            one[1].update(np.array([seen]), tie)
    assert [part.state() for part in whole] == [part.state() for part in first]


def test_a_state_of_another_process_is_refused() -> None:
    state = EProcess(ShareBox.point(np.full(3, 1 / 3))).state()
    with pytest.raises(ValueError, match="other classes"):
        EProcess(ShareBox.point(np.full(4, 1 / 4))).restore(state)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=9, max_size=9), min_size=1, max_size=4))
def test_streams_side_by_side_are_each_as_alone(streams: list[list[int]]) -> None:
    target = np.array([0.5, 0.3, 0.2])
    together = EProcess(ShareBox.point(target), streams=len(streams))
    for t in range(9):
        together.update(np.array([s[t] for s in streams]))
    for row, stream in enumerate(streams):
        alone = EProcess(ShareBox.point(target))
        for seen in stream:
            alone.update(np.array([seen]))
        assert alone.values[0] == pytest.approx(together.values[row])
    keep = np.arange(len(streams)) == 0
    first = together.values[0]
    together.keep(keep)
    assert together.values == pytest.approx([first])


def test_evidence_that_grows_for_ever_stays_finite() -> None:
    test = EProcess(ShareBox.point(np.array([0.5, 0.5])))
    for _ in range(3_000):
        value = test.update(np.array([0]))
    assert 1e100 < value[0] < np.inf


@given(positive)
def test_alternatives_are_distributions_with_weights(target: Vector) -> None:
    ways, prior = alternatives(target)
    assert ways.sum(axis=1) == pytest.approx(1)
    assert (ways >= 0).all()
    assert prior.sum() == pytest.approx(1)


@given(st.lists(st.integers(0, 400), min_size=2, max_size=6).filter(any))
def test_the_sequence_of_intervals_is_where_the_martingale_is_below_its_line(counts: list[int]) -> None:
    named = {f"c{i}": n for i, n in enumerate(counts)}
    n, line = float(sum(counts)), np.log(len(counts) / 0.05)
    for x, (low, high) in zip(counts, share_sequence(named).values(), strict=True):
        assert low <= x / n <= high
        for edge in (low, high):
            value = float(log_excess(np.array(float(x)), n, np.array(edge)))
            assert value == pytest.approx(line, abs=1e-6) if 0 < edge < 1 else value < line


def test_the_sequence_is_wider_than_an_interval_of_one_moment_and_narrows() -> None:
    widths = []
    for n in (20, 200, 2_000):
        low, high = share_sequence({"a": n // 4, "b": n - n // 4})["a"]
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]
    assert share_sequence({"a": 0, "b": 0}) == {"a": (0.0, 1.0), "b": (0.0, 1.0)}
    with pytest.raises(ValueError, match="level"):
        share_sequence({"a": 1}, level=1.0)


def test_the_martingale_of_a_share_has_expectation_one() -> None:
    n, share = 12, 0.3
    streams = np.array(list(itertools.product((0, 1), repeat=n)))
    x = streams.sum(axis=1).astype(float)
    chance = share**x * (1 - share) ** (n - x)
    assert chance @ np.exp(log_excess(x, float(n), np.array(share))) == pytest.approx(1)


def faces(errors: Vector, n: int) -> Vector:
    """Counts of a validation with n faces of each class."""
    return np.asarray(errors * n, dtype=np.float64)


def test_the_readers_errors_become_a_box_about_what_it_reads() -> None:
    target = np.array([0.5, 0.3, 0.2])
    errors = np.array([[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7]])
    box, wide = (reading_box(target, [faces(errors, n)]) for n in (10_000, 40))
    assert box.holds(target @ errors)
    assert (box.high - box.low).max() < 0.03
    assert ((wide.high - wide.low) > (box.high - box.low)).all()
    both = reading_box(target, [faces(errors, 10_000), faces(np.eye(3), 10_000)])
    assert both.holds(target @ errors)
    assert both.holds(target)
    unseen = reading_box(target, [faces(np.diag([1.0, 1.0, 0.0]), 10_000)])
    assert unseen.high[0] > 0.6  # nobody knows what the third class is read as
    bad: list[Vector]
    for bad in ([], [np.ones((2, 2))], [faces(errors, -1)]):
        with pytest.raises(ValueError, match="validation"):
            reading_box(target, bad)


def test_the_box_holds_what_a_reader_truly_does_as_often_as_it_says() -> None:
    rng, target = np.random.default_rng(8), np.array([0.5, 0.3, 0.2])
    errors = np.array([[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7]])
    held = [
        reading_box(target, [rng.multinomial(60, errors).astype(float)], level=0.95, draws=2_000).holds(
            target @ errors
        )
        for _ in range(150)
    ]
    assert np.mean(held) > 0.9


@given(boxes(), st.integers(0, 99))
def test_no_distribution_of_the_box_is_farther_than_the_farthest(box: ShareBox, seed: int) -> None:
    rng = np.random.default_rng(seed)
    middle = rng.dirichlet(np.ones(len(box.low)))
    inside = box.project(rng.dirichlet(np.full(len(box.low), 0.3), size=20))
    found = 0.5 * np.abs(inside - middle).sum(axis=1)
    assert found.max() <= box.farthest(middle) + 1e-9
    point = ShareBox.point(middle)
    assert point.farthest(middle) == pytest.approx(0)
    assert point.farthest(np.eye(len(middle))[0]) == pytest.approx(1 - middle[0])


def test_bounds_that_no_shares_fit_are_refused() -> None:
    for low, high in (([0.6, 0.6], [1, 1]), ([0, 0], [0.2, 0.3]), ([0.5, 0.2], [0.4, 1]), ([0, 0], [1.2, 1])):
        with pytest.raises(ValueError, match="shares"):
            ShareBox(np.array(low, float), np.array(high, float))
