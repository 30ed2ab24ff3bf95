"""What an observer names: the scale, the committee, its way back to the plain reading, its bounds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import data

from skin_tone import observer
from skin_tone.appearance import NAMES, describe
from skin_tone.colour import ita
from skin_tone.faces import FaceFinder
from skin_tone.familiarity import renders
from skin_tone.observer import (
    ANGLES,
    TONES,
    angle_of,
    degrees_per_class,
    evened,
    fitted,
    lab_of,
    plain_tone,
    tone_of,
)
from skin_tone.scales import SCALES
from skin_tone.selftest import faces
from skin_tone.upright import lay_upright

Floats = NDArray[np.float64]


def _face(lightness: float, a: float, b: float) -> Floats:
    """The numbers of an evenly coloured face."""
    values = dict.fromkeys(NAMES, 0.0)
    for name in NAMES:
        if name.endswith("_L"):
            values[name] = lightness
        elif name.endswith("_a"):
            values[name] = a
        elif name.endswith("_b"):
            values[name] = b
    for name in ("spread_L", "spread_a", "spread_b"):
        values[name] = 3.0
    values["L_goes_with_a"] = values["L_goes_with_b"] = 0.0
    values["chroma"], values["hue"] = float(np.hypot(a, b)), float(np.degrees(np.arctan2(b, a)))
    return np.array([values[name] for name in NAMES])


def test_the_raters_swatches_are_the_classes() -> None:
    """Whole tones are the six swatches of ita6, so each lies in its class."""
    for number, name in enumerate(SCALES["ita6"].classes, start=1):
        assert SCALES["ita6"].classify(angle_of(number)) == name


@given(st.floats(TONES[0], TONES[-1]))
def test_tone_and_angle_go_back_and_forth(tone: float) -> None:
    assert float(tone_of(angle_of(tone))) == pytest.approx(tone, abs=1e-9)
    assert degrees_per_class(tone) > 10


@given(
    st.floats(ANGLES[-1], ANGLES[0]),
    st.tuples(st.floats(5, 98), st.floats(-5, 35), st.floats(-15, 60)),
)
def test_a_colour_has_the_angle_and_possible_lightness(
    angle: float, seen: tuple[float, float, float]
) -> None:
    lab = lab_of(angle, seen)
    assert ita(lab) == pytest.approx(angle, abs=0.01)
    assert 14.9 <= lab[0] <= 88.1
    assert lab[1] == seen[1]


@pytest.fixture(scope="module")
def portrait() -> Floats:
    """The numbers of a woman in a space suit (NASA, public domain)."""
    rgb = np.asarray(data.astronaut(), dtype=np.uint8)  # type: ignore[no-untyped-call]
    with FaceFinder(1) as finder:
        described = describe(lay_upright(rgb, finder.find(rgb)[0].landmarks))
    assert described is not None
    return described


def test_a_face_unlike_all_rated_ones_gets_the_plain_reading_and_a_wide_interval(portrait: Floats) -> None:
    odd = _face(60.0, -90.0, 90.0)
    far, near = fitted().judge(odd), fitted().judge(portrait)
    assert far.nearness < 0.01 < 0.3 < near.nearness
    assert far.tone == pytest.approx(float(plain_tone(odd)) + fitted()._level, abs=0.05)
    assert far.sigma > 2 * near.sigma > 0


@given(
    lab=st.tuples(st.floats(20, 80), st.floats(0, 25), st.floats(5, 35)),
    light=st.floats(0.5, 1.6),
    share=st.floats(0, 1),
)
def test_evening_takes_exposure_out(lab: tuple[float, float, float], light: float, share: float) -> None:
    """More light multiplies L* + 16, a* and b* by its cube root; that factor's power ``share`` is undone."""
    lightness, a, b = lab
    factor = light ** (1 / 3)
    here, there = _face(lightness, a, b), _face((lightness + 16) * factor - 16, a * factor, b * factor)
    there[[NAMES.index(name) for name in ("spread_L", "spread_a", "spread_b")]] *= factor
    np.testing.assert_allclose(evened(here, 0.0), here)
    np.testing.assert_allclose(evened(there, 1.0), evened(here, 1.0), atol=1e-9)
    left = evened(np.stack([here, there]), share)
    column = NAMES.index("cheeks_b")
    assert left[1, column] / left[0, column] == pytest.approx(factor ** (1 - share))


