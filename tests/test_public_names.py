"""The names that `fairgen` offers, and the old ones that it still knows."""

from __future__ import annotations

import pytest

import fairgen


@pytest.mark.parametrize("name", fairgen.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(fairgen, name) is not None
    assert name in dir(fairgen)


@pytest.mark.parametrize(("old", "new"), [("Generator", "DiffusersModel"), ("load_generator", "load_model")])
def test_old_names_work_and_name_the_new_ones(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"now called fairgen.{new}"):
        assert getattr(fairgen, old) is getattr(fairgen, new)


def test_other_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Painter'"):
        _ = fairgen.Painter
