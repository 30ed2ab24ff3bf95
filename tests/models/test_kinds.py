"""Kinds of model: a further one is a file and its entry, and is loaded by its own names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.testing import CliRunner

from fairgen import cli
from fairgen.cli import common
from fairgen.models import kinds
from fairgen.models.loading import load_model
from fairgen.targets.origins import SOURCES, Source
from tests.doubles.session_doubles import ConfusedGenerator


def load_double(model: str, device: str, **settings: Any) -> ConfusedGenerator:
    return ConfusedGenerator(plain=float(model.removeprefix("double:")))


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> kinds.Kind:
    monkeypatch.setattr(kinds, "_KINDS", list(kinds._KINDS))
    kind = kinds.Kind(
        "double", "'double:<degrees>'", f"{__name__}:load_double", lambda name: name.startswith("double:")
    )
    kinds.register(kind)
    return kind


def test_a_kind_loads_the_models_that_are_its_own(double: kinds.Kind) -> None:
    model = load_model("double:12")
    assert isinstance(model, ConfusedGenerator)
    assert model.plain == 12
    assert kinds.kind_of("double:12") is double
    assert kinds.kind_of("embedded").name == kinds.kind_of("somebody/a-model").name == "diffusers"
    with pytest.raises(ValueError, match="already"):
        kinds.register(double)


def test_the_help_of_the_commands_says_which_models_there_are() -> None:
    shown = CliRunner().invoke(cli.app, ["generate", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    text = " ".join(re.sub(r"[│╭╰─╮╯]", " ", shown.stdout).split())
    for kind in kinds.kinds():
        assert kind.sentence in text
    assert common.MODEL.help is not None


def test_every_source_of_a_target_is_named_in_the_documents(project_root: Path) -> None:
    assert set(get_args(Source)) == set(SOURCES)
    text = (project_root / "docs" / "specs.md").read_text("utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `source` |"))
    assert all(f"`{name}`" in row for name in SOURCES)
