"""Quotas, the deficit controller and the keep rule, against properties and the design's reference figures."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from fairgen.loop.controller import (
    Ask,
    Controller,
    ResponseModel,
    is_open,
    nearest_open,
    next_tone,
    open_classes,
)
from fairgen.quota import allocate, draw, quota
from skin_tone.scales import SCALES

ITA6 = ("very_light", "light", "intermediate", "tan", "brown", "dark")


@st.composite
def targets(draw_from: st.DrawFn) -> dict[str, float]:
    weights = draw_from(st.lists(st.integers(0, 50), min_size=1, max_size=10).filter(any))
    return {f"c{i}": w / sum(weights) for i, w in enumerate(weights)}


@given(targets(), st.integers(0, 1000), st.integers(-5, 50))
def test_quota_sums_and_stays_within_one_of_the_share(target: dict[str, float], n: int, turn: int) -> None:
    counts = quota(target, n, turn=turn)
    assert list(counts) == list(target)
    assert sum(counts.values()) == n
    for name, share in target.items():
        assert abs(counts[name] - n * share) < 1
        assert share > 0 or counts[name] == 0


def test_quota_serves_ties_in_order_and_the_turn_moves_the_start() -> None:
    uniform = dict.fromkeys(ITA6, 1 / 6)
    assert list(quota(uniform, 8).values()) == [2, 2, 1, 1, 1, 1]
    assert list(quota(uniform, 8, turn=5).values()) == [2, 1, 1, 1, 1, 2]
    total = np.sum([list(quota(uniform, 8, turn=t).values()) for t in range(6)], axis=0)
    assert total.tolist() == [8] * 6  # over six prompts nobody is favoured


@given(targets(), st.integers(0, 60), st.integers(-5, 50), st.integers(0, 2**63))
def test_a_drawn_quota_stays_within_one_of_the_share_too(
    target: dict[str, float], n: int, turn: int, seed: int
) -> None:
    counts = quota(target, n, turn=turn, seed=seed)
    assert counts == quota(target, n, turn=turn, seed=seed)
    assert (list(counts), sum(counts.values())) == (list(target), n)
    if n > 1:  # the draw chooses among ties alone: none of its sets is further from the target than another
        plain = quota(target, n)
        assert sorted(round(counts[c] - n * target[c], 6) for c in target) == sorted(
            round(plain[c] - n * target[c], 6) for c in target
        )
    for name, share in target.items():
        assert abs(counts[name] - n * share) < 1
        assert share > 0 or counts[name] == 0


@pytest.mark.parametrize("scale", list(SCALES))
def test_over_600_seeds_each_class_gets_the_odd_pictures_equally_often(scale: str) -> None:
    names = SCALES[scale].classes
    even = dict.fromkeys(names, 1 / len(names))
    for n in [n for n in range(1, 3 * len(names)) if n % len(names)]:
        drawn = [allocate(even, n, seed=seed) for seed in range(600)]
        odd = np.sum([[plan[name] - n // len(names) for name in names] for plan in drawn], axis=0)
        assert odd.sum() == 600 * (n % len(names))
        # Classes of one set exclude each other, so this is stricter than 600 independent draws.
        assert chisquare(odd).pvalue > 0.001, (n, odd)


def test_one_picture_is_drawn_from_the_target() -> None:
    target = {"a": 0.5, "b": 0.3, "c": 0.0, "d": 0.2}
    seen = np.sum([list(allocate(target, 1, seed=seed).values()) for seed in range(600)], axis=0)
    assert seen[2] == 0
    assert chisquare(seen[[0, 1, 3]], [300, 180, 120]).pvalue > 0.001
    turns = np.sum([list(allocate(target, 1, turn=turn).values()) for turn in range(60)], axis=0)
    assert np.abs(turns - [30, 18, 0, 12]).max() <= 2  # an audit's prompts share the target out closely


def test_odd_pictures_lie_along_the_whole_scale_and_prompts_take_turns() -> None:
    even = {str(i): 0.1 for i in range(10)}
    for seed in range(20):
        chosen = [int(name) for name, count in quota(even, 4, seed=seed).items() if count]
        gaps = np.diff([*chosen, chosen[0] + 10])
        assert set(gaps) <= {2, 3}
        total = np.sum([list(quota(even, 4, turn=t, seed=seed).values()) for t in range(10)], axis=0)
        assert total.tolist() == [4] * 10


def test_quota_does_not_hang_on_the_last_digit_of_a_share() -> None:
    assert quota({"a": 0.29, "b": 0.71}, 100) == {"a": 29, "b": 71}  # 0.29 * 100 is 28.999999999999996
    assert quota({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, 3) == {"a": 1, "b": 1, "c": 1}
    nudged = {"a": 0.5 + 4e-7, "b": 0.5 + 4e-7}  # a spec allows a sum 1e-6 off
    assert quota(nudged, 10_000_000) == {"a": 5_000_000, "b": 5_000_000}


@pytest.mark.parametrize(
    ("target", "n"),
    [
        ({"a": 0.6, "b": 0.6}, 3),
        ({"a": 1.5, "b": -0.5}, 3),
        ({}, 3),
        ({"a": float("nan")}, 3),
        ({"a": 1.0}, -1),
    ],
)
def test_quota_refuses_what_is_no_distribution(target: dict[str, float], n: int) -> None:
    with pytest.raises(ValueError, match=r"shares of a target|number of pictures"):
        quota(target, n)


@given(targets(), st.integers(0, 300), st.integers(0, 2**32))
def test_draw_sums_repeats_and_respects_zero_shares(target: dict[str, float], n: int, seed: int) -> None:
    counts = draw(target, n, seed)
    assert sum(counts.values()) == n
    assert counts == draw(target, n, seed) == allocate(target, n, "expected", seed=seed)
    assert all(counts[name] == 0 for name, share in target.items() if share == 0)


def test_expected_allocation_varies_around_the_target_and_exact_does_not() -> None:
    target = {"a": 0.2, "b": 0.8}
    drawn = [allocate(target, 20, "expected", seed=s)["a"] for s in range(400)]
    assert np.mean(drawn) == pytest.approx(4, abs=0.3)
    assert np.std(drawn) == pytest.approx((20 * 0.2 * 0.8) ** 0.5, abs=0.25)
    assert {allocate(target, 20, "exact", seed=s)["a"] for s in range(9)} == {4}
    with pytest.raises(ValueError, match="allocation"):
        allocate(target, 20, "sometimes")  # type: ignore[arg-type]


def test_next_tone_is_the_largest_deficit_with_requests_in_flight_taken_off() -> None:
    wanted = {"a": 3, "b": 3, "c": 3}
    assert next_tone(wanted, {}) == "a"
    assert next_tone(wanted, {"a": 1}) == "b"
    assert next_tone(wanted, {"a": 1}, {"b": 2}) == "c"
    assert next_tone(wanted, {"a": 3, "b": 3}, {"c": 9}) == "c"  # all covered, but only c is open
    with pytest.raises(ValueError, match="full"):
        next_tone(wanted, wanted)


def test_next_tone_asks_for_what_comes_out_as_the_missing_class() -> None:
    learnt = ResponseModel(("a", "b", "c"))
    for asked, came in (("a", "a"), ("b", "a"), ("c", "b")):  # every request comes out one class lighter
        for _ in range(200):
            learnt.observe(asked, came)
    assert next_tone({"a": 2, "b": 2, "c": 2}, {"a": 2, "c": 2}, response=learnt) == "c"


@given(
    st.lists(st.integers(0, 4), min_size=6, max_size=6), st.lists(st.integers(0, 6), min_size=6, max_size=6)
)
def test_open_classes_and_the_nearest_of_them(wanted: list[int], have: list[int]) -> None:
    goal, kept = dict(zip(ITA6, wanted, strict=True)), dict(zip(ITA6, have, strict=True))
    still_open = open_classes(goal, kept)
    for measured in ITA6:
        near = nearest_open(goal, kept, measured)
        assert (near is None) == (not still_open)
        if is_open(goal, kept, measured):
            assert near == measured
        if near is not None:
            distance = abs(ITA6.index(near) - ITA6.index(measured))
            assert distance == min(abs(ITA6.index(name) - ITA6.index(measured)) for name in still_open)


def test_response_model_starts_at_its_prior_and_follows_what_it_sees() -> None:
    model = ResponseModel(("a", "b", "c"))
    assert model.matrix() == pytest.approx(np.array([[0.85, 0.15, 0], [0.15, 0.7, 0.15], [0, 0.15, 0.85]]))
    for _ in range(6):
        model.observe("a", "c")
    assert model.matrix()[0] == pytest.approx([0.425, 0.075, 0.5])


@given(
    st.lists(st.integers(0, 5), min_size=6, max_size=6),
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)
def test_controller_always_ends_with_the_full_set(
    counts: list[int], tries: int, batch: int, seed: int
) -> None:
    """Whatever comes out, abstentions included, the set reaches its size and no count is lost."""
    goal = dict(zip(ITA6, counts, strict=True))
    rng = np.random.default_rng(seed)
    controller = Controller(goal, max_tries=tries)
    slots: dict[int, Ask] = {}
    measured_at: dict[Ask, str | None] = {}
    while asks := controller.ask(batch):
        assert len({ask.slot for ask in asks}) == len(asks) <= batch
        for ask in asks:
            assert ask not in measured_at
            assert 1 <= ask.attempt <= tries
            measured = None if rng.random() < 0.2 else str(rng.choice(ITA6))
            measured_at[ask] = measured
            could_keep = measured is not None and is_open(goal, controller.kept, measured)
            kept = controller.record(ask, measured)
            if could_keep:
                assert kept == ask
            if kept is not None:
                assert kept.slot == ask.slot
                assert kept.slot not in slots
                slots[kept.slot] = kept
    assert controller.done
    assert sorted(slots) == list(range(sum(counts)))
    shown = Counter(measured_at[ask] for ask in slots.values())
    assert shown[None] == controller.abstained
    assert {name: n for name, n in shown.items() if name} == dict(controller.kept)


def test_controller_keeps_the_attempt_nearest_to_what_is_missing() -> None:
    controller = Controller({"a": 1, "b": 0, "c": 0, "d": 0}, max_tries=3)
    for measured in ("d", "b"):
        (ask,) = controller.ask(5)
        assert controller.record(ask, measured) is None
    (ask,) = controller.ask(5)
    kept = controller.record(ask, None)
    assert kept is not None
    assert (kept.attempt, controller.kept) == (2, {"b": 1})
    assert controller.done


def test_controller_refuses_what_it_never_asked_for() -> None:
    controller = Controller({"a": 1, "b": 1})
    (ask,) = controller.ask(1)
    with pytest.raises(ValueError, match="no class"):
        controller.record(ask, "z")
    controller.record(ask, "a")
    with pytest.raises(ValueError, match="not asked for"):
        controller.record(ask, "a")
    with pytest.raises(ValueError, match="max_tries"):
        Controller({"a": 1}, max_tries=0)


def _simulate(classes: int, hit: float, batch: int, tries: int, runs: int) -> tuple[float, float]:
    """Mean total variation and pictures made per slot; a miss lands one class off, or stays on at an end."""
    names = [f"c{i}" for i in range(classes)]
    goal = quota(dict.fromkeys(names, 1 / classes), 30)
    distance, made = [], []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        controller, count = Controller(dict(goal), max_tries=tries), 0
        while asks := controller.ask(batch):
            count += len(asks)
            for ask in asks:
                step = 0 if rng.random() < hit else int(rng.choice((-1, 1)))
                place = min(max(names.index(ask.tone) + step, 0), classes - 1)
                controller.record(ask, names[place])
        distance.append(sum(abs(controller.kept[name] - goal[name]) for name in names) / 60)
        made.append(count / 30)
    return float(np.mean(distance)), float(np.mean(made))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "hit", "batch", "tries", "reference_tv", "reference_cost"),
    [
        (6, 0.7, 1, 1, 0.034, 1.0),
        (6, 0.7, 4, 1, 0.039, 1.0),
        (6, 0.7, 8, 1, 0.050, 1.0),
        (6, 0.7, 1, 4, 0.005, 1.06),
        (6, 0.9, 1, 1, 0.012, 1.0),
        (10, 0.7, 1, 1, 0.062, 1.0),
        (10, 0.7, 1, 4, 0.005, 1.10),
    ],
)
def test_controller_is_as_good_as_the_designs_simulation(
    classes: int, hit: float, batch: int, tries: int, reference_tv: float, reference_cost: float
) -> None:
    runs = 150
    tv, cost = _simulate(classes, hit, batch, tries, runs)
    assert tv <= reference_tv + 2 * 0.025 / runs**0.5  # two standard errors of the mean over these runs
    assert cost <= reference_cost + 0.02


def test_the_simulation_can_fail() -> None:
    """With requests that hit by chance alone, nothing is left of the good figures."""
    tv, _ = _simulate(6, 0.0, 1, 1, 40)
    assert tv > 0.05
