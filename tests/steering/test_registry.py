"""The registry of techniques: whatever shows or takes a technique's name reads it from there."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from pkgutil import resolve_name

import pytest
from typer.testing import CliRunner

from fairgen import cli
from fairgen.audit.plan import parse_arms
from fairgen.errors import UserError
from fairgen.steering import Technique, registry
from fairgen.steering.prompt_variants import PromptVariants

runner = CliRunner()


@pytest.fixture
def shout(monkeypatch: pytest.MonkeyPatch) -> registry.Entry:
    """A technique that is nothing but a class and its entry."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    entry = registry.Entry(
        "shout", "shouted words", "Shout", "adds a tone word in capitals", f"{__name__}:Shout"
    )
    registry.register(entry)
    return entry


class Shout(PromptVariants):
    name = "shout"


def test_every_shipped_technique_is_what_its_entry_says() -> None:
    for name in registry.arms():
        entry = registry.entry(name)
        if entry.home is not None:
            kind = resolve_name(entry.home)
            assert issubclass(kind, Technique)
            assert kind.name == name


def test_a_new_technique_is_found_by_its_name(shout: registry.Entry) -> None:
    found = registry.technique("shout", "ita6")
    assert isinstance(found, Shout)
    assert registry.label("shout") == "shouted words"
    assert parse_arms("none,shout") == ("none", "shout")
    registry.register(shout)
    with pytest.raises(ValueError, match="already"):
        registry.register(dataclasses.replace(shout, label="other words"))


def test_an_unknown_name_is_refused_with_those_that_are_known(shout: registry.Entry) -> None:
    with pytest.raises(UserError, match="use one of auto, none, prompt, embedding, semantic, shout"):
        registry.check_technique("whisper")
    assert registry.label("whisper") == "whisper"


def test_those_with_a_strength_need_a_calibration(shout: registry.Entry) -> None:
    assert registry.continuous() == ("embedding", "semantic")
    with pytest.raises(UserError, match="run `fairgen calibrate` first"):
        registry.technique("embedding", "ita6")


@pytest.mark.parametrize(
    ("command", "names"),
    [("generate", registry.names()), ("audit", registry.arms()), ("calibrate", registry.continuous())],
)
def test_the_commands_help_names_them(command: str, names: tuple[str, ...]) -> None:
    shown = runner.invoke(cli.app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0
    text = " ".join(re.sub(r"[│╭╰─╮╯]", " ", shown.stdout).split())
    assert registry.help_text(names) in text


def test_the_document_has_a_row_for_each(project_root: Path) -> None:
    text = (project_root / "docs" / "steering.md").read_text("utf-8")
    for name in registry.arms():
        entry = registry.entry(name)
        if entry.home is not None:
            assert f"| `{name}` | {entry.sentence}" in text
