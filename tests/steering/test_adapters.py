"""Steering beside what is put into a pipeline: adapters, schedulers, quantised weights."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch

from fairgen.models.fingerprint import fingerprint
from fairgen.models.loading import wrap_pipeline
from fairgen.steering.guidance import ToneGuidance
from tests.doubles import text_to_image as t2i
from tests.doubles.acting import DARK, PROMPT, acts

SD, SDXL = "StableDiffusionPipeline", "StableDiffusionXLPipeline"
TECHNIQUES = ("embedding", "semantic")
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:.*is deprecated:FutureWarning"),  # of diffusers' own classes
    pytest.mark.filterwarnings(r"ignore:.*torch\.jit\.script.*:DeprecationWarning"),
]


@pytest.fixture
def sd() -> Any:
    return t2i.make(SD)


def ip_adapter(unet: Any) -> dict[str, Any]:
    """Weights of an IP-Adapter for a UNet, as a file holds them."""
    width = unet.config.cross_attention_dim
    layers: dict[str, Any] = {}
    for number, name in enumerate(n for n in unet.attn_processors if "attn1" not in n):
        layer = unet.get_submodule(name.removesuffix(".processor"))
        for side in ("to_k_ip", "to_v_ip"):
            rows = torch.randn(layer.to_q.out_features, layer.to_k.in_features)
            layers[f"{2 * number + 1}.{side}.weight"] = 0.3 * rows
    projection = {
        "proj.weight": 0.3 * torch.randn(4 * width, 32), "proj.bias": torch.zeros(4 * width),
        "norm.weight": torch.ones(width), "norm.bias": torch.zeros(width),
    }  # fmt: skip
    return {"image_proj": projection, "ip_adapter": layers}


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", [SD, SDXL])
def test_ip_adapter(name: str, masked: bool, technique: str) -> None:
    """Pictures as prompts, for the whole picture or through a mask."""
    from diffusers.image_processor import IPAdapterMaskProcessor

    pipe = t2i.make(name)
    plain = t2i.sample(name, pipe, [PROMPT] * 2, guidance_scale=4.0)
    pipe.load_ip_adapter(ip_adapter(pipe.unet), subfolder=None, weight_name=None, image_encoder_folder=None)
    pipe.set_ip_adapter_scale(0.7)
    shown = torch.randn(2, 1, 32)
    more: dict[str, Any] = {
        "ip_adapter_image_embeds": [torch.cat([torch.zeros_like(shown), shown])],
        "guidance_scale": 4.0,
    }
    if masked:
        masks = IPAdapterMaskProcessor().preprocess([t2i.picture()], height=16, width=16)
        more["cross_attention_kwargs"] = {"ip_adapter_masks": [masks]}
    assert not torch.allclose(t2i.sample(name, pipe, [PROMPT] * 2, **more), plain, atol=1e-3)
    acts(pipe, name, technique, **more)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_loras_of_denoiser_and_encoder(sd: Any, technique: str) -> None:
    """With a scale in the call, with a weight, fused; and every weight is another model."""
    from peft import LoraConfig

    for module, layers in ((sd.unet, ["to_q", "to_k", "to_v"]), (sd.text_encoder, ["q_proj", "v_proj"])):
        module.add_adapter(
            LoraConfig(r=2, lora_alpha=8, target_modules=layers, init_lora_weights=False), "style"
        )
    acts(sd, technique=technique)
    acts(sd, technique=technique, cross_attention_kwargs={"scale": 0.3})
    before = wrap_pipeline(sd, height=16, width=16).info.weights
    sd.unet.set_adapters(["style"], [0.1])
    after = wrap_pipeline(sd, height=16, width=16).info.weights
    assert {name for name in before if before[name] != after[name]} == {"denoiser"}
    acts(sd, technique=technique)
    sd.unet.fuse_lora()
    acts(sd, technique=technique)


def test_an_adapter_that_is_loaded_within_the_block(sd: Any) -> None:
    """Kept encodings of the encoder without it are not taken."""
    from peft import LoraConfig

    lora = LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    with ToneGuidance(sd, strength=[0.0, 1.0]):
        t2i.sample(SD, sd, [PROMPT] * 2)
        sd.text_encoder.add_adapter(lora, "style")
        steered = t2i.sample(SD, sd, [PROMPT] * 2)
    assert torch.allclose(steered[1], t2i.sample(SD, sd, [DARK] * 2)[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2])
def test_an_encoder_that_changes_within_the_block(count: int) -> None:
    """Kept encodings are told from new ones where prompts stand in a list too (Z-Image)."""
    name = "ZImagePipeline"
    pipe = t2i.make(name)
    with ToneGuidance(pipe, strength=1.0):
        t2i.sample(name, pipe, [PROMPT] * count)
        with torch.no_grad():
            for weight in pipe.text_encoder.parameters():
                weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
        steered = t2i.sample(name, pipe, [PROMPT] * count)
    toned = t2i.sample(name, pipe, [DARK] * count)
    effect = float((toned - t2i.sample(name, pipe, [PROMPT] * count)).abs().max())
    assert float((steered - toned).abs().max()) <= 1e-3 * effect


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("name", [SD, "StableDiffusion3Pipeline", "SanaPipeline"])
def test_fused_projections(name: str, technique: str) -> None:
    pipe = t2i.make(name)
    (pipe if hasattr(pipe, "fuse_qkv_projections") else pipe.transformer).fuse_qkv_projections()
    acts(pipe, name, technique)


def test_perturbed_attention() -> None:
    """With and without classifier-free guidance beside it."""
    name = "StableDiffusionPAGPipeline"
    pipe = t2i.make(name)
    for scale in (1.0, 4.0):
        unlike = t2i.sample(name, pipe, [PROMPT] * 2, guidance_scale=scale, pag_scale=0.0)
        for technique in TECHNIQUES:
            acts(pipe, name, technique, unlike, guidance_scale=scale, pag_scale=3.0)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_perturbed_attention_by_a_callback(scale: float) -> None:
    """The conditional rows are there twice, and both are toned; the negative prompt's stay, though equal."""
    name = "StableDiffusionPAGPipeline"
    pipe = t2i.make(name)
    more: dict[str, Any] = {"guidance_scale": scale, "pag_scale": 3.0, "num_inference_steps": 4}
    more["negative_prompt"] = PROMPT
    by: dict[str, Any] = {"callback_on_step_end": ToneGuidance(pipe, strength=1.0)}
    by["callback_on_step_end_tensor_inputs"] = by["callback_on_step_end"].tensor_inputs
    called = t2i.sample(name, pipe, [PROMPT], **by, **more)
    with ToneGuidance(pipe, strength=1.0, start=0.2):
        block = t2i.sample(name, pipe, [PROMPT], **more)
    assert torch.allclose(called, block, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(called, t2i.sample(name, pipe, [PROMPT], **more), atol=1e-2)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_group_offloading_slicing_and_tiling(sd: Any, technique: str) -> None:
    sd.vae.enable_tiling()
    sd.enable_attention_slicing()
    sd.enable_group_offload(onload_device=torch.device("cpu"), offload_type="leaf_level")
    acts(sd, technique=technique)


class FewOperations(torch.Tensor):
    """A quantised weight as torchao's are: integers and a scale, known to few functions."""

    numbers: torch.Tensor
    scale: float

    @classmethod
    def of(cls, weight: torch.Tensor) -> FewOperations:
        """The weight in eight bits, with one scale."""
        wrap: Any = torch.Tensor._make_wrapper_subclass
        made: FewOperations = wrap(cls, weight.shape, dtype=weight.dtype)
        made.scale = float(weight.detach().abs().max()) / 127
        made.numbers = (weight.detach() / made.scale).round().to(torch.int8)
        return made

    def dequantize(self) -> torch.Tensor:
        """The numbers."""
        return self.numbers * self.scale

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, _types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function is torch.ops.aten.detach.default:
            return cls.of(args[0].dequantize())
        raise NotImplementedError(f"{function} is not implemented for {cls.__name__}")


def test_quantised_weights_have_a_fingerprint() -> None:
    """Tensors that know no norm: they are made whole first."""
    first, other = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    plain = fingerprint(first)
    for layer in (first, other):
        layer.weight = torch.nn.Parameter(FewOperations.of(layer.weight), requires_grad=False)
    with pytest.raises(NotImplementedError):
        first.weight.norm()
    again = torch.nn.Linear(4, 4)
    again.load_state_dict({"weight": first.weight.dequantize(), "bias": first.bias})
    assert fingerprint(first) == fingerprint(again)
    assert fingerprint(first) != fingerprint(other)
    assert plain.startswith("sha256:")


def test_a_pipeline_that_was_steered_can_be_pickled_saved_and_copied(sd: Any, tmp_path: Any) -> None:
    from diffusers import AutoPipelineForImage2Image

    with ToneGuidance(sd, strength=1.0):
        inside = t2i.sample(SD, sd, [PROMPT])
        sd.save_pretrained(tmp_path)
        assert type(AutoPipelineForImage2Image.from_pipe(sd)).__name__ == "StableDiffusionImg2ImgPipeline"
    assert '"_class_name": "StableDiffusionPipeline"' in (tmp_path / "model_index.json").read_text()
    copied = pickle.loads(pickle.dumps(sd))
    with ToneGuidance(copied, strength=1.0):
        assert torch.equal(t2i.sample(SD, copied, [PROMPT]), inside)


def test_a_prompt_that_is_anothers_negative_prompt(sd: Any) -> None:
    nurse = "a photo of a nurse"
    more: dict[str, Any] = {"guidance_scale": 4.0, "negative_prompt": [nurse, PROMPT]}
    plain, toned = t2i.sample(SD, sd, [PROMPT, nurse], **more), t2i.sample(SD, sd, [DARK, nurse], **more)
    for technique in TECHNIQUES:
        with ToneGuidance(sd, strength=[1.0, 0.0], technique=technique):
            steered = t2i.sample(SD, sd, [PROMPT, nurse], **more)
        assert torch.equal(steered[1], plain[1])
        assert torch.allclose(steered[0], toned[0], rtol=1e-3, atol=1e-4)
        assert not torch.allclose(steered[0], plain[0], atol=1e-2)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_every_scheduler(sd: Any, technique: str) -> None:
    """Those that draw noise, that call the denoiser twice, that predict otherwise."""
    import diffusers

    for kind in (
        "DDPM", "LMSDiscrete", "EulerDiscrete", "EulerAncestralDiscrete", "KDPM2AncestralDiscrete",
        "DPMSolverMultistep", "DPMSolverSinglestep", "DEISMultistep", "UniPCMultistep", "SASolver", "TCD",
        "EDMEuler", "IPNDM",
    ):  # fmt: skip
        scheduler = getattr(diffusers, f"{kind}Scheduler")
        known = scheduler().config
        settings = {key: value for key, value in sd.scheduler.config.items() if key in known}
        sd.scheduler = scheduler.from_config(settings)
        acts(sd, technique=technique, num_inference_steps=3)
