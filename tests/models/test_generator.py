"""Loading and sampling with a real, tiny, randomly initialised pipeline; and every way in which a model
cannot be used.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairgen.errors import UserError
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.folder import check_class, check_folder, find_model
from fairgen.models.loading import load_diffusers
from fairgen.steering.request import Request
from tests.doubles.tiny_pipeline import save_tiny_pipeline

REQUESTS = [Request("a doctor", 1), Request("a nurse with dark skin", 2), Request("a doctor", 3)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def generator(tiny: Path) -> DiffusersModel:
    return load_diffusers(str(tiny), device="cpu", steps=2)


def copy(tiny: Path, target: Path) -> Path:
    shutil.copytree(tiny, target)
    return target


def edit_index(folder: Path, **changes: Any) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_is_recorded(generator: DiffusersModel, tiny: Path) -> None:
    info = generator.info
    assert (info.source, info.pipeline, info.scheduler) == (
        "folder",
        "StableDiffusionPipeline",
        "DDIMScheduler",
    )
    assert (info.device, info.dtype, info.steps, info.height, info.width) == ("cpu", "float32", 2, 16, 16)
    assert set(info.weights) == {
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    }
    for file, hashed in info.weights.items():
        assert hashed == "sha256:" + hashlib.sha256((tiny / file).read_bytes()).hexdigest()
    assert {"python", "torch", "diffusers"} <= set(info.versions)


def test_a_picture_hangs_on_its_request_alone(generator: DiffusersModel) -> None:
    together = [np.asarray(picture, dtype=int) for picture in generator.generate(REQUESTS)]
    alone = [np.asarray(generator.generate([request])[0], dtype=int) for request in REQUESTS]
    again = [np.asarray(picture, dtype=int) for picture in generator.generate(REQUESTS)]
    for one, other, third in zip(together, alone, again, strict=True):
        assert one.shape == (16, 16, 3)
        assert np.abs(one - other).max() <= 1, "up to the floating point of another batch"
        assert (one == third).all()
    assert np.abs(together[0] - together[2]).max() > 10, "another seed is another picture"
    other_words = np.asarray(generator.generate([Request("a nurse", 1)])[0], dtype=int)
    assert (other_words != together[0]).any(), "other words are another picture"


def test_extra_arguments_group_the_batch(generator: DiffusersModel) -> None:
    requests = [
        Request("a doctor", 1),
        Request("a doctor", 1, {"negative_prompt": "dark"}),
        Request("a doctor", 2),
    ]
    calls: list[int] = []
    whole = generator.pipe

    class Counting:
        def __call__(self, **arguments: Any) -> Any:
            calls.append(len(arguments["prompt"]))
            return whole(**arguments)

    counting = DiffusersModel(whole, generator.info)
    counting.pipe = Counting()
    plain, negative, last = (np.asarray(picture) for picture in counting.generate(requests))
    assert calls == [2, 1]
    assert (plain != negative).any()
    assert (last == np.asarray(generator.generate(requests[2:])[0])).mean() > 0.9
    with pytest.raises(UserError, match="takes no colour"):
        generator.generate([Request("a doctor", 1, {"colour": "red"})])


def test_a_prompt_that_would_be_cut_is_refused(generator: DiffusersModel) -> None:
    generator.check_prompts(["a doctor with very dark skin"])
    with pytest.raises(UserError, match=r"too long for this model \(\d+ tokens, it reads 24\): shorten it"):
        generator.check_prompts(["a doctor", "a doctor beside many other animals"])


def test_settings_come_from_the_folder_and_can_be_overridden(tiny: Path, tmp_path: Path) -> None:
    folder = copy(tiny, tmp_path / "model")
    (folder / "fairgen.json").write_text('{"steps": 3, "guidance_scale": 2.0, "height": 32, "width": 24}')
    info = load_diffusers(str(folder), "cpu").info
    assert (info.steps, info.guidance_scale, info.height, info.width) == (3, 2.0, 32, 24)
    changed = load_diffusers(str(folder), "cpu", steps=1, guidance_scale=0.0, height=16)
    assert (changed.info.steps, changed.info.guidance_scale, changed.info.height, changed.info.width) == (
        1,
        0.0,
        16,
        24,
    )
    assert changed.generate(REQUESTS[:1])[0].size == (24, 16)
    (folder / "fairgen.json").write_text("[")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        load_diffusers(str(folder), "cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be from 1 to 1000, not 0"),
        ({"guidance_scale": -1.0}, "guidance scale must be from 0 to 100"),
        ({"height": 17}, "height must be a multiple of 2"),
        ({"width": 8}, "width must be a multiple of 2 from 16 to 4096 pixels, not 8"),
        ({"device": "tpu"}, "no device 'tpu': use one of auto, cuda, cuda:N, mps, cpu"),
        ({"dtype": "int8"}, "no precision 'int8'"),
    ],
)
def test_bad_settings(tiny: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_diffusers(str(tiny), **{"device": "cpu", **options})


def test_a_device_that_is_not_there(tiny: Path) -> None:
    import torch

    absent = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(UserError, match=f"has no {absent}: use --device auto or cpu"):
        load_diffusers(str(tiny), absent)


@pytest.mark.parametrize("name", ["no-such-model", "./no/such/folder", "a/b/c", "", "../x"])
def test_a_name_that_is_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="There is no model"):
        find_model(name)


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="is a file: a folder in diffusers format is needed here"):
        find_model(str(tmp_path / "model.safetensors"))


def test_a_folder_that_is_no_pipeline(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no diffusers pipeline \(it has no model_index.json\)"):
        find_model(str(tmp_path))
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(UserError, match="cannot be read as JSON"):
        find_model(str(tmp_path))


@pytest.mark.parametrize(
    ("class_name", "message"),
    [
        ("StableDiffusionImg2ImgPipeline", "does not make pictures from words"),
        ("StableDiffusionControlNetPipeline", "does not make pictures from words"),
        ("StableVideoDiffusionPipeline", "does not make pictures from words"),
        ("MadeUpPipeline", "does not know the pipeline 'MadeUpPipeline'"),
        ("UNet2DModel", "does not know the pipeline 'UNet2DModel'"),
        (["pipeline", "Own"], "needs code of its own"),
    ],
)
def test_pipelines_of_another_kind(tmp_path: Path, class_name: Any, message: str) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": class_name}))
    with pytest.raises(UserError, match=message):
        find_model(str(tmp_path))


@pytest.mark.parametrize(
    "class_name",
    ["StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline", "FluxPipeline"],
)
def test_pipelines_of_the_right_kind(class_name: str) -> None:
    check_class("x", {"_class_name": class_name})


def test_pickles_are_refused(tiny: Path, tmp_path: Path) -> None:
    folder = copy(tiny, tmp_path / "model")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UserError, match="weights of its unet only as pickle files"):
        load_diffusers(str(folder), "cpu")
    weights.with_suffix(".bin").unlink()
    with pytest.raises(UserError, match="lacks the weights of its unet"):
        load_diffusers(str(folder), "cpu")


def test_half_precision_files_alone_are_found(tiny: Path, tmp_path: Path) -> None:
    folder = copy(tiny, tmp_path / "model")
    for file in list(folder.rglob("*.safetensors")):
        file.rename(file.with_suffix(".fp16.safetensors"))
    assert check_folder("x", folder, "folder").variant == "fp16"
    assert load_diffusers(str(folder), "cpu").info.dtype == "float32"


def test_broken_weights(tiny: Path, tmp_path: Path) -> None:
    folder = copy(tiny, tmp_path / "model")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="cannot be loaded as a StableDiffusionPipeline"):
        load_diffusers(str(folder), "cpu")


def hub_errors() -> list[tuple[Exception, str]]:
    import httpx2 as httpx
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    answer = httpx.Response(404, request=httpx.Request("GET", "https://hub.invalid/"))
    return [
        (
            RepositoryNotFoundError("no", response=answer),
            "does not exist on the hub, or is private: check the spelling",
        ),
        (GatedRepoError("no", response=answer), "is gated: accept its terms"),
        (httpx.ConnectError("no"), "hub cannot be reached: check the network"),
        (httpx.ReadTimeout("slow"), "hub cannot be reached: check the network"),
        (ValueError("odd\nmore"), "cannot be used: odd$"),
    ]


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("case", range(5))
def test_what_the_hub_answers(case: int, wrapped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import DiffusionPipeline

    error, message = hub_errors()[case]
    asked: list[bool] = []

    def download(name: str, **options: Any) -> str:
        asked.append(options["local_files_only"])
        assert options["use_safetensors"] is True
        if options["local_files_only"]:
            raise FileNotFoundError("not in the cache")
        if wrapped and not isinstance(error, ValueError):
            raise OSError("Cannot load model") from error
        raise error

    monkeypatch.setattr(DiffusionPipeline, "download", download)
    with pytest.raises(UserError, match=message):
        find_model("somebody/some-model")
    assert asked == [True, False], "this machine first, then the hub"


def test_a_cached_model_needs_no_hub(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import DiffusionPipeline

    def download(name: str, **options: Any) -> str:
        assert options["local_files_only"]
        return str(tiny)

    monkeypatch.setattr(DiffusionPipeline, "download", download)
    assert find_model("somebody/some-model").source == "hub"


def test_hashes_of_the_hub_cache_are_not_computed_again(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    (blobs / ("c" * 64)).write_bytes(b"anything")
    (tmp_path / "snapshot" / "tokenizer").mkdir(parents=True)
    for part in ("unet", "text_encoder"):
        (tmp_path / "snapshot" / part).mkdir(parents=True)
        (tmp_path / "snapshot" / part / "model.safetensors").symlink_to(blobs / ("c" * 64))
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
    }
    (tmp_path / "snapshot" / "model_index.json").write_text(json.dumps(index))
    folder = check_folder("x", tmp_path / "snapshot", "hub")
    names = ("unet/model.safetensors", "text_encoder/model.safetensors")
    assert folder.weight_hashes() == dict.fromkeys(names, "sha256:" + "c" * 64)


def test_out_of_memory_names_the_mend(generator: DiffusersModel) -> None:
    import torch

    class Full:
        def __call__(self, **arguments: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory")

    full = DiffusersModel(generator.pipe, generator.info)
    full.pipe = Full()
    with pytest.raises(
        UserError, match="3 pictures at once do not fit into the memory of cpu: use a smaller --batch-size"
    ):
        full.generate(REQUESTS)


@pytest.mark.embedded
def test_the_embedded_model(embedded_generator: DiffusersModel, embedded_model: Path) -> None:
    defaults = json.loads((embedded_model / "fairgen.json").read_text())
    info = embedded_generator.info
    assert (info.steps, info.guidance_scale, info.height) == (
        defaults["steps"],
        defaults["guidance_scale"],
        defaults["height"],
    )
    pictures = embedded_generator.generate([Request("a photo of a doctor", seed) for seed in (1, 2)])
    assert [picture.size for picture in pictures] == [(info.width, info.height)] * 2
