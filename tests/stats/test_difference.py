"""Whether chance explains a difference: p-values hold their level, and see what is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairgen.stats import difference_test

CLASSES = "abcdef"
TARGET = dict.fromkeys(CLASSES, 1 / 6)
_sets = st.lists(st.sampled_from(CLASSES), min_size=2, max_size=20)


@settings(max_examples=30)
@given(first=_sets, second=_sets)
def test_a_p_value_is_one_and_does_not_care_for_order(first: list[str], second: list[str]) -> None:
    p_value = difference_test(first, second, TARGET, draws=199)
    assert 0 < p_value <= 1
    assert difference_test(first, first, TARGET, draws=199) == 1
    assert difference_test(first, sorted(first), TARGET, draws=199) == 1


def test_it_sees_what_is_there() -> None:
    far, near = ["a"] * 20 + ["b"] * 10, list(CLASSES) * 5
    assert difference_test(far, near, TARGET) < 0.001
    assert difference_test(far, near, TARGET, paired=True) < 0.001


def test_small_sets_are_gone_through_exactly() -> None:
    # Of the 20 ways to part these six pictures in two, two separate them as here.
    assert difference_test(["a"] * 3, ["b", "c", "d"], TARGET) == pytest.approx(2 / 20)
    # Twins alone: of 2^3 exchanges, two.
    assert difference_test(["a"] * 3, ["b", "c", "d"], TARGET, paired=True) == pytest.approx(2 / 8)


@pytest.mark.slow
@pytest.mark.parametrize("paired", [False, True])
def test_false_alarms_keep_to_their_level(paired: bool) -> None:
    rng = np.random.default_rng(4)
    alarms = 0
    for _ in range(150):
        first, second = (list(rng.choice(list(CLASSES), 30, p=(0.4, 0.2, 0.1, 0.1, 0.1, 0.1))) for _ in "ab")
        alarms += difference_test(first, second, TARGET, draws=199, paired=paired) <= 0.05
    assert alarms <= 15  # 5 % of 150, and three standard deviations


@pytest.mark.parametrize(
    ("first", "second", "paired"), [([], ["a"], False), (["a"], ["a", "b"], True), (["a"], ["z"], False)]
)
def test_what_cannot_be_tested(first: list[str], second: list[str], paired: bool) -> None:
    with pytest.raises(ValueError, match=r"needed|no classes"):
        difference_test(first, second, TARGET, paired=paired)
