"""A steered block that others load, as the documentation of Modular Diffusers describes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fairgen.errors import UserError
from tests.doubles import modular
from tests.doubles import text_to_image as t2i

PROMPT = "a portrait of a doctor"
XL = "StableDiffusionXLPipeline"
ANCHORS = ((-1.0, "very fair"), (1.0, "ebony black"))
pytestmark = pytest.mark.filterwarnings(r"ignore:.*is deprecated:FutureWarning")  # of diffusers' own classes


@pytest.fixture(autouse=True)
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that diffusers loads is kept in the test's own folder."""
    from diffusers.utils import dynamic_modules_utils

    kept = tmp_path / "modules"
    monkeypatch.setattr(dynamic_modules_utils, "HF_MODULES_CACHE", str(kept))
    monkeypatch.syspath_prepend(str(kept))


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    made: dict[str, Any] = t2i.make(XL).components
    return made


def steered_pipeline(parts: dict[str, Any]) -> Any:
    from diffusers import StableDiffusionXLAutoBlocks

    from fairgen.steering.modular import steered

    return modular.pipeline(steered(StableDiffusionXLAutoBlocks, ANCHORS), parts)


def test_a_block_is_saved_and_loaded(parts: dict[str, Any], tmp_path: Path) -> None:
    from diffusers import ModularPipelineBlocks, StableDiffusionXLAutoBlocks

    from fairgen.steering.modular import ToneSteps

    folder = tmp_path / "tone-steps"
    ToneSteps(StableDiffusionXLAutoBlocks().sub_blocks["text_encoder"], ANCHORS).save_pretrained(folder)
    written = json.loads((folder / "modular_config.json").read_text("utf-8"))
    assert written["auto_map"] == {"ModularPipelineBlocks": "block.ToneSteps"}
    assert written["requirements"] == {"fairgen": ">=0.1.0"}
    with pytest.raises(ValueError, match="custom code"):
        ModularPipelineBlocks.from_pretrained(folder)

    block = ModularPipelineBlocks.from_pretrained(folder, trust_remote_code=True)
    blocks = StableDiffusionXLAutoBlocks()
    blocks.sub_blocks["text_encoder"] = block
    loaded, own = modular.pipeline(blocks, parts), steered_pipeline(parts)
    more: dict[str, Any] = {"tone_strength": [-0.5, 1.0]}
    made = modular.sample(XL, loaded, [PROMPT] * 2, **more)
    assert torch.equal(made, modular.sample(XL, own, [PROMPT] * 2, **more))
    assert not torch.allclose(made, modular.sample(XL, own, [PROMPT] * 2), atol=1e-3)

    again = tmp_path / "again"
    block.save_pretrained(again)
    assert (again / "block.py").read_bytes() == (folder / "block.py").read_bytes()


def test_a_pipeline_is_saved_and_loaded(parts: dict[str, Any], tmp_path: Path) -> None:
    from diffusers import ModularPipeline

    own, folder = steered_pipeline(parts), tmp_path / "steered-sdxl"
    own.blocks.save_pretrained(folder)
    own.save_pretrained(str(folder), overwrite_modular_index=True)
    index = json.loads((folder / "modular_model_index.json").read_text("utf-8"))
    assert index["_blocks_class_name"] == "SteeredStableDiffusionXLAutoBlocks"
    with pytest.raises(ValueError, match="custom code"):
        ModularPipeline.from_pretrained(folder)

    loaded = ModularPipeline.from_pretrained(folder, trust_remote_code=True)
    loaded.load_components()
    loaded.set_progress_bar_config(disable=True)
    loaded._blocks.sub_blocks.pop("decode")
    more: dict[str, Any] = {"tone_strength": [-0.5, 1.0]}
    made = modular.sample(XL, loaded, [PROMPT] * 2, **more)
    assert torch.equal(made, modular.sample(XL, own, [PROMPT] * 2, **more))
    assert not torch.allclose(made, modular.sample(XL, own, [PROMPT] * 2), atol=1e-3)


def test_a_block_is_uploaded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the hub."""
    from diffusers import StableDiffusionXLAutoBlocks, configuration_utils
    from huggingface_hub import RepoUrl

    from fairgen.steering.modular import ToneSteps

    sent: list[tuple[str, set[str]]] = []

    def upload(_block: Any, folder: str, repo_id: str, **_more: Any) -> None:
        sent.append((repo_id, {file.name for file in Path(folder).iterdir()}))

    monkeypatch.setattr(ToneSteps, "_upload_folder", upload)
    monkeypatch.setattr(
        configuration_utils, "create_repo", lambda name, **_more: RepoUrl(f"https://huggingface.co/{name}")
    )
    block = ToneSteps(StableDiffusionXLAutoBlocks().sub_blocks["text_encoder"])
    block.save_pretrained(tmp_path / "block", push_to_hub=True, repo_id="me/tone-steps-sdxl")
    assert sent == [("me/tone-steps-sdxl", {"block.py", "modular_config.json"})]


def test_what_others_could_not_load_is_refused(tmp_path: Path) -> None:
    from diffusers import StableDiffusionXLAutoBlocks

    from fairgen.steering.modular import ToneSteps

    inner = StableDiffusionXLAutoBlocks().sub_blocks["text_encoder"]
    here = type("Here", (type(inner),), {"__module__": "__main__"})
    with pytest.raises(UserError, match="Here is not in an installed package"):
        ToneSteps(here).save_pretrained(tmp_path / "block")
    assert not (tmp_path / "block").exists()
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(UserError, match="is a file: name a folder"):
        ToneSteps(inner).save_pretrained(tmp_path / "file")
