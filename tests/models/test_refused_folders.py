"""Folders of models that would fail at the first picture are refused before anything is loaded."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fairgen import cli
from fairgen.errors import UserError
from fairgen.models.folder import check_folder
from tests.doubles.tiny_pipeline import save_tiny_pipeline

Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("refused") / "tiny")


def named(pipeline: str) -> Change:
    def change(folder: Path) -> None:
        index = json.loads((folder / "model_index.json").read_text())
        (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": pipeline}))

    return change


def sharded(*files: str) -> Change:
    def change(folder: Path) -> None:
        weight_map = {f"tensor.{number}": file for number, file in enumerate(files)}
        listed = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
        listed.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))

    return change


def deep(folder: Path) -> None:
    (folder / "model_index.json").write_text("[" * 200_000 + "]" * 200_000)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (named("StableDiffusionInstructPix2PixPipeline"), "does not make pictures from words"),
        (named("StableDiffusionUpscalePipeline"), "does not make pictures from words"),
        (named("StableDiffusionLatentUpscalePipeline"), "does not make pictures from words"),
        (named("QwenImageEditPipeline"), "does not make pictures from words"),
        (named("StableDiffusionXLPipeline"), "lacks the text_encoder_2 of a StableDiffusionXLPipeline"),
        (sharded("diffusion_pytorch_model.bin"), r"lists 'diffusion_pytorch_model.bin' among the weights"),
        (sharded("../../elsewhere.safetensors"), "which is no file of safetensors there"),
        (sharded("gone.safetensors"), "which is no file of safetensors there"),
        (deep, "cannot be read as JSON: restore the file"),
    ],
)
def test_it_is_one_sentence_and_code_2(
    saved: Path, tmp_path: Path, change: Change, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(saved, folder)
    change(folder)
    with pytest.raises(UserError, match=says):
        check_folder("tiny", folder, "folder")
    assert cli.run(["model", "info", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(says, line)


def test_a_folder_whose_weights_lie_in_several_files_is_taken(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(saved, folder)
    (own,) = (folder / "unet").glob("*.safetensors")
    sharded(own.name)(folder)
    assert check_folder("tiny", folder, "folder").weight_files()
