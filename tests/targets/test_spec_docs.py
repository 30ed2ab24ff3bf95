"""docs/specs.md: every field is explained, every example loads, every command exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from fairgen import cli
from fairgen.targets import Citation, Confidence, Context, Elicitation, FairnessSpec, parse_spec

SECTIONS: dict[str, type[BaseModel]] = {
    "## Fields": FairnessSpec,
    "### A citation": Citation,
    "### Confidence": Confidence,
    "### An elicitation": Elicitation,
    "## Contexts": Context,
}


@pytest.fixture(scope="module")
def text(project_root: Path) -> str:
    return (project_root / "docs" / "specs.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_field_has_its_row(text: str, heading: str) -> None:
    section = re.split(r"^#{2,3} ", text.split(f"\n{heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(named) == sorted(SECTIONS[heading].model_fields)


def test_the_examples_load(text: str) -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    first, second = (parse_spec(example) for example in examples)
    assert first.target["dark"] == 0.5
    assert second.target_for("A portrait of a farm worker")["light"] == 0.4


def test_the_commands_exist(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands = set(re.findall(r"`fairgen spec (\w+)", text))
    assert commands == {"list", "show", "new", "check", "approve", "source", "table"}
    for command in commands:
        assert cli.run(["spec", command, "--help"]) == 0
    assert "--by" in capsys.readouterr().out
