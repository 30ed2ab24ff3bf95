"""Pipelines that the tests of a file share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.doubles import tiny_pipelines


@pytest.fixture(scope="module")
def pipes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Name of a family -> its tiny pipeline, made once a file."""
    folder = tmp_path_factory.mktemp("tokenizer")
    made: dict[str, Any] = {}

    def get(name: str) -> Any:
        if name not in made:
            made[name] = tiny_pipelines.make(name, folder)
        return made[name]

    return get
