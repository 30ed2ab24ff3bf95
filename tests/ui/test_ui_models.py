"""What visitors may name as a model, below the browser: models behind an API are the operator's to allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairgen.errors import UserError
from fairgen.models.options import ModelOptions, read_settings
from fairgen.ui.parts.models import facts_box, model_choices
from fairgen.ui.work.engine import Engine
from tests.doubles.llm_server import fails, serving
from tests.doubles.session_doubles import INFO, ConfusedGenerator

ALLOWED = "api:house/portraits"


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRGEN_IMAGES_URL", "http://pictures.example:8080/v1")


def test_only_the_operator_allows_models_behind_an_api(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "service.yaml").write_text("model: api:from-the-folder\n")
    (tmp_path / "mine.yaml").write_text("model: api:of-a-visitor\n")
    engine = Engine(("embedded", ALLOWED), any_model=True, folder=tmp_path / "models")
    assert ("house/portraits (behind an API)", ALLOWED) in model_choices(engine)
    assert engine.check_model(ALLOWED) == ALLOWED
    assert engine.check_model("service.yaml") == "service.yaml"
    for other in ("api:dearer", f"{ALLOWED}@http://127.0.0.1:1/v1", str(tmp_path / "mine.yaml")):
        with pytest.raises(UserError, match="only where the server was started with them"):
            engine.check_model(other)
    with pytest.raises(UserError, match="has no model"):
        Engine(("embedded", ALLOWED)).check_model("api:dearer")


def test_the_page_says_what_a_model_behind_an_api_can_do_and_costs() -> None:
    engine = Engine((ALLOWED,))
    with serving(fails(500)) as server:
        box = facts_box(engine, ALLOWED, ModelOptions(width=512, height=512))
        assert not server.requests
    for words in (
        "Steered by words in the prompt",
        "<b>pictures.example:8080</b>",
        "may cost money",
        "It takes no seeds",
        "512 × 512 pixels",
    ):
        assert words in box
    assert "graphics card" not in box
    engine.check_fits(ALLOWED, ModelOptions(width=512, height=512))
    with pytest.raises(UserError, match="takes no steps"):
        engine.check_fits(ALLOWED, ModelOptions(steps=3))
    with pytest.raises(UserError, match="takes no lora"):
        engine.check_fits(ALLOWED, ModelOptions.of({"lora": "ink.safetensors"}))


@pytest.mark.parametrize("any_model", [False, True])
def test_run_files_say_to_no_visitor_where_parts_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, any_model: bool
) -> None:
    """A settings file of the operator's names a VAE and a LoRA; the visitor adds another LoRA."""
    for name in ("vae", "ink", "charcoal"):
        (tmp_path / f"{name}.safetensors").touch()
    (tmp_path / "mine.yaml").write_text("model: x/y\nvae: vae.safetensors\nlora: ink.safetensors:0.5\n")

    def load(model: str, device: str, *, name: str, options: ModelOptions) -> ConfusedGenerator:
        every = options.over(read_settings(Path(model))[1])
        return ConfusedGenerator(info=INFO.model_copy(update={"name": name, "options": every.given()}))

    monkeypatch.setattr("fairgen.models.loading.load_model", load)
    engine = Engine(("embedded",), any_model=any_model, folder=tmp_path)
    told = engine.load("mine.yaml").info.options
    vae, lora = str(tmp_path / "vae.safetensors"), str(tmp_path / "ink.safetensors")
    if any_model:  # who runs the server is the only visitor
        assert told == {"vae": vae, "lora": [{"file": lora, "weight": 0.5}]}
    else:
        assert told == {"vae": "vae.safetensors", "lora": [{"file": "ink.safetensors", "weight": 0.5}]}
    other = ModelOptions.of({"lora": "charcoal.safetensors:0.7"})
    assert engine.load("mine.yaml", other).info.options["lora"] == other.given()["lora"]
