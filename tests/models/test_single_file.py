"""Single-file checkpoints: the same pictures as the folder that they were made of, and all of it recorded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairgen.errors import UserError
from fairgen.models import base
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.files import Contents, read_contents
from fairgen.models.loading import load_diffusers, load_model
from fairgen.models.single_file import open_single_file
from fairgen.steering.request import Request
from tests.doubles import original_layout
from tests.doubles import text_to_image as t2i
from tests.doubles.text_to_image.stable_diffusion import sd3_parts, xl_parts
from tests.doubles.tiny_text import clip

REQUESTS = [Request("a portrait of a doctor", 1), Request("a nurse with dark skin", 2)]
SMALL: dict[str, Any] = {"steps": 2, "height": 16, "width": 16}


def pictures(model: Any, requests: list[Request] = REQUESTS) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(picture) for picture in model.generate(requests)]


def same(first: Any, second: Any) -> bool:
    return all((one == other).all() for one, other in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``sd`` and ``xl`` as folders, and beside them as single files of the same names."""
    import torch
    from diffusers import StableDiffusionXLPipeline

    folder = tmp_path_factory.mktemp("checkpoints")
    pipe = t2i.make("StableDiffusionPipeline")
    pipe.save_pretrained(folder / "sd")
    original_layout.save_stable_diffusion(pipe, folder / "sd.safetensors")
    torch.manual_seed(0)
    # Of different widths: by that diffusers tells the two encoders of such a file apart.
    pipe = StableDiffusionXLPipeline(
        **xl_parts(text_encoder=clip(16), text_encoder_2=clip(48, projection=16))
    )
    pipe.save_pretrained(folder / "xl")
    original_layout.save_stable_diffusion_xl(pipe, folder / "xl.safetensors")
    return folder


@pytest.mark.parametrize(
    ("name", "pipeline"), [("sd", "StableDiffusionPipeline"), ("xl", "StableDiffusionXLPipeline")]
)
def test_a_single_file_makes_the_pictures_of_its_folder(checkpoints: Path, name: str, pipeline: str) -> None:
    file = checkpoints / f"{name}.safetensors"
    folder = load_diffusers(str(checkpoints / name), "cpu", **SMALL)
    single = load_diffusers(str(file), "cpu", **SMALL)
    made = pictures(single)
    assert same(made, pictures(folder))
    assert (made[0] != made[1]).any()
    assert (single.info.source, single.info.pipeline) == ("file", pipeline)
    assert single.info.weights[file.name].startswith("sha256:")
    assert single.info.options == SMALL
    assert single.info.fingerprint != folder.info.fingerprint


def test_sd3_that_brings_its_clip_encoders(tmp_path: Path) -> None:
    """The base lends T5 alone; of the rest it has no weights."""
    import torch
    from diffusers import StableDiffusion3Pipeline

    torch.manual_seed(0)
    encoders = {"text_encoder": clip(24, projection=24), "text_encoder_2": clip(16, projection=8)}
    torch.nn.init.eye_(
        encoders["text_encoder"].text_projection.weight
    )  # as in SD 3, whose files leave it out
    pipe = StableDiffusion3Pipeline(**sd3_parts(**encoders))
    pipe.save_pretrained(tmp_path / "sd3")
    file = original_layout.save_stable_diffusion_3(pipe, tmp_path / "sd3.safetensors")
    folder = pictures(load_diffusers(str(tmp_path / "sd3"), "cpu", **SMALL))
    for part in ("text_encoder", "text_encoder_2", "transformer", "vae"):
        next((tmp_path / "sd3" / part).glob("*.safetensors")).unlink()
    assert open_single_file(file, None).lent == ("text_encoder_3",)
    assert same(pictures(load_diffusers(str(file), "cpu", **SMALL)), folder)


