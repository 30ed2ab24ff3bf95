"""Scales: borders, order, probabilities."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skin_tone import SCALES, Scale
from skin_tone.colour import hex_to_lab, ita

angles = st.floats(-180, 180)
sigmas = st.floats(0, 60)
names = st.sampled_from(sorted(SCALES))


@pytest.mark.parametrize(
    ("angle", "name"),
    [
        (90, "very_light"), (55.001, "very_light"), (55, "light"), (41.001, "light"), (41, "intermediate"),
        (28, "tan"), (10, "brown"), (-29.999, "brown"), (-30, "dark"), (-90, "dark"),
    ],
)  # fmt: skip
def test_ita6_has_chardons_borders(angle: float, name: str) -> None:
    assert SCALES["ita6"].classify(angle) == name


@given(angles)
def test_lmd3_pairs_ita6(angle: float) -> None:
    six, three = SCALES["ita6"], SCALES["lmd3"]
    assert three.classes.index(three.classify(angle)) == six.classes.index(six.classify(angle)) // 2


@given(angles, sigmas)
def test_lmd3_probabilities_pair_ita6s(angle: float, sigma: float) -> None:
    six = list(SCALES["ita6"].probabilities(angle, sigma).values())
    three = list(SCALES["lmd3"].probabilities(angle, sigma).values())
    assert three == pytest.approx([six[0] + six[1], six[2] + six[3], six[4] + six[5]], abs=1e-12)


def test_the_contract_of_names() -> None:
    assert SCALES["ita6"].classes == ("very_light", "light", "intermediate", "tan", "brown", "dark")
    assert SCALES["lmd3"].classes == ("light", "medium", "dark")
    assert SCALES["monk10"].classes == tuple(f"monk_{k}" for k in range(1, 11))
    assert all(key == scale.name for key, scale in SCALES.items())


@pytest.mark.parametrize("scale", SCALES.values(), ids=lambda scale: scale.name)
def test_a_swatch_is_in_its_own_class(scale: Scale) -> None:
    for name, swatch in scale.swatches.items():
        assert scale.classify(ita(hex_to_lab(swatch))) == name


def test_monk_swatches_as_published() -> None:
    published = "#f6ede4 #f3e7db #f7ead0 #eadaba #d7bd96 #a07e56 #825c43 #604134 #3a312a #292420"
    assert " ".join(SCALES["monk10"].swatches.values()) == published


@given(names, angles, angles)
def test_a_lighter_angle_is_never_a_darker_class(name: str, one: float, other: float) -> None:
    scale = SCALES[name]
    lighter, darker = max(one, other), min(one, other)
    assert scale.classes.index(scale.classify(lighter)) <= scale.classes.index(scale.classify(darker))


@given(names, angles, sigmas)
def test_probabilities_sum_to_one(name: str, angle: float, sigma: float) -> None:
    shares = SCALES[name].probabilities(angle, sigma)
    assert tuple(shares) == SCALES[name].classes
    assert math.fsum(shares.values()) == pytest.approx(1.0, abs=1e-9)
    assert all(0.0 <= share <= 1.0 for share in shares.values())


@given(names, angles, angles, st.floats(0.5, 60))
def test_lighter_angles_shift_probability_to_lighter_classes(
    name: str, one: float, other: float, sigma: float
) -> None:
    scale = SCALES[name]
    light = list(scale.probabilities(max(one, other), sigma).values())
    dark = list(scale.probabilities(min(one, other), sigma).values())
    for k in range(len(light)):  # first-order stochastic dominance
        assert sum(light[:k]) >= sum(dark[:k]) - 1e-9


@given(names, angles)
def test_without_error_the_class_is_certain(name: str, angle: float) -> None:
    scale = SCALES[name]
    assert scale.probabilities(angle, 0.0)[scale.classify(angle)] == 1.0


def test_on_a_border_the_two_neighbours_are_as_likely() -> None:
    shares = SCALES["ita6"].probabilities(41.0, 4.0)
    assert shares["light"] == pytest.approx(shares["intermediate"], abs=1e-3)


@pytest.mark.parametrize("angle", [math.nan, math.inf])
def test_an_angle_must_be_finite(angle: float) -> None:
    with pytest.raises(ValueError, match="finite angle"):
        SCALES["ita6"].classify(angle)
    with pytest.raises(ValueError, match="finite angle"):
        SCALES["ita6"].probabilities(angle, 5.0)


@pytest.mark.parametrize("sigma", [-1.0, math.nan, math.inf])
def test_sigma_must_be_a_number_of_degrees(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma"):
        SCALES["ita6"].probabilities(20.0, sigma)


def test_a_scale_checks_itself() -> None:
    names, swatches = {"a": "A", "b": "B"}, {"a": "#ffffff", "b": "#000000"}
    with pytest.raises(ValueError, match="1 borders"):
        Scale("s", ("a", "b"), names, swatches, (1.0, 0.0), "")
    with pytest.raises(ValueError, match="fall strictly"):
        Scale("s", ("a", "b", "c"), {**names, "c": "C"}, {**swatches, "c": "#000000"}, (0.0, 1.0), "")
    with pytest.raises(ValueError, match="every class"):
        Scale("s", ("a", "b"), {"a": "A"}, swatches, (1.0,), "")
