"""What is put onto a model: LoRAs, words, autoencoder, scheduler, settings; it acts, and it is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import fairgen
from fairgen import cli
from fairgen.errors import UserError
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.loading import load_diffusers, load_model
from fairgen.models.memory import place
from fairgen.models.options import ModelOptions, read_settings
from fairgen.models.schedulers import NAMES
from fairgen.runs import read_run
from fairgen.steering import Steering
from fairgen.steering.request import Request
from tests.doubles import original_layout
from tests.doubles import text_to_image as t2i
from tests.doubles.tiny_pipeline import save_tiny_pipeline

REQUESTS = [Request("a doctor", 1), Request("a nurse", 2)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_pipeline(tmp_path_factory.mktemp("models") / "tiny")


def opened(model: Path, **given: Any) -> DiffusersModel:
    return load_diffusers(str(model), "cpu", **({"steps": 2} | given))


def pictures(model: DiffusersModel, requests: list[Request] = REQUESTS, **more: Any) -> np.ndarray[Any, Any]:
    return np.stack([np.asarray(picture, dtype=int) for picture in model.generate(requests, **more)])


@pytest.fixture(scope="module")
def plain(tiny: Path) -> DiffusersModel:
    return opened(tiny)


@pytest.fixture(scope="module")
def loras(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of the denoiser; of the denoiser and the text encoder, with the names of kohya's scripts."""
    import torch
    from diffusers import DiffusionPipeline, StableDiffusionPipeline
    from diffusers.utils import convert_state_dict_to_diffusers
    from peft import LoraConfig, get_peft_model_state_dict

    folder = tmp_path_factory.mktemp("loras")
    torch.manual_seed(1)
    loader: Any = DiffusionPipeline
    made = []
    for number, text in enumerate((False, True)):
        pipe = loader.from_pretrained(str(tiny))
        layers = ["to_q", "to_k", "to_v", "to_out.0"]
        pipe.unet.add_adapter(LoraConfig(r=2, lora_alpha=8, target_modules=layers, init_lora_weights=False))
        tensors = get_peft_model_state_dict(pipe.unet)
        if not text:
            tensors = convert_state_dict_to_diffusers(tensors)
            StableDiffusionPipeline.save_lora_weights(str(folder / str(number)), unet_lora_layers=tensors)
            made.append(folder / str(number) / "pytorch_lora_weights.safetensors")
            continue
        pipe.text_encoder.add_adapter(
            LoraConfig(
                r=2,
                lora_alpha=8,
                target_modules=["q_proj", "k_proj", "v_proj", "out_proj"],
                init_lora_weights=False,
            )
        )
        words = get_peft_model_state_dict(pipe.text_encoder)
        made.append(original_layout.save(_kohya(tensors, words), folder / "kohya.safetensors"))
    return made


def _kohya(unet: dict[str, Any], words: dict[str, Any]) -> dict[str, Any]:
    """LoRA tensors by the names that are most common on the sites that people get them from."""
    import torch

    made = {}
    for prefix, tensors in (("lora_unet_", unet), ("lora_te_text_model_", words)):
        for name, value in tensors.items():
            layer, _, side = name.removesuffix(".weight").rpartition(".lora_")
            layer = prefix + layer.removeprefix("text_model.").replace(".", "_")
            made[f"{layer}.lora_{'down' if side == 'A' else 'up'}.weight"] = value
            made[f"{layer}.alpha"] = torch.tensor(8.0)
    return made


# LoRAs -----------------------------------------------------------------------------------------------------


def test_a_lora_acts_by_its_weight(tiny: Path, plain: DiffusersModel, loras: list[Path]) -> None:
    bare = pictures(plain)
    for lora in loras:
        whole, half, none = (opened(tiny, lora=f"{lora}:{weight}") for weight in (1, 0.5, 0))
        assert (pictures(whole) != bare).any()
        assert (pictures(whole) != pictures(half)).any()
        assert (pictures(none) == bare).all()
        assert (pictures(opened(tiny, lora=str(lora))) == pictures(whole)).all()
        assert len({model.info.fingerprint for model in (plain, whole, half, none)}) == 4


