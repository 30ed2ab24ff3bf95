"""Tone words: their order and rotation, what measured tones change, prompts that name a tone already."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairgen.errors import UserError
from fairgen.steering import Steered, Technique, named_tone, technique
from fairgen.steering.prompt_variants import CLASS_WORDS, TONE_WORDS, PromptVariants, with_word
from skin_tone import ToneReading
from skin_tone.scales import SCALES

ITA6 = SCALES["ita6"].classes


def certain(tone: str, scale: str = "ita6") -> ToneReading:
    return ToneReading(probabilities={scale: {name: float(name == tone) for name in SCALES[scale].classes}})


def feed(steering: PromptVariants, word: str, tone: str, times: int = 3) -> None:
    """Tell the technique that pictures with this word showed that class."""
    for _ in range(times):
        steering.observe(Steered(f"x with {word} skin", tone, word), certain(tone, steering.scale))


@pytest.mark.parametrize("scale", CLASS_WORDS)
def test_words_follow_the_scale(scale: str) -> None:
    words = CLASS_WORDS[scale]
    assert tuple(words) == SCALES[scale].classes
    places = [[TONE_WORDS.index(word) for word in own] for own in words.values()]
    assert all(own == sorted(own) for own in places)
    assert places == sorted(places)
    assert {word for own in words.values() for word in own} == set(TONE_WORDS)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a photo of a doctor", "a photo of a doctor with olive skin"),
        (" a photo of a doctor. ", "a photo of a doctor with olive skin"),
        ("a doctor, studio light,", "a doctor, studio light with olive skin"),
    ],
)
def test_the_word_joins_the_prompt(prompt: str, expected: str) -> None:
    assert with_word(prompt, "olive") == expected
    assert expected in PromptVariants("ita6").prompts(prompt)


def test_words_of_a_class_take_turns() -> None:
    steering = PromptVariants("ita6")
    made = steering.steer("a doctor", ["dark", "tan", "dark", "brown", "dark"])
    assert [s.word for s in made] == ["dark", "tan", "very dark", "brown", "dark"]
    assert [s.wanted for s in made] == ["dark", "tan", "dark", "brown", "dark"]
    assert made[2].prompt == "a doctor with very dark skin"


@given(st.lists(st.sampled_from(ITA6), max_size=40), st.integers(0, 40))
def test_steering_depends_on_the_order_alone(wanted: list[str], cut: int) -> None:
    together = PromptVariants("ita6").steer("x", wanted)
    steering = PromptVariants("ita6")
    assert steering.steer("x", wanted[:cut]) + steering.steer("x", wanted[cut:]) == together


def test_a_word_is_not_judged_before_three_readings() -> None:
    steering = PromptVariants("ita6")
    feed(steering, "tan", "brown", times=2)
    assert steering.steer("x", ["tan"])[0].word == "tan"
    feed(steering, "tan", "brown", times=1)
    assert steering.steer("x", ["tan"])[0].word == "olive"


def test_a_miss_tries_the_neighbour_towards_the_wanted_class() -> None:
    too_dark, too_light = PromptVariants("ita6"), PromptVariants("ita6")
    feed(too_dark, "tan", "brown")
    feed(too_light, "tan", "intermediate")
    assert too_dark.steer("x", ["tan"])[0].word == "olive"
    assert too_light.steer("x", ["tan"])[0].word == "brown"


def test_the_measured_word_wins_over_the_table() -> None:
    steering = PromptVariants("ita6")
    feed(steering, "tan", "brown")
    feed(steering, "olive", "tan")
    assert {s.word for s in steering.steer("x", ["tan"] * 4)} == {"olive"}


def test_the_end_of_the_ladder_keeps_the_best_word() -> None:
    steering = PromptVariants("ita6")
    feed(steering, "dark", "brown")
    feed(steering, "very dark", "brown")
    feed(steering, "very fair", "very_light")
    assert {s.word for s in steering.steer("x", ["dark"] * 4)} == {"dark"}, "none gives it: the nearest"
    feed(steering, "dark brown", "brown")
    feed(steering, "very dark", "dark", times=1)
    assert {s.word for s in steering.steer("x", ["dark"] * 4)} == {"very dark"}


def test_words_that_do_equally_well_go_on_taking_turns() -> None:
    steering = PromptVariants("ita6")
    feed(steering, "dark", "dark")
    feed(steering, "very dark", "dark")
    assert Counter(s.word for s in steering.steer("x", ["dark"] * 6)) == {"dark": 3, "very dark": 3}


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("a doctor with dark skin", "dark skin"),
        ("A Dark-Skinned doctor", "Dark-Skinned"),
        ("a nurse, very fair smooth skin", "fair smooth skin"),
        ("portrait, olive complexion", "olive complexion"),
        ("a woman whose skin is deep brown", "skin is deep brown"),
        ("skin tone: tan, a teacher", "skin tone: tan"),
        ("a black woman at a desk", "black woman"),
        ("a white old man", "white old man"),
        ("a swarthy sailor", "swarthy"),
        ("a nurse, Monk 7", "Monk 7"),
        ("a light skin tone", "light skin"),
    ],
)
def test_prompts_that_name_a_tone(prompt: str, named: str) -> None:
    found = named_tone(prompt)
    assert found is not None
    assert found.startswith(named)
    reason = PromptVariants("ita6").stays_off(prompt)
    assert reason is not None
    assert repr(found) in reason


@pytest.mark.parametrize(
    "prompt",
    [
        "a photo of a doctor",
        "a doctor with brown hair",
        "a black cat beside a woman",
        "a woman in a black coat",
        "a man in a tan suit",
        "a skin doctor",
        "a skincare shop, white walls",
        "fair weather, a farmer",
        "a dark street with a cleaner",
        "a Nigerian nurse",
        "skin texture, detailed, olive trees",
        "the monk of 1200",
    ],
)
def test_prompts_that_name_none(prompt: str) -> None:
    assert named_tone(prompt) is None
    assert PromptVariants("ita6").stays_off(prompt) is None


def test_techniques_by_name() -> None:
    assert technique("none", "ita6") is None
    for name in ("auto", "prompt"):
        made = technique(name, "lmd3")
        assert isinstance(made, PromptVariants)
        assert made.scale == "lmd3"
    assert technique("prompt", "ita6") is not technique("prompt", "ita6")
    with pytest.raises(UserError, match="no steering 'colour': use one of auto, none, prompt"):
        technique("colour", "ita6")
    with pytest.raises(UserError, match="no words for the scale 'rgb'"):
        PromptVariants("rgb")


def test_a_technique_needs_its_parts() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Technique()  # type: ignore[abstract]
