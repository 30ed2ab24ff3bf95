"""What is put onto a model: words, autoencoder, scheduler, settings; it acts, and it is recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fairgen
from fairgen.errors import UserError
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.memory import place
from fairgen.models.schedulers import NAMES
from fairgen.steering import Steering
from fairgen.steering.request import Request
from tests.doubles import original_layout
from tests.doubles import text_to_image as t2i
from tests.doubles.loras import REQUESTS, opened, pictures

# Words, autoencoder, scheduler -----------------------------------------------------------------------------


def test_a_textual_inversion_gives_a_word_its_meaning(tiny: Path, tmp_path: Path) -> None:
    import torch

    torch.manual_seed(2)
    file = original_layout.save({"emb_params": torch.randn(1, 16)}, tmp_path / "smile.safetensors")
    told = [Request("a zz doctor", 1)]
    plain = pictures(opened(tiny), told)
    model = opened(tiny, textual_inversion=f"{file}:zz")
    assert (pictures(model, told) != plain).any()
    assert (pictures(model) == pictures(opened(tiny))).all()
    assert "textual inversion 0 zz" in model.info.weights
    wide = original_layout.save({"emb_params": torch.randn(1, 17)}, tmp_path / "wide.safetensors")
    with pytest.raises(UserError, match=r"textual inversion .* does not fit a StableDiffusionPipeline"):
        opened(tiny, textual_inversion=str(wide))


@pytest.fixture(scope="module")
def vae(tiny: Path) -> Any:
    import torch
    from diffusers import AutoencoderKL

    loader: Any = AutoencoderKL
    made = loader.from_pretrained(str(tiny / "vae"))
    torch.manual_seed(3)
    for weight in made.decoder.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return made


def test_another_autoencoder_from_a_file_of_any_layout_or_a_folder(
    tiny: Path, plain: DiffusersModel, vae: Any, tmp_path: Path
) -> None:
    vae.save_pretrained(tmp_path / "folder")
    original = original_layout.save(original_layout.vae(vae), tmp_path / "original.safetensors")
    own = original_layout.save(vae.state_dict(), tmp_path / "own.safetensors")
    made = [opened(tiny, vae=str(place)) for place in (tmp_path / "folder", original, own)]
    first = pictures(made[0])
    assert (first != pictures(plain)).any()
    for model in made[1:]:
        assert (pictures(model) == first).all()
    assert "vae/diffusion_pytorch_model.safetensors" in plain.info.weights
    assert [n for n in made[1].info.weights if n.startswith("vae/")] == ["vae/original.safetensors"]
    assert "vae/config.json" in made[0].info.weights  # its scale changes pictures too


def test_an_autoencoder_that_does_not_fit_is_refused(tiny: Path, vae: Any, tmp_path: Path) -> None:
    t2i.make("FluxPipeline").vae.save_pretrained(tmp_path / "fits")
    from tests.doubles.text_to_image.parts import vae as other

    other(16).save_pretrained(tmp_path / "wide")
    with pytest.raises(UserError, match="has 16 latent channels, that of this model 4"):
        opened(tiny, vae=str(tmp_path / "wide"))
    broken = dict(vae.state_dict())
    broken.pop("decoder.conv_in.weight")
    file = original_layout.save(broken, tmp_path / "broken.safetensors")
    with pytest.raises(UserError, match=r"autoencoder .*cannot be used|no whole autoencoder"):
        opened(tiny, vae=str(file))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no autoencoder as safetensors"):
        opened(tiny, vae=str(tmp_path / "empty"))


def test_schedulers_by_the_names_that_people_use(tiny: Path, plain: DiffusersModel) -> None:
    seen = {plain.info.fingerprint}
    for name in ("euler", "euler-a", "dpm++2m-karras", "unipc", "UniPCMultistepScheduler"):
        model = opened(tiny, scheduler=name, steps=3)
        assert model.info.scheduler == NAMES.get(name, (name, {}))[0]
        seen.add(model.info.fingerprint)
    assert len(seen) == 5, "UniPC by two names is one model"
    config = opened(tiny, scheduler="dpm++2m-karras").pipe.scheduler.config
    assert config.use_karras_sigmas
    assert config.beta_start == plain.pipe.scheduler.config.beta_start, "all else stays the model's own"
    ancestral = opened(tiny, scheduler="euler-a", steps=3)
    assert (pictures(ancestral) != pictures(opened(tiny, steps=3))).any()


def test_schedulers_that_there_are_not_or_that_do_not_fit(tiny: Path) -> None:
    with pytest.raises(UserError, match=r"There is no scheduler 'fast': use one of ddim, .*euler-a"):
        opened(tiny, scheduler="fast")
    with pytest.raises(
        UserError, match=r"'flow-euler' does not fit a StableDiffusionPipeline, .*use one of ddim"
    ):
        opened(tiny, scheduler="flow-euler")
    with pytest.raises(UserError, match="There is no scheduler 'UNet2DConditionModel'"):
        opened(tiny, scheduler="UNet2DConditionModel")


def test_every_name_of_a_scheduler_is_one_of_diffusers() -> None:
    import diffusers

    for kind, _ in NAMES.values():
        assert issubclass(getattr(diffusers, kind), diffusers.SchedulerMixin)


# Settings and memory ---------------------------------------------------------------------------------------


def test_a_negative_prompt_acts_and_is_part_of_the_model(tiny: Path, plain: DiffusersModel) -> None:
    model = opened(tiny, negative_prompt="a nurse with tan skin")
    assert (pictures(model) != pictures(plain)).any()
    assert model.info.arguments == {"negative_prompt": "a nurse with tan skin"}
    assert model.info.fingerprint not in (
        plain.info.fingerprint,
        opened(tiny, negative_prompt="a doctor").info.fingerprint,
    )


def test_size_steps_guidance_and_precision(tiny: Path) -> None:
    model = opened(tiny, steps=3, guidance_scale=2.5, height=32, width=24, dtype="bfloat16")
    info = model.info
    assert (info.steps, info.guidance_scale, info.height, info.width, info.dtype) == (
        3,
        2.5,
        32,
        24,
        "bfloat16",
    )
    assert model.generate(REQUESTS[:1])[0].size == (24, 32)
    for given, said in (
        ({"steps": 0}, "from 1 to 1000"),
        ({"guidance_scale": -1.0}, "from 0 to 100"),
        ({"height": 17}, "multiple of"),
        ({"dtype": "int4"}, "there is no precision 'int4'"),
        ({"offload": "everywhere"}, "there is no offload 'everywhere'"),
        ({"lora": "style.safetensors:much"}, "is no FILE:WEIGHT"),
        ({"lora": "style.safetensors:99"}, "less than or equal to 10"),
        ({"trust_remote_code": True}, "There is no option 'trust_remote_code'"),
        ({"variant": "fp8"}, "has no files of the variant 'fp8'"),
    ):
        with pytest.raises(UserError, match=said):
            opened(tiny, **given)


def test_a_variant_is_chosen_and_its_files_alone_are_recorded(tiny: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "both"
    shutil.copytree(tiny, folder)
    loader: Any = fairgen.load_model(str(tiny), "cpu")
    pipe = loader.pipe.to("cpu")
    pipe.unet.half().save_pretrained(folder / "unet", variant="fp16")
    model = opened(folder, variant="fp16")
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in model.info.weights
    assert "unet/diffusion_pytorch_model.safetensors" not in model.info.weights
    assert model.info.options["variant"] == "fp16"


class Offloading:
    """Keeps what a pipeline was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values, **given: self.told.append((name, {"values": values} | given))