def test_several_loras_act_together(tiny: Path, loras: list[Path]) -> None:
    both = opened(tiny, lora=[f"{loras[0]}:0.8", f"{loras[1]}:0.4"])
    assert both.pipe.get_list_adapters() == {"unet": ["lora0", "lora1"], "text_encoder": ["lora1"]}
    first = opened(tiny, lora=[f"{loras[0]}:0.8", f"{loras[1]}:0"])
    assert (pictures(both) != pictures(first)).any()
    assert (pictures(first) == pictures(opened(tiny, lora=f"{loras[0]}:0.8"))).all()
    recorded = {name for name in both.info.weights if name.startswith("lora")}
    assert recorded == {"lora pytorch_lora_weights.safetensors x 0.8", "lora kohya.safetensors x 0.4"}
    assert both.info.options["lora"][1] == {"file": str(loras[1]), "weight": 0.4}


@pytest.mark.parametrize("technique", ["embedding", "semantic"])
def test_steering_acts_under_a_lora(tiny: Path, loras: list[Path], technique: str) -> None:
    model = opened(tiny, lora=f"{loras[1]}:0.7")
    steering = Steering(technique=technique, start=0.0, stop=1.0)
    light, none, dark = (
        pictures(model, [Request("a doctor", 1, strength=strength)], steering=steering)
        for strength in (-1.0, 0.0, 1.0)
    )
    toned = pictures(model, [Request("a doctor with very dark skin", 1)])
    assert (light != none).any()
    assert (none == pictures(model, [Request("a doctor", 1)])).all()
    assert (dark != none).any()
    if technique == "embedding":
        assert np.abs(dark - toned).max() <= 1


def test_a_lora_of_another_model_is_refused(tiny: Path, loras: list[Path], tmp_path: Path) -> None:
    import torch

    wrong = {"unet.no_such_block.to_q.lora_A.weight": torch.zeros(2, 4)}
    wrong |= {"unet.no_such_block.to_q.lora_B.weight": torch.zeros(4, 2)}
    file = original_layout.save(wrong, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"LoRA .*other.safetensors (does not fit|changes nothing)"):
        opened(tiny, lora=str(file))
    t2i.make("PixArtSigmaPipeline").save_pretrained(tmp_path / "pixart")
    with pytest.raises(UserError, match="PixArtSigmaPipeline takes no LoRA"):
        opened(tmp_path / "pixart", lora=str(loras[0]))


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


# Settings files and commands -------------------------------------------------------------------------------


