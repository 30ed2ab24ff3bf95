"""The looks that rated faces are given before the observer is fitted on them."""

from __future__ import annotations

import numpy as np
import pytest

from tools.reader.looks import STYLES, another_look

GRID = np.tile(np.array([190, 140, 115], dtype=np.uint8), (40, 32, 1))


def look(style: str, seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return another_look(GRID, STYLES[style], np.random.default_rng(seed))


@pytest.mark.parametrize("style", sorted(STYLES))
def test_a_look_is_a_picture_of_the_same_size_that_its_seed_decides(style: str) -> None:
    made = look(style, 1)
    assert (made.shape, made.dtype) == (GRID.shape, GRID.dtype)
    assert np.array_equal(made, look(style, 1))
    assert not np.array_equal(made, look(style, 2))


def test_dim_looks_are_darker_and_less_even_than_glossy_ones() -> None:
    def over_many(style: str) -> tuple[float, float]:
        made = [look(style, seed).mean(axis=-1) for seed in range(60)]
        return float(np.mean(made)), float(np.mean([m.std() for m in made]))

    (dim, dim_spread), (glossy, glossy_spread) = over_many("dim"), over_many("glossy")
    assert dim < glossy - 20
    assert dim_spread > glossy_spread
