"""The pages of docs/: examples that run, a map that is complete, links and floors that are true."""

from __future__ import annotations

import posixpath
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.docs_site import GUESTS, site_links

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s:#]+)(?:#[^)\s]*)?\)")  # of relative ones


def test_the_examples_of_embedding_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_model: Path
) -> None:
    monkeypatch.setenv("FAIRGEN_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    blocks = _BLOCK.findall(text)
    assert len(blocks) >= 7
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/embedding.md", "exec"), names)
        if block is blocks[0]:
            _calibrate(names["pipe"], names["settings"], quick_model)
    assert len(names["result"].images) == 4
    assert len(names["images"]) == 2
    assert names["result"].summary.steering == "embedding"
    assert sum(names["event"].summary.measured.values()) == 3


def _calibrate(pipe: Any, settings: dict[str, Any], quick_model: Path) -> None:
    """Keep a calibration, which takes a minute to make: tests/test_pipeline.py sees one made."""
    from fairgen.models.loading import load_model, wrap_pipeline
    from fairgen.steering.calibration import save_calibration

    known = load_model(str(quick_model), "cpu").calibration("embedding")
    assert known is not None
    rest = dict(settings)
    save_calibration(known, wrap_pipeline(pipe, steps=rest.pop("num_inference_steps"), **rest).info)


def test_every_page_is_on_the_map_and_in_the_site() -> None:
    on_the_map = _LINK.findall((DOCS / "index.md").read_text(encoding="utf-8"))
    assert sorted({*on_the_map, "index.md"}) == PAGES
    in_the_site = re.findall(r"[\w/-]+\.md$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(in_the_site) == sorted([*PAGES, *(g for g in GUESTS.values() if g.endswith(".md"))])


def test_the_site_loads_no_script_or_style_from_another_server() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    for file in [*settings["extra_css"], *settings["extra"]["polyfills"]]:
        assert (DOCS / file).is_file(), file
    # By this name the offline plugin knows that it need not load one from unpkg.com.
    assert any("iframe-worker" in file for file in settings["extra"]["polyfills"])


@pytest.mark.parametrize("page", PAGES)
def test_links_between_documents_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for link in _LINK.findall(text):
        assert (DOCS / page).parent.joinpath(link).exists(), link
    for link in _LINK.findall(site_links(text, page)):
        place = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
        assert place in GUESTS.values() or (DOCS / place).exists(), f"{link} leads out of the site"


def test_links_to_and_from_guests_are_those_of_the_site() -> None:
    assert site_links("[card](../assets/embedded/README.md#bias)", "a.md") == (
        "[card](guests/embedded-model-card.md#bias)"
    )
    assert site_links("[it](../docs/reader.md)", "guests/skin_tone.md") == "[it](../reader.md)"


def test_the_floors_of_the_document_are_those_that_are_held() -> None:
    held = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(one["layers"] for one in held["contracts"] if one["type"] == "layers")
    table = (
        (DOCS / "architecture.md").read_text(encoding="utf-8").split("<!-- floors -->")[1].split("\n\n")[0]
    )
    rows = [" | ".join(re.findall(r"`(\w+)`", row.split("|")[1])) for row in table.strip().splitlines()[2:]]
    assert rows == layers


@pytest.mark.parametrize("package", ["fairgen", "skin_tone"])
def test_the_api_page_has_every_public_name(package: str) -> None:
    names = __import__(package).__all__
    text = (DOCS / "api" / f"{package}.md").read_text(encoding="utf-8")
    assert set(re.findall(rf"^::: {package}\.(\w+)$", text, re.MULTILINE)) == {*names} - {"__version__"}


def _commands(page: str) -> list[list[str]]:
    """The commands of fairgen that a page shows, as arguments; also those in the middle of a line."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r"^    fairgen (.+)$", text, re.MULTILINE) + re.findall(r"`fairgen ([^`]+)`", text)
    return [shlex.split(one, comments=True) for one in found]


def test_every_command_of_the_page_about_ones_own_model_exists() -> None:
    from typer.main import get_command

    from fairgen.cli import app

    shown = _commands("your-model.md")
    assert len(shown) >= 8
    for arguments in shown:
        command: Any = get_command(app)
        words = list(arguments)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        with command.make_context("fairgen", words, resilient_parsing=not words):
            pass


def test_every_option_of_the_page_about_ones_own_model_exists() -> None:
    from typer.main import get_command

    from fairgen.cli import app
    from fairgen.models.options import ModelOptions

    text = (DOCS / "your-model.md").read_text(encoding="utf-8")
    commands: Any = get_command(app)
    parameters = [parameter for one in commands.commands.values() for parameter in one.params]
    known = {flag for parameter in parameters for flag in parameter.opts}
    foreign = {"--include", "--local-dir"}  # of hf
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= known | foreign
    block = re.search(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    settings = yaml.safe_load(block[1])
    assert settings.pop("model") == "realistic.safetensors"
    assert ModelOptions.of(settings).given() == settings | {
        "lora": [
            {"file": "style.safetensors", "weight": 0.8},
            {"file": "detail.safetensors", "weight": 0.3},
        ],
        "guidance_scale": 6.0,
    }