def test_offloading_goes_to_diffusers_own_ways() -> None:
    import torch

    for offload, method in (
        ("none", "to"),
        ("model", "enable_model_cpu_offload"),
        ("sequential", "enable_sequential_cpu_offload"),
        ("group", "enable_group_offload"),
    ):
        pipe = Offloading()
        place(pipe, "cuda:1", offload)
        (name, given), *others = pipe.told
        assert not others
        assert name == method
        assert "cuda:1" in [str(value) for value in (*given["values"], *given.values())]
    assert given["onload_device"] == torch.device("cuda:1")
    assert given["use_stream"]


def test_offloading_is_refused_where_there_is_nothing_to_offload_from(tiny: Path) -> None:
    with pytest.raises(UserError, match="--offload moves parts between CPU and GPU"):
        opened(tiny, offload="model")


def test_pictures_stay_the_same_when_layers_are_moved_to_and_fro(tiny: Path, plain: DiffusersModel) -> None:
    """diffusers' hooks of group offloading, from the CPU to the CPU: steering works under them."""
    import torch

    model = opened(tiny)
    model.pipe.enable_group_offload(onload_device=torch.device("cpu"), offload_type="leaf_level")
    steering = Steering(technique="embedding", start=0.0, stop=1.0)
    requests = [Request("a doctor", 1, strength=0.7)]
    assert (pictures(model) == pictures(plain)).all()
    assert (
        pictures(model, requests, steering=steering) == pictures(plain, requests, steering=steering)
    ).all()


def test_tiling_and_compiling(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    compiled: list[str] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    model = opened(tiny, vae_tiling=True, compile=True)
    assert model.pipe.vae.use_tiling
    assert compiled == ["UNet2DConditionModel"]
    assert "vae tiling" in model.info.weights
