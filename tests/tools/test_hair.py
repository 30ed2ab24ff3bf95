"""Hair of the rendered portraits, grown on a ball in place of a head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.portraits.captions import vocabulary_corpus
from tools.portraits.hair import STYLES, Roots, grow
from tools.portraits.heads import BODY, Heads

BROWN = np.array([0.05, 0.03, 0.02])
CENTRE, HALF = np.array([0.0, 7.55, 0.56]), np.array([0.8, 0.97, 1.02])


@pytest.fixture(scope="module")
def ball() -> Heads:
    """A skull without a face, as a grid of 24 x 48 points."""
    height, turn = np.meshgrid(np.linspace(0.05, np.pi - 0.05, 24), np.linspace(0, 2 * np.pi, 49)[:-1])
    rest = np.stack(
        [np.sin(height) * np.sin(turn), np.cos(height), np.sin(height) * np.cos(turn)], -1
    ).reshape(-1, 3)
    points = (rest * HALF + CENTRE).astype(np.float32)
    i = np.arange(48 * 24).reshape(48, 24)
    a, b, c, d = i[:, :-1], np.roll(i, -1, 0)[:, :-1], i[:, 1:], np.roll(i, -1, 0)[:, 1:]
    triangles = np.concatenate([np.stack([a, c, b], -1), np.stack([b, c, d], -1)]).reshape(-1, 3)
    corners = np.stack([np.arange(len(points)), np.zeros(len(points), int), np.full(len(points), BODY)], 1)
    uv = np.zeros((len(points), 2), np.float32)
    return Heads(points, triangles, corners, triangles, uv, {}, Path())


@given(name=st.sampled_from(sorted(STYLES)), seed=st.integers(0, 1000))
def test_hair_grows_out_of_the_scalp_and_stays_out_of_the_face(ball: Heads, name: str, seed: int) -> None:
    style = STYLES[name]
    hair = grow(ball, Roots.of(ball), ball.rest, style, BROWN, np.random.default_rng(seed), fitted=np.eye(4))
    if style.count == 0:
        assert hair is None
        return
    assert hair is not None
    rows, triangles = hair
    assert np.isfinite(rows).all()
    assert triangles.min() == 0
    assert triangles.max() == len(rows) - 1
    inside = np.linalg.norm((rows[:, :3] - CENTRE) / HALF, axis=1) < 0.9
    above = rows[:, 1] > CENTRE[1]
    assert (inside & above).mean() < 0.02
    eyes = (np.abs(rows[:, 0]) < 0.5) & (rows[:, 1] > 6.9) & (rows[:, 1] < 7.4) & (rows[:, 2] > 1.3)
    assert eyes.mean() < 0.02
    assert np.all(rows[:, 9] < 0)  # what tells the shader that this is hair


def test_under_a_hat_nothing_grows_above_its_rim(ball: Heads) -> None:
    rim = 7.9
    hair = grow(
        ball,
        Roots.of(ball),
        ball.rest,
        STYLES["crop"],
        BROWN,
        np.random.default_rng(0),
        fitted=np.eye(4),
        rim=rim,
    )
    assert hair is not None
    assert hair[0][:, 1].max() < rim + 0.2


def test_captions_know_every_style() -> None:
    words = set(vocabulary_corpus())
    assert {style.word for style in STYLES.values()} <= words