def test_a_photograph_half_a_stop_darker_or_lighter_is_named_alike(portrait: Floats) -> None:
    """Less than half of what the plain reading moves."""
    middle = portrait[[NAMES.index(f"part_{k}_L") for k in (2, 3, 4, 5)]].mean()
    named, plain = [], []
    for stops in (-0.5, 0.0, 0.5):
        # Evened twice, towards the middle that this much light would give: exposure and nothing else.
        wanted = (middle + 16) * 2 ** (stops / 3)
        share = float(np.log(wanted / (middle + 16)) / np.log(75.0 / (middle + 16)))
        numbers = evened(portrait, share)
        named.append(fitted().judge(numbers).tone)
        plain.append(float(plain_tone(numbers)))
    assert max(named) - min(named) < 0.5 * (max(plain) - min(plain))


def test_gloss_is_not_read_as_lighter_skin(portrait: Floats) -> None:
    """The lighter half lit up and paler: the mean of the patches changes by far more than what is named."""
    glossy = portrait.copy()
    for k in range(4, 8):
        glossy[NAMES.index(f"part_{k}_L")] += 3.0 * (k - 3)
        glossy[NAMES.index(f"part_{k}_a")] *= 1 - 0.08 * (k - 3)
        glossy[NAMES.index(f"part_{k}_b")] *= 1 - 0.08 * (k - 3)
    for part in ("cheeks", "forehead", "nose_bridge", "band_0", "band_2"):
        glossy[NAMES.index(f"{part}_L")] += 8.0
    named = [fitted().judge(numbers).tone for numbers in (portrait, glossy)]
    cheeks = [NAMES.index("cheeks_L"), NAMES.index("cheeks_b")]
    patches = [tone_of(ita((numbers[cheeks[0]], 0, numbers[cheeks[1]]))) for numbers in (portrait, glossy)]
    assert abs(named[1] - named[0]) < abs(patches[1] - patches[0])


def test_a_judgement_does_not_depend_on_the_order_of_calls(portrait: Floats) -> None:
    one, other = portrait, _face(45, 14, 18)
    first = fitted().judge(one)
    fitted().judge(other)
    assert fitted().judge(one) == first


def test_renders_look_like_renders_and_a_photograph_does_not(portrait: Floats) -> None:
    pictures, _ = faces()
    likeness = []
    with FaceFinder(1) as finder:
        for picture in pictures:
            numbers = describe(lay_upright(picture, finder.find(picture)[0].landmarks))
            assert numbers is not None
            likeness.append(renders().likeness(numbers))
    assert np.mean(np.array(likeness) == 1) > 0.9
    assert renders().likeness(portrait) == 0


def test_familiarity_falls_evenly() -> None:
    known = renders()
    direction = np.random.default_rng(0).normal(0, 1, len(NAMES))
    steps = [known.likeness(known.centre + k * direction) for k in np.linspace(0, 40, 400)]
    assert steps[0] == 1.0
    assert all(later <= earlier for earlier, later in pairwise(steps[: steps.index(0.0)]))
    assert steps[-1] == 0.0
    assert any(0 < step < 1 for step in steps)


def test_the_committee_has_members_of_both_kinds() -> None:
    """All look at skin; some at brows and mouth, too. None looks at a patch that a frame or a beard takes."""
    columns = {tuple(NAMES[k] for k in member.columns) for member in fitted()._members}
    skin, everything = sorted(columns, key=len)
    features = {"brow_L", "brows_darker", *(f"{part}_{c}" for part in ("lips", "mouth") for c in "Lab")}
    assert set(everything) - set(skin) == features
    assert not any(name.startswith(("forehead", "chin")) for name in everything)
    assert observer.fitted() is fitted()
