"""The developers' tools that render the training set: skin ramp, bias table, captions, tokenizer."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skin_tone.scales import SCALES
from tools.portraits import skin
from tools.portraits.captions import CLOTHES_WORDS, MODEL_MAX_LENGTH, Looks, caption, vocabulary_corpus
from tools.portraits.contexts import ALL_CONTEXTS, CONTEXTS, OTHERS

TONES = st.floats(skin.ITA_MIN, skin.ITA_MAX)


@given(TONES, st.integers(0, 2**32 - 1))
def test_albedo_has_the_wanted_ita(ita: float, seed: int) -> None:
    lightness, a, b = skin.albedo_lab(ita, np.random.default_rng(seed))
    assert np.degrees(np.arctan2(lightness - 50, b)) == pytest.approx(ita, abs=1e-6)
    assert np.hypot(a, b) > 6  # neither chalk nor charcoal


@given(TONES)
def test_linear_and_encoded_are_inverse(ita: float) -> None:
    colour = skin.lab_to_linear(skin.albedo_lab(ita, np.random.default_rng(0)))
    assert np.allclose(skin.linear(skin.encoded(colour)), colour, atol=1e-9)


def test_tone_words_split_the_ramp_in_order() -> None:
    edges = [skin.tone_range(k) for k in range(len(skin.TONE_WORDS))]
    assert edges[0][1] == skin.ITA_MAX
    assert edges[-1][0] == skin.ITA_MIN
    assert all(upper[0] == lower[1] for upper, lower in pairwise(edges))
    assert all(skin.tone_word((low + high) / 2) == k for k, (low, high) in enumerate(edges))


def test_a_word_is_said_of_the_middle_of_its_range() -> None:
    for word in range(len(skin.TONE_WORDS)):
        (low, high), (border, other) = skin.clear_range(word), skin.tone_range(word)
        assert (low == border) == (border == skin.ITA_MIN)
        assert (high == other) == (other == skin.ITA_MAX)
        assert border <= low < high <= other


def test_every_ita6_class_is_made_of_whole_tone_words() -> None:
    borders = {edge for k in range(len(skin.TONE_WORDS)) for edge in skin.tone_range(k)}
    assert {55.0, 41.0, 28.0, 10.0, -30.0} <= borders
    assert len(SCALES["ita6"].classes) == 6


def test_the_bias_table_is_the_audits_list(project_root: Path) -> None:
    text = (project_root / "assets" / "prompts" / "occupations.txt").read_text("utf-8")
    lines = [line.strip() for line in text.splitlines()]
    prompts = [line for line in lines if line and not line.startswith("#")]
    assert len(prompts) == len(CONTEXTS) == 36
    assert [prompt.endswith(c.phrase) for prompt, c in zip(prompts, CONTEXTS, strict=True)] == [True] * 36
    groups = [c.group for c in CONTEXTS]
    assert {g: groups.count(g) for g in set(groups)} == {"high": 10, "middle": 10, "low": 10, "other": 6}


@given(st.sampled_from(CONTEXTS), st.integers(0, 2**32 - 1))
def test_drawn_tones_stay_on_the_ramp(context: object, seed: int) -> None:
    look = next(c for c in CONTEXTS if c is context)
    assert skin.ITA_MIN <= look.draw_ita(np.random.default_rng(seed)) <= skin.ITA_MAX


def test_every_context_is_known_to_the_captions() -> None:
    words = " ".join(vocabulary_corpus())
    assert len(OTHERS) >= 8
    assert {c.phrase for c in OTHERS}.isdisjoint(c.phrase for c in CONTEXTS)
    for context in ALL_CONTEXTS:
        assert context.phrase in words
        assert CLOTHES_WORDS[context.garment] in words


def test_captions_name_only_what_is_there() -> None:
    rng = np.random.default_rng(0)
    looks = Looks(
        "doctor", 3, True, 0.9, 0.5, "black hair", "a white coat", hat=False, glasses=False, beard=False
    )
    seen = {caption(looks, rng) for _ in range(400)}
    assert not any("glasses" in text or "beard" in text or "female" in text for text in seen)
    assert any("tan skin" in text for text in seen)
    assert any("skin" not in text for text in seen)
    assert "a portrait of a doctor" in seen
    assert any("wearing a white coat" in text for text in seen)
    assert not any("hat" in text.split() for text in seen)
    even = Looks(
        "doctor", 3, False, 0.9, 0.5, "black hair", "a white coat", hat=False, glasses=False, beard=False
    )
    silent = sum("skin" not in caption(even, rng) for _ in range(400))
    assert silent < 40  # a caption without a tone word stands for the biased table
    untold = Looks(
        "doctor", None, True, 0.9, 0.5, "black hair", "a white coat", hat=False, glasses=False, beard=False
    )
    assert not any("skin" in caption(untold, rng) for _ in range(200))


def test_captions_are_one_token_a_word(tmp_path: Path) -> None:
    from tools.portraits.text import build_tokenizer

    tokenizer = build_tokenizer(tmp_path)
    longest = (
        "a portrait photo of a young female construction worker with dark brown skin and long hair and "
        "a beard, wearing glasses"
    )
    assert len(tokenizer.tokenize(longest)) == len(longest.replace(",", " ,").split())
    assert len(tokenizer(longest).input_ids) < MODEL_MAX_LENGTH
    assert tokenizer("a portrait of a CEO").input_ids == tokenizer("a Portrait of a ceo").input_ids
