"""A tiny model and two LoRAs of it, made once for all tests of models."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairgen.models.diffusers import DiffusersModel
from tests.doubles.loras import make_loras, opened
from tests.doubles.tiny_pipeline import save_tiny_pipeline


@pytest.fixture(scope="package")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="package")
def plain(tiny: Path) -> DiffusersModel:
    return opened(tiny)


@pytest.fixture(scope="package")
def loras(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_loras(tiny, tmp_path_factory.mktemp("loras"))
