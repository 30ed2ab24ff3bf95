"""What visitors may name as a model, below the browser: what a folder offers, and models behind an API where
the operator allows them.
"""

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


def test_a_folder_offers_models_and_files_by_their_names_in_it(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    from fairgen.ui.work.catalogue import MODELS, Catalogue

    weight = np.zeros((2, 2), dtype="float32")
    (tmp_path / "sub").mkdir()
    save_file({"model.diffusion_model.x": weight}, tmp_path / "sub" / "Big one.safetensors")
    save_file({"lora_unet_x.lora_down.weight": weight}, tmp_path / "ink.safetensors")
    save_file({"encoder.x": weight, "decoder.x": weight}, tmp_path / "vae.safetensors")
    save_file({"emb_params": weight}, tmp_path / "smile.safetensors")
    (tmp_path / "sharp").mkdir()
    (tmp_path / "sharp" / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    save_file({"encoder.x": weight, "decoder.x": weight}, tmp_path / "sharp" / "weights.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"x")
    (tmp_path / "old.ckpt").write_bytes(b"\x80x")
    for name in ("folder", "sub/Big one", ".hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model_index.json").write_text("{}")
    (tmp_path / "mine.yaml").write_text("model: folder\n")
    (tmp_path / "notes.yaml").write_text("a: list\n")
    found = Catalogue(tmp_path)
    assert [(one.name, one.kind) for one in found.of(*MODELS)] == [
        ("folder", "folder"),
        ("mine.yaml", "settings"),
        ("sub/Big one.safetensors", "file"),
    ]
    assert [one.name for one in found.of("LoRA")] == ["ink.safetensors"]
    assert [one.name for one in found.of("autoencoder")] == ["sharp", "vae.safetensors"]
    assert [one.name for one in found.of("textual inversion")] == ["smile.safetensors"]
    assert Catalogue(None).of(*MODELS) == []

    engine = Engine(folder=tmp_path)  # others can reach the server
    assert engine.check_model("folder") == "folder"
    assert engine.check_options({"lora": ["ink.safetensors:0.5"], "steps": 9}).lora[0].weight == 0.5
    for model in (str(tmp_path / "folder"), "../x", "sub", "ink"):
        with pytest.raises(UserError, match="has no model"):
            engine.check_model(model)
    for options, says in (
        ({"lora": [str(tmp_path / "ink.safetensors")]}, "has no file"),
        ({"lora": ["../ink.safetensors"]}, "has no file"),
        ({"vae": "x"}, "has no file 'x'"),
        ({"textual_inversion": ["../smile.safetensors:grin"]}, "has no file"),
        ({"base": "x"}, "no option 'base'"),
        ({"dtype": "float16"}, "no option 'dtype'"),
        ({"offload": "model"}, "no option 'offload'"),
        ({"compile": True}, "no option 'compile'"),
        ({"steps": 151}, "from 1 to 150"),
        ({"width": 4096}, "2048 pixels at most"),
        ({"steps": "many"}, "cannot be used"),
        ([], "by name"),
    ):
        with pytest.raises(UserError, match=says):
            engine.check_options(options)