@pytest.mark.slow
def test_flux_as_one_file_with_the_text_encoders_of_its_base(tmp_path: Path) -> None:
    """Of Flux's own width, which diffusers takes for granted when it opens such a file; one block each."""
    import torch
    from diffusers import FluxPipeline, FluxTransformer2DModel

    from tests.doubles.text_to_image.flux import FLUX, flux_parts

    own = FLUX | {"num_attention_heads": 24, "attention_head_dim": 128, "axes_dims_rope": (16, 56, 56)}
    with torch.device("meta"):
        wide = FluxTransformer2DModel(**own)
    wide = wide.to(torch.bfloat16).to_empty(device="cpu")
    noise = torch.randn(1_000_003, generator=torch.Generator().manual_seed(0)).mul_(0.02).bfloat16()
    with torch.no_grad():
        for weight in wide.parameters():
            weight.view(-1).copy_(noise.repeat(weight.numel() // len(noise) + 1)[: weight.numel()])
    parts = flux_parts()
    lender = tmp_path / "base"
    FluxPipeline(**parts).save_pretrained(lender)
    (lender / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    wide.save_config(lender / "transformer")
    pipe = FluxPipeline(**(parts | {"transformer": wide}))
    file = original_layout.save_flux(pipe, tmp_path / "flux.safetensors")
    single = load_diffusers(str(file), "cpu", base=str(lender), **(SMALL | {"steps": 1}))
    # To sample it takes longer than to see that every weight is in its place.
    for name in ("transformer", "text_encoder", "text_encoder_2", "vae"):
        found, given = (getattr(pipeline, name).state_dict() for pipeline in (single.pipe, pipe))
        assert found.keys() == given.keys()
        assert all(torch.equal(found[key].float(), weight.float()) for key, weight in given.items())
    configured = json.loads(single.pipe.transformer.to_json_string())
    assert {key: configured[key] for key in own} == json.loads(json.dumps(own))
    for name, value in pipe.scheduler.config.items():
        assert name.startswith("_") or single.pipe.scheduler.config[name] == value
    assert set(single.info.weights) == {
        "flux.safetensors",
        "base/text_encoder/model.safetensors",
        "base/text_encoder_2/model.safetensors",
        "base/vae/diffusion_pytorch_model.safetensors",
        "base/scheduler/scheduler_config.json",
    }


@pytest.mark.embedded
def test_the_embedded_model_keeps_its_autoencoder_which_has_no_original_layout(
    embedded_model: Path, embedded_generator: DiffusersModel, tmp_path: Path
) -> None:
    file = original_layout.save_stable_diffusion(embedded_generator.pipe, tmp_path / "mine.safetensors")
    info = embedded_generator.info
    single = load_diffusers(
        str(file),
        "cpu",
        base=str(embedded_model),
        steps=info.steps,
        guidance_scale=info.guidance_scale,
        height=info.height,
        width=info.width,
    )
    requests = [Request("a portrait of a doctor", 1)]
    assert same(pictures(single, requests), pictures(embedded_generator, requests))
    assert "base/vae/diffusion_pytorch_model.safetensors" in single.info.weights
    bare = tmp_path / "mine"
    shutil.copytree(embedded_model, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(UserError, match="holds no vae, and neither does the base"):
        load_diffusers(str(file), "cpu")


def test_a_gguf_denoiser_and_the_rest_from_its_base(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    pipe = t2i.make("QwenImagePipeline")
    pipe.save_pretrained(tmp_path / "base")
    writer = gguf.GGUFWriter(str(tmp_path / "denoiser.gguf"), "qwen_image")
    for name, value in pipe.transformer.state_dict().items():
        writer.add_tensor(name, value.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    settings: dict[str, Any] = {"steps": 2, "height": 32, "width": 32, "base": str(tmp_path / "base")}
    single = load_diffusers(str(tmp_path / "denoiser.gguf"), "cpu", **settings)
    folder = load_diffusers(str(tmp_path / "base"), "cpu", steps=2, height=32, width=32)
    for one, other in zip(pictures(single), pictures(folder), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
    assert {"denoiser.gguf", "base/vae/diffusion_pytorch_model.safetensors"} <= set(single.info.weights)
    foreign = gguf.GGUFWriter(str(tmp_path / "foreign.gguf"), "llama")
    foreign.add_tensor("blk.0.attn_q.weight", np.zeros((4, 4), np.float32))
    foreign.write_header_to_file()
    foreign.write_kv_data_to_file()
    foreign.write_tensors_to_file()
    foreign.close()
    whole = (tmp_path / "denoiser.gguf").read_bytes()
    (tmp_path / "none.gguf").write_bytes(whole[:8] + bytes(8) + whole[16:])  # so many tensors
    for name in ("foreign.gguf", "none.gguf"):
        with pytest.raises(UserError, match="it is another kind of model than its base"):
            load_diffusers(str(tmp_path / name), "cpu", **settings)


def test_gguf_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "denoiser.gguf"
    file.write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(UserError, match=r"holds a denoiser alone, .* with --base"):
        load_model(str(file), "cpu")
    t2i.make("QwenImagePipeline").save_pretrained(tmp_path / "denoiser")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"need the package gguf: pip install 'fairgen\[gguf\]'"):
        load_model(str(file), "cpu")


@pytest.mark.parametrize(
    ("tensors", "usual"),
    [
        (
            {"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768)},
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
        ),
        (
            {"model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024)},
            "stabilityai/stable-diffusion-2-1",
        ),
        (
            {"conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias": (1280,)},
            "stabilityai/stable-diffusion-xl-base-1.0",
        ),
        (
            {"double_blocks.0.img_attn.norm.key_norm.scale": (128,)},
            "black-forest-labs/FLUX.1-schnell",
        ),
        (
            {
                "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
                "guidance_in.in_layer.bias": (3072,),
                "img_in.weight": (3072, 64),
            },
            "black-forest-labs/FLUX.1-dev",
        ),
        (
            {"joint_blocks.37.x_block.mlp.fc1.weight": (9728, 2432)},
            "stabilityai/stable-diffusion-3.5-large",
        ),
    ],
)
def test_the_kind_is_told_from_the_tensors(
    tensors: dict[str, tuple[int, ...]], usual: str, tmp_path: Path
) -> None:
    contents = Contents(tmp_path / "mine.safetensors", "checkpoint", tensors, {})
    with pytest.raises(UserError) as caught:  # there is no network, and nothing in the cache
        base.find_base(contents, None)
    said = str(caught.value)
    assert f"needs the configuration of {usual}" in said
    assert f"hf download {usual} --include '*.json' '*.txt' '*.model' --local-dir mine" in said
    assert said.endswith("--base.")


def test_an_unknown_kind_asks_for_a_base(tmp_path: Path) -> None:
    tensors = {"model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (8, 8)}
    contents = Contents(tmp_path / "mine.safetensors", "checkpoint", tensors, {})
    with pytest.raises(UserError, match=r"cannot be told from its tensors: .*--base"):
        base.find_base(contents, None)


def test_a_base_lends_no_pickle_and_no_code(checkpoints: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    kept = {k: v for k, v in load_file(checkpoints / "sd.safetensors").items() if "first_stage" not in k}
    file = original_layout.save(kept, tmp_path / "half.safetensors")
    lender = tmp_path / "half"
    shutil.copytree(checkpoints / "sd", lender)
    (lender / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({"a": torch.zeros(1)}, lender / "vae" / "diffusion_pytorch_model.bin")
    with pytest.raises(UserError, match="holds no vae, and neither does the base"):
        load_model(str(file), "cpu")
    shutil.copy(checkpoints / "sd" / "vae" / "diffusion_pytorch_model.safetensors", lender / "vae")
    whole = load_model(str(checkpoints / "sd.safetensors"), "cpu", **SMALL)
    assert same(pictures(load_model(str(file), "cpu", **SMALL)), pictures(whole))
    index = json.loads((lender / "model_index.json").read_text())
    index["vae"] = ["antigravity", "Vae"]
    (lender / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"needs code of its own for its vae \('antigravity'\)"):
        load_model(str(file), "cpu")


def test_a_file_that_lacks_weights_is_refused(checkpoints: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    tensors = load_file(checkpoints / "sd.safetensors")
    tensors.pop("model.diffusion_model.middle_block.1.proj_in.weight")
    file = original_layout.save(tensors, tmp_path / "holes.safetensors")
    with pytest.raises(
        UserError, match=r"lacks weights: it is another kind of model than its base .*, or not whole"
    ):
        load_model(str(file), "cpu", base=str(checkpoints / "sd"))


def test_a_base_of_another_kind_is_refused(checkpoints: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_model(str(checkpoints / "sd.safetensors"), "cpu", base=str(checkpoints / "xl"))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="is no folder and no hub id"):
        load_model(str(checkpoints / "sd.safetensors"), "cpu", base="nowhere")
    with pytest.raises(UserError, match="--base is for models that are a single file"):
        load_model(str(checkpoints / "sd"), "cpu", base=str(checkpoints / "xl"))
    with pytest.raises(UserError, match="A single file has no variants"):
        load_model(str(checkpoints / "sd.safetensors"), "cpu", variant="fp16")


def test_a_checkpoint_that_says_so_predicts_v(checkpoints: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    tensors = load_file(checkpoints / "xl.safetensors") | {"v_pred": torch.zeros(1), "ztsnr": torch.zeros(1)}
    file = original_layout.save(tensors, tmp_path / "v.safetensors")
    single = load_diffusers(str(file), "cpu", base=str(checkpoints / "xl"), **SMALL)
    config = single.pipe.scheduler.config
    assert (config.prediction_type, config.rescale_betas_zero_snr) == ("v_prediction", True)
    plain = load_diffusers(str(checkpoints / "xl.safetensors"), "cpu", **SMALL)
    assert not same(pictures(single), pictures(plain))


def test_what_a_file_holds_is_told_without_loading_it(checkpoints: Path) -> None:
    contents = read_contents(checkpoints / "xl.safetensors", "model")
    assert contents.kind == "checkpoint"
    assert contents.has("conditioner.embedders.1.")
    found = open_single_file(checkpoints / "xl.safetensors", None)
    assert found.base.pipeline_class == "StableDiffusionXLPipeline"
    assert not found.is_transformer


def test_model_info_says_what_a_file_is_before_it_is_loaded(checkpoints: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from fairgen import cli

    file = checkpoints / "xl.safetensors"
    done = CliRunner().invoke(cli.app, ["model", "info", str(file), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["source"], found["pipeline"]) == ("file", "StableDiffusionXLPipeline")
    assert found["fingerprint"] == load_diffusers(str(file), "cpu", **SMALL).info.fingerprint
    assert found["parts"][0]["name"] == "in the file"
    assert found["megabytes"] == round(file.stat().st_size / 1e6, 3)
    shown = CliRunner().invoke(cli.app, ["model", "info", str(file)])
    assert "StableDiffusionXLPipeline" in shown.stdout
    lora = original_layout.save(
        {f"lora_unet_x.lora_{end}.weight": clip().state_dict().popitem()[1] for end in ("up", "down")},
        tmp_path / "lora.safetensors",
    )
    refused = CliRunner().invoke(cli.app, ["model", "info", str(lora)])
    assert "is a LoRA" in str(refused.exception)