def test_settings_files_say_everything_and_take_paths_from_beside_them(
    tiny: Path, loras: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    home = tmp_path / "home"
    home.mkdir()
    shutil.copytree(tiny, home / "tiny")
    shutil.copy(loras[0], home / "style.safetensors")
    text = (
        "model: tiny\nlora: [style.safetensors:0.6]\nscheduler: euler\nnegative_prompt: a nurse\nsteps: 2\n"
    )
    (home / "mine.yaml").write_text(text)
    (home / "mine.json").write_text(
        json.dumps(
            {"model": "tiny", "lora": {"file": "style.safetensors", "weight": 0.6}, "scheduler": "euler",
             "negative_prompt": "a nurse", "steps": 2}
        )
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    name, options = read_settings(home / "mine.yaml")
    assert name == str(home / "tiny")
    assert options.lora[0].file == str(home / "style.safetensors")
    by_hand = opened(
        home / "tiny", lora=f"{home}/style.safetensors:0.6", scheduler="euler", negative_prompt="a nurse"
    )
    for file in ("home/mine.yaml", "home/mine.json"):
        model = load_model(file, "cpu")
        assert isinstance(model, DiffusersModel)
        assert (pictures(model) == pictures(by_hand)).all()
        assert model.info.fingerprint == by_hand.info.fingerprint
        assert model.info.name == file
    other = load_model("home/mine.yaml", "cpu", steps=3)
    assert (other.info.steps, other.info.scheduler) == (3, "EulerDiscreteScheduler")


def test_options_survive_the_run_file_and_the_command_line(loras: list[Path]) -> None:
    options = ModelOptions.of(
        {"lora": [f"{loras[0]}:0.6", str(loras[1])], "textual_inversion": ["smile.safetensors:zz"],
         "scheduler": "euler", "steps": 3, "vae_tiling": True, "guidance_scale": 2.0}
    )  # fmt: skip
    assert ModelOptions.model_validate(json.loads(json.dumps(options.given()))) == options
    assert options.flags() == [
        "--lora", f"{loras[0]}:0.6", "--lora", str(loras[1]), "--textual-inversion", "smile.safetensors:zz",
        "--vae-tiling", "--scheduler", "euler", "--steps", "3", "--guidance-scale", "2.0",
    ]  # fmt: skip


def test_a_command_opens_the_model_as_it_is_told_and_writes_it_down(
    tiny: Path, loras: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = ["generate", "a doctor", "--model", str(tiny), "--count", "2", "--steering", "none"]
    command += ["--device", "cpu", "--steps", "2", "--lora", f"{loras[0]}:0.6", "--lora", f"{loras[1]}:0.2"]
    command += ["--scheduler", "euler", "--negative-prompt", "a nurse", "--out", str(out)]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 0, done.output
    info = next(iter(read_run(out).sessions.values())).record.model
    assert info.options == {
        "lora": [{"file": str(loras[0]), "weight": 0.6}, {"file": str(loras[1]), "weight": 0.2}],
        "scheduler": "euler",
        "negative_prompt": "a nurse",
        "steps": 2,
    }
    again = load_diffusers(info.name, "cpu", options=ModelOptions.model_validate(info.options))
    assert again.info == info
    page = (out / "report.html").read_text("utf-8")
    assert f"--lora {loras[0]}:0.6" in page


def test_an_audit_goes_on_with_the_model_as_it_was_opened(
    tiny: Path, loras: list[Path], tmp_path: Path
) -> None:
    from fairgen.runs import RUN_FILE

    out, prompts = tmp_path / "audit", tmp_path / "prompts.txt"
    prompts.write_text("a doctor\na nurse\n")
    command = ["audit", "--prompts", str(prompts), "--count", "1", "--steering", "none", "--model", str(tiny)]
    command += ["--device", "cpu", "--steps", "2", "--lora", f"{loras[0]}:0.6", "--out", str(out)]
    assert CliRunner().invoke(cli.app, command).exit_code == 0
    whole = (out / RUN_FILE).read_bytes().splitlines()
    (out / RUN_FILE).write_bytes(b"\n".join(whole[:-2]) + b"\n")
    refused = CliRunner().invoke(cli.app, ["audit", "--resume", str(out), "--lora", str(loras[1])])
    assert "is not what the audit" in str(refused.exception)
    assert f"--lora {loras[0]}:0.6" in str(refused.exception)
    done = CliRunner().invoke(cli.app, ["audit", "--resume", str(out)])
    assert done.exit_code == 0, done.exception
    models = {session.record.model.fingerprint for session in read_run(out).sessions.values()}
    assert models == {opened(tiny, lora=f"{loras[0]}:0.6").info.fingerprint}


def test_a_worker_opens_it_alike_and_says_the_same_of_it(
    tiny: Path, loras: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    from fairgen.audit.workers.worker import model_loader

    settings = tmp_path / "mine.yaml"
    settings.write_text(f"model: {tiny}\nscheduler: euler\nsteps: 2\n")
    style = tmp_path / "style.safetensors"
    style.write_bytes(loras[0].read_bytes())
    monkeypatch.chdir(tmp_path)
    options = ModelOptions.of({"lora": "style.safetensors:0.6"})
    here = load_model("mine.yaml", "cpu", options=options)
    sent = pickle.dumps(model_loader("mine.yaml", "cpu", None, options))
    monkeypatch.chdir("/")
    there, reader = pickle.loads(sent)()
    with reader:
        assert there.info == here.info
    assert there.info.options["lora"] == [{"file": "style.safetensors", "weight": 0.6}]


def test_fair_pipeline_takes_the_same(tiny: Path, loras: list[Path]) -> None:
    fair = fairgen.FairPipeline(
        str(tiny), steering="none", num_inference_steps=2, options={"lora": [f"{loras[0]}:0.5"]}
    )
    assert any(name.startswith("lora") for name in fair._generator.info.weights)
    with pytest.raises(UserError, match="this pipeline is open already"):
        fairgen.FairPipeline(fair._generator.pipe, options=ModelOptions())
