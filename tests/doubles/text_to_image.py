"""Every text-to-image pipeline that diffusers exports, tiny and with random weights: no download.

Configurations follow those of diffusers' own tests; tokenizers and encoders are made in `tiny_text`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.doubles import tiny_text
from tests.doubles.tiny_text import WIDTH, clip, language_model, qwen_vl, t5, tokenizer

STEPS = 2


@dataclass(frozen=True)
class Case:
    """One pipeline class.

    Attributes:
        build: makes the components, by the names of the pipeline's own arguments.
        call: what it is called with, beside prompt and generator.
        guided: further arguments that switch guidance on, with a negative prompt where it takes one; None:
            it knows no guidance.
        plain: further arguments that switch guidance off.
        one: it takes one prompt at a time.
        single: arguments that are given once, even for several prompts, where most take a list.
        each: arguments that are given once for each prompt.
        one_seed: it takes one generator only, for the whole batch.
        shrunk: attributes of the pipeline that are set to less than its own, so that it stays small.
    """

    build: Callable[[], dict[str, Any]]
    call: dict[str, Any] = field(default_factory=dict)
    guided: dict[str, Any] | None = None
    plain: dict[str, Any] | None = None
    one: bool = False
    single: tuple[str, ...] = ()
    each: tuple[str, ...] = ()
    one_seed: bool = False
    shrunk: dict[str, Any] = field(default_factory=dict)


CASES: dict[str, Case] = {}


def case(*names: str, **given: Any) -> Callable[[Callable[[], dict[str, Any]]], Callable[[], dict[str, Any]]]:
    """Registers a builder for some classes that are called alike."""

    def register(build: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        for name in names:
            CASES[name] = Case(build, **given)
        return build

    return register


def sample(name: str, pipe: Any, prompts: Any, count: int | None = None, **more: Any) -> Any:
    """The pictures (latents) of a call, a seed for each; ``count``: how many there are."""
    import torch

    known = CASES[name]
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    given = {"num_inference_steps": STEPS, "output_type": "latent"} | known.call | more
    negative = given.get("negative_prompt")
    if isinstance(negative, str) and not known.one and "negative_prompt" not in known.single:
        given["negative_prompt"] = [negative] * len(texts)
    for argument in known.each:
        given[argument] = [given[argument]] * len(texts)
    torch.manual_seed(0)  # not all noise comes from the generators
    seeds = [torch.Generator().manual_seed(seed) for seed in range(count or len(texts))]
    result = pipe(
        prompt=texts[0] if known.one else texts,
        generator=seeds[0] if known.one or known.one_seed else seeds,
        **given,
    )
    found = next(getattr(result, key) for key in ("images", "image") if hasattr(result, key))
    found = torch.stack([torch.as_tensor(one) for one in found]) if isinstance(found, list) else found
    return torch.as_tensor(found).float()


def make(name: str) -> Any:
    """The pipeline, the same weights each time."""
    import inspect

    import diffusers
    import torch

    torch.manual_seed(0)
    kind = getattr(diffusers, name)
    parts = CASES[name].build()
    known = inspect.signature(kind.__init__).parameters
    pipe = kind(**{key: value for key, value in parts.items() if key in known})
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
            for weight in part.parameters():
                if weight.ndim > 1 and not weight.any():  # begun at zero: no text would come through
                    torch.nn.init.normal_(weight, std=0.2)
    for attribute, value in CASES[name].shrunk.items():
        setattr(pipe, attribute, value)
    pipe.set_progress_bar_config(disable=True)
    return pipe


GUIDED = {"guidance_scale": 4.0, "negative_prompt": "a blurry photo"}
UNGUIDED = {"guidance_scale": 1.0}
SMALL = {"height": 16, "width": 16}


# Parts ---------------------------------------------------------------------------------------------------


def vae(channels: int = 4, **more: Any) -> Any:
    from diffusers import AutoencoderKL

    settings: dict[str, Any] = {
        "block_out_channels": (8, 8),
        "down_block_types": ("DownEncoderBlock2D", "DownEncoderBlock2D"),
        "up_block_types": ("UpDecoderBlock2D", "UpDecoderBlock2D"),
        "norm_num_groups": 4,
        "latent_channels": channels,
        "shift_factor": 0.0,
        "scaling_factor": 1.0,
    }
    return AutoencoderKL(**(settings | more))


def qwen_vae() -> Any:
    from diffusers import AutoencoderKLQwenImage

    return AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 2, 4], num_res_blocks=1, temperal_downsample=[False, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4,
    )  # fmt: skip


def dc_vae() -> Any:
    from diffusers import AutoencoderDC

    return AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"), encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8), encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)), encoder_layers_per_block=(1, 1),
        decoder_layers_per_block=[1, 1], downsample_block_type="conv", upsample_block_type="interpolate",
        decoder_norm_types="rms_norm", decoder_act_fns="silu", scaling_factor=1.0,
    )  # fmt: skip


def flux2_vae() -> Any:
    from diffusers import AutoencoderKLFlux2

    return AutoencoderKLFlux2(
        sample_size=32, down_block_types=("DownEncoderBlock2D",), up_block_types=("UpDecoderBlock2D",),
        block_out_channels=(4,), layers_per_block=1, latent_channels=1, norm_num_groups=1,
        use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip


def flow(**more: Any) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(**more)


def ddim(**more: Any) -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(clip_sample=False, steps_offset=1, **more)


UNET: dict[str, Any] = {
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    "cross_attention_dim": WIDTH,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
}
UNET_XL = UNET | {
    "cross_attention_dim": 2 * WIDTH,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 8 * 6 + 16,
    "transformer_layers_per_block": (1, 1),
}


ADAPTED = {
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
"""T2I adapters add to blocks with cross-attention first."""


def unet(**more: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(**(UNET | more))


def controlnet(settings: dict[str, Any], kind: str = "ControlNetModel", **more: Any) -> Any:
    import diffusers
    import torch

    known = {k: v for k, v in settings.items() if k not in ("sample_size", "up_block_types")}
    made = getattr(diffusers, kind)(
        **known, conditioning_embedding_out_channels=(8, 8), in_channels=4, **more
    )
    for layer in [*made.controlnet_down_blocks, made.controlnet_mid_block]:
        torch.nn.init.normal_(layer.weight)
    return made


def picture(side: int = 16) -> Any:
    from PIL import Image

    return Image.linear_gradient("L").resize((side, side)).convert("RGB")


# Stable Diffusion and its kin ------------------------------------------------------------------------------


def sd_parts(**more: Any) -> dict[str, Any]:
    return {
        "vae": vae(),
        "text_encoder": clip(),
        "tokenizer": tokenizer(),
        "unet": unet(),
        "scheduler": ddim(),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    } | more


@case(
    "StableDiffusionPipeline", "StableDiffusionPAGPipeline",
    "StableDiffusionSAGPipeline", call=SMALL, guided=GUIDED, plain=UNGUIDED,
)  # fmt: skip
def stable_diffusion() -> dict[str, Any]:
    return sd_parts()


@case("StableDiffusionPanoramaPipeline", call=SMALL, plain=UNGUIDED)  # guided, diffusers mixes up the rows
def panorama() -> dict[str, Any]:
    return sd_parts()


@case("SemanticStableDiffusionPipeline", call=SMALL, guided=GUIDED, plain=UNGUIDED)
def semantic_stable_diffusion() -> dict[str, Any]:
    return sd_parts()


@case("LatentConsistencyModelPipeline", call=SMALL)
def latent_consistency() -> dict[str, Any]:
    from diffusers import LCMScheduler

    return sd_parts(unet=unet(time_cond_proj_dim=8), scheduler=LCMScheduler())


@case(
    "StableDiffusionControlNetPipeline", "StableDiffusionControlNetPAGPipeline",
    call=SMALL | {"image": picture()}, guided=GUIDED, plain=UNGUIDED,
)  # fmt: skip
def stable_diffusion_controlnet() -> dict[str, Any]:
    return sd_parts(controlnet=controlnet(UNET))


@case(
    "StableDiffusionAdapterPipeline",
    each=("image",),
    call=SMALL | {"image": picture()},
    guided=GUIDED,
    plain=UNGUIDED,
)
def stable_diffusion_adapter() -> dict[str, Any]:
    from diffusers import T2IAdapter

    return sd_parts(
        unet=unet(**ADAPTED),
        adapter=T2IAdapter(in_channels=3, channels=[8, 16], num_res_blocks=1, downscale_factor=2),
    )


def xl_parts(**more: Any) -> dict[str, Any]:
    from diffusers import EulerDiscreteScheduler

    return {
        "vae": vae(),
        "text_encoder": clip(),
        "text_encoder_2": clip(projection=16),
        "tokenizer": tokenizer(),
        "tokenizer_2": tokenizer(),
        "unet": unet(**UNET_XL),
        "scheduler": EulerDiscreteScheduler(),
        "add_watermarker": False,
    } | more


@case("StableDiffusionXLPipeline", "StableDiffusionXLPAGPipeline", call=SMALL, guided=GUIDED, plain=UNGUIDED)
def stable_diffusion_xl() -> dict[str, Any]:
    return xl_parts()


@case(
    "StableDiffusionXLControlNetPipeline", "StableDiffusionXLControlNetPAGPipeline",
    call=SMALL | {"image": picture()}, guided=GUIDED, plain=UNGUIDED,
)  # fmt: skip
def stable_diffusion_xl_controlnet() -> dict[str, Any]:
    return xl_parts(controlnet=controlnet(UNET_XL))


@case(
    "StableDiffusionXLControlNetUnionPipeline",
    call=SMALL | {"control_image": [picture()], "control_mode": [0]}, guided=GUIDED, plain=UNGUIDED,
)  # fmt: skip
def stable_diffusion_xl_controlnet_union() -> dict[str, Any]:
    return xl_parts(
        controlnet=controlnet(
            UNET_XL,
            "ControlNetUnionModel",
            num_control_type=6,
            num_trans_channel=8,
            num_trans_head=2,
            num_proj_channel=8,
        )
    )


@case(
    "StableDiffusionXLAdapterPipeline",
    each=("image",),
    call=SMALL | {"image": picture()},
    guided=GUIDED,
    plain=UNGUIDED,
)
def stable_diffusion_xl_adapter() -> dict[str, Any]:
    from diffusers import T2IAdapter

    return xl_parts(
        unet=unet(**(UNET_XL | ADAPTED)),
        adapter=T2IAdapter(
            in_channels=3, channels=[8, 16], num_res_blocks=1, downscale_factor=2, adapter_type="full_adapter"
        ),
    )


def sd3_parts(**more: Any) -> dict[str, Any]:
    from diffusers import SD3Transformer2DModel

    return {
        "transformer": SD3Transformer2DModel(
            sample_size=8, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8,
            num_attention_heads=4, caption_projection_dim=32, joint_attention_dim=64,
            pooled_projection_dim=32, out_channels=4,
        ),
        "scheduler": flow(),
        "vae": vae(),
        "text_encoder": clip(projection=16),
        "tokenizer": tokenizer(),
        "text_encoder_2": clip(projection=16),
        "tokenizer_2": tokenizer(),
        "text_encoder_3": t5(2 * WIDTH),
        "tokenizer_3": tokenizer(),
    } | more  # fmt: skip


@case("StableDiffusion3Pipeline", call=SMALL | {"max_sequence_length": 24}, guided=GUIDED, plain=UNGUIDED)
def stable_diffusion_3() -> dict[str, Any]:
    return sd3_parts()


@case("StableDiffusion3PAGPipeline", call=SMALL, guided=GUIDED, plain=UNGUIDED)
def stable_diffusion_3_pag() -> dict[str, Any]:
    return sd3_parts(pag_applied_layers=["blocks.0"])


@case(
    "StableDiffusion3ControlNetPipeline",
    call=SMALL | {"max_sequence_length": 24, "control_image": picture()}, guided=GUIDED, plain=UNGUIDED,
)  # fmt: skip
def stable_diffusion_3_controlnet() -> dict[str, Any]:
    from diffusers import SD3ControlNetModel

    return sd3_parts(
        controlnet=SD3ControlNetModel(
            sample_size=8, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8,
            num_attention_heads=4, joint_attention_dim=64, caption_projection_dim=32,
            pooled_projection_dim=32, out_channels=4,
        )
    )  # fmt: skip


# Flux and its kin ------------------------------------------------------------------------------------------

FLUX = {
    "patch_size": 1, "in_channels": 16, "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16,
    "num_attention_heads": 2, "joint_attention_dim": 32, "pooled_projection_dim": 16,
    "axes_dims_rope": (4, 4, 8),
}  # fmt: skip
TRUE = {"true_cfg_scale": 3.0, "negative_prompt": "a blurry photo"}


def flux_parts(**more: Any) -> dict[str, Any]:
    from diffusers import FluxTransformer2DModel

    return {
        "scheduler": flow(),
        "vae": vae(),
        "text_encoder": clip(16),
        "tokenizer": tokenizer(),
        "text_encoder_2": t5(),
        "tokenizer_2": tokenizer(),
        "transformer": FluxTransformer2DModel(**FLUX),
        "image_encoder": None,
        "feature_extractor": None,
    } | more


@case("FluxPipeline", call=SMALL | {"max_sequence_length": 24}, guided=TRUE, plain={})
def flux() -> dict[str, Any]:
    return flux_parts()


@case("FluxKontextPipeline", call=SMALL | {"max_sequence_length": 24, "max_area": 256}, guided=TRUE, plain={})
def flux_kontext() -> dict[str, Any]:
    return flux_parts()


@case("FluxControlPipeline", call=SMALL | {"max_sequence_length": 24, "control_image": picture()})
def flux_control() -> dict[str, Any]:
    from diffusers import FluxTransformer2DModel

    return flux_parts(transformer=FluxTransformer2DModel(**(FLUX | {"in_channels": 32, "out_channels": 16})))


@case("FluxControlNetPipeline", call=SMALL | {"max_sequence_length": 24, "control_image": picture()})
def flux_controlnet() -> dict[str, Any]:
    from diffusers import FluxControlNetModel

    return flux_parts(controlnet=FluxControlNetModel(**FLUX))


FLUX2 = {
    "patch_size": 1, "in_channels": 4, "num_layers": 1, "num_single_layers": 1, "attention_head_dim": 16,
    "num_attention_heads": 2, "joint_attention_dim": 16, "timestep_guidance_channels": 256,
    "axes_dims_rope": [4, 4, 4, 4],
}  # fmt: skip


@case(
    "Flux2Pipeline",
    call={"height": 8, "width": 8, "max_sequence_length": 192, "text_encoder_out_layers": (1,)},
)
def flux2() -> dict[str, Any]:
    from diffusers import Flux2Transformer2DModel

    return {
        "scheduler": flow(), "vae": flux2_vae(), "text_encoder": tiny_text.mistral(),
        "tokenizer": tokenizer(512), "transformer": Flux2Transformer2DModel(**FLUX2),
    }  # fmt: skip


@case(
    "Flux2KleinPipeline", call={
        "height": 8, "width": 8, "max_sequence_length": 48, "text_encoder_out_layers": (1,),
    }, guided={"guidance_scale": 4.0}, plain=UNGUIDED,
)  # fmt: skip
def flux2_klein() -> dict[str, Any]:
    from diffusers import Flux2Transformer2DModel

    return {
        "scheduler": flow(), "vae": flux2_vae(), "text_encoder": language_model("Qwen3", 16, head=True),
        "tokenizer": tokenizer(512, end=False),
        "transformer": Flux2Transformer2DModel(**FLUX2, guidance_embeds=False),
    }  # fmt: skip


@case(
    "ChromaPipeline", call={"height": 8, "width": 8, "max_sequence_length": 24}, guided=GUIDED, plain=UNGUIDED
)
def chroma() -> dict[str, Any]:
    from diffusers import ChromaTransformer2DModel

    return {
        "scheduler": flow(), "vae": vae(1), "text_encoder": t5(), "tokenizer": tokenizer(),
        "transformer": ChromaTransformer2DModel(
            patch_size=1, in_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=32, axes_dims_rope=[4, 4, 8],
            approximator_hidden_dim=32, approximator_layers=1, approximator_num_channels=16,
        ),
    }  # fmt: skip


@case("BriaPipeline", call=SMALL | {"max_sequence_length": 24}, guided=GUIDED, plain=UNGUIDED)
def bria() -> dict[str, Any]:
    from diffusers import BriaTransformer2DModel

    return {
        "scheduler": flow(), "vae": vae(), "text_encoder": t5(), "tokenizer": tokenizer(),
        "transformer": BriaTransformer2DModel(
            patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=8,
            num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=None,
            axes_dims_rope=[0, 4, 4],
        ),
    }  # fmt: skip


def wan_vae(**more: Any) -> Any:
    from diffusers import AutoencoderKLWan

    settings: dict[str, Any] = {
        "base_dim": 3, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1,
        "temperal_downsample": [False, True, True],
    }  # fmt: skip
    return AutoencoderKLWan(**(settings | more))


@case("BriaFiboPipeline", call={"height": 64, "width": 64}, guided=GUIDED, plain=UNGUIDED)
def bria_fibo() -> dict[str, Any]:
    from diffusers import BriaFiboTransformer2DModel

    return {
        "scheduler": flow(), "vae": wan_vae(scale_factor_spatial=16), "tokenizer": tokenizer(512, end=False),
        "text_encoder": language_model("SmolLM3", 32, head=True),
        "transformer": BriaFiboTransformer2DModel(
            patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=8,
            num_attention_heads=2, joint_attention_dim=64, text_encoder_dim=32, pooled_projection_dim=None,
            axes_dims_rope=[0, 4, 4],
        ),
    }  # fmt: skip


@case("OvisImagePipeline", call=SMALL | {"max_sequence_length": 64}, guided=GUIDED, plain=UNGUIDED)
def ovis() -> dict[str, Any]:
    from diffusers import OvisImageTransformer2DModel

    return {
        "scheduler": flow(), "vae": vae(1), "text_encoder": language_model("Qwen3"),
        "tokenizer": tokenizer(512, end=False),
        "transformer": OvisImageTransformer2DModel(
            patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_single_layers=1,
            attention_head_dim=16, num_attention_heads=2, joint_attention_dim=32, axes_dims_rope=(4, 4, 8),
        ),
    }  # fmt: skip


@case(
    "LongCatImagePipeline",
    call=SMALL | {"enable_prompt_rewrite": False},
    guided=GUIDED,
    plain=UNGUIDED,
    shrunk={"tokenizer_max_length": 64},
)
def longcat() -> dict[str, Any]:
    from diffusers import LongCatImageTransformer2DModel

    return {
        "scheduler": flow(), "vae": vae(16), "text_encoder": qwen_vl("Qwen2_5_VL", 32),
        "tokenizer": tokenizer(512, end=False), "text_processor": tiny_text.Processor(),
        "transformer": LongCatImageTransformer2DModel(
            patch_size=1, in_channels=64, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32,
            axes_dims_rope=[4, 4, 8],
        ),
    }  # fmt: skip


# Diffusion transformers with a T5 or Gemma encoder ---------------------------------------------------------

BINS = {"use_resolution_binning": False}


def pixart_parts(**more: Any) -> dict[str, Any]:
    from diffusers import PixArtTransformer2DModel

    settings: dict[str, Any] = {
        "sample_size": 8, "num_layers": 1, "patch_size": 2, "attention_head_dim": 8,
        "num_attention_heads": 4, "caption_channels": 32, "in_channels": 4, "cross_attention_dim": 32,
        "out_channels": 8, "attention_bias": True, "activation_fn": "gelu-approximate",
        "num_embeds_ada_norm": 1000, "norm_type": "ada_norm_single", "norm_elementwise_affine": False,
        "norm_eps": 1e-6,
    }  # fmt: skip
    return {
        "tokenizer": tokenizer(), "text_encoder": t5(), "vae": vae(), "scheduler": ddim(),
        "transformer": PixArtTransformer2DModel(**(settings | more)),
    }  # fmt: skip


PIXART = SMALL | BINS | {"max_sequence_length": 16, "clean_caption": False}


@case("PixArtSigmaPipeline", "PixArtSigmaPAGPipeline", call=PIXART, guided=GUIDED, plain=UNGUIDED)
def pixart_sigma() -> dict[str, Any]:
    return pixart_parts() | {"pag_applied_layers": ["blocks.0"]}


@case("PixArtAlphaPipeline", call=PIXART, guided=GUIDED, plain=UNGUIDED)
def pixart_alpha() -> dict[str, Any]:
    return pixart_parts(use_additional_conditions=False)


def sana_parts(**more: Any) -> dict[str, Any]:
    from diffusers import SanaTransformer2DModel

    return {
        "tokenizer": tokenizer(512, end=False, begin=True, side="right"),
        "text_encoder": language_model("Gemma2"), "vae": dc_vae(), "scheduler": flow(shift=3.0),
        "transformer": SanaTransformer2DModel(
            patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2,
            attention_head_dim=4, num_cross_attention_heads=2, cross_attention_head_dim=4,
            cross_attention_dim=8, caption_channels=32, sample_size=8, **more,
        ),
    }  # fmt: skip


SANA = {"height": 32, "width": 32, "max_sequence_length": 16, "clean_caption": False} | BINS


@case("SanaPipeline", "SanaPAGPipeline", call=SANA, guided=GUIDED, plain=UNGUIDED)
def sana() -> dict[str, Any]:
    return sana_parts() | {"pag_applied_layers": ["blocks.0"]}


@case("SanaSprintPipeline", call=SANA)
def sana_sprint() -> dict[str, Any]:
    from diffusers import SCMScheduler

    return sana_parts(qk_norm="rms_norm_across_heads", guidance_embeds=True) | {"scheduler": SCMScheduler()}


@case("SanaControlNetPipeline", call=SANA | {"control_image": picture(32)}, guided=GUIDED, plain=UNGUIDED)
def sana_controlnet() -> dict[str, Any]:
    from diffusers import SanaControlNetModel

    return sana_parts() | {
        "controlnet": SanaControlNetModel(
            patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2,
            attention_head_dim=4, num_cross_attention_heads=2, cross_attention_head_dim=4,
            cross_attention_dim=8, caption_channels=32, sample_size=8,
        )
    }  # fmt: skip


@case("AuraFlowPipeline", call=SMALL | {"max_sequence_length": 24}, guided=GUIDED, plain=UNGUIDED)
def aura_flow() -> dict[str, Any]:
    from diffusers import AuraFlowTransformer2DModel

    return {
        "scheduler": flow(), "text_encoder": t5(multilingual=True), "tokenizer": tokenizer(), "vae": vae(),
        "transformer": AuraFlowTransformer2DModel(
            sample_size=32, patch_size=2, in_channels=4, num_mmdit_layers=1, num_single_dit_layers=1,
            attention_head_dim=8, num_attention_heads=4, caption_projection_dim=32, joint_attention_dim=32,
            out_channels=4, pos_embed_max_size=256,
        ),
    }  # fmt: skip


@case("CogView3PlusPipeline", call=SMALL | {"max_sequence_length": 24}, guided=GUIDED, plain=UNGUIDED)
def cogview3() -> dict[str, Any]:
    from diffusers import CogVideoXDDIMScheduler, CogView3PlusTransformer2DModel

    return {
        "scheduler": CogVideoXDDIMScheduler(), "text_encoder": t5(), "tokenizer": tokenizer(), "vae": vae(),
        "transformer": CogView3PlusTransformer2DModel(
            patch_size=2, in_channels=4, num_layers=1, attention_head_dim=4, num_attention_heads=2,
            out_channels=4, text_embed_dim=32, time_embed_dim=8, condition_dim=2, pos_embed_max_size=8,
            sample_size=8,
        ),
    }  # fmt: skip


def cogview4_parts(channels: int = 4) -> dict[str, Any]:
    from diffusers import CogView4Transformer2DModel

    return {
        "scheduler": flow(
            base_shift=0.25, max_shift=0.75, base_image_seq_len=256, use_dynamic_shifting=True,
            time_shift_type="linear",
        ),
        "text_encoder": language_model("Glm", head=True), "vae": vae(),
        "tokenizer": tokenizer(512, side="left", end=False),
        "transformer": CogView4Transformer2DModel(
            patch_size=2, in_channels=channels, num_layers=2, attention_head_dim=4, num_attention_heads=4,
            out_channels=4, text_embed_dim=32, time_embed_dim=8, condition_dim=4,
        ),
    }  # fmt: skip


@case("CogView4Pipeline", call=SMALL | {"max_sequence_length": 64}, guided=GUIDED, plain=UNGUIDED)
def cogview4() -> dict[str, Any]:
    return cogview4_parts()


@case(
    "CogView4ControlPipeline", call=SMALL | {"max_sequence_length": 64, "control_image": picture()},
    guided=GUIDED, plain=UNGUIDED,
)  # fmt: skip
def cogview4_control() -> dict[str, Any]:
    return cogview4_parts(8)


@case(
    "LuminaPipeline",
    call={"height": 32, "width": 32, "max_sequence_length": 64},
    guided=GUIDED,
    plain=UNGUIDED,
)
def lumina() -> dict[str, Any]:
    from diffusers import LuminaNextDiT2DModel

    return {
        "scheduler": flow(), "vae": vae(), "tokenizer": tokenizer(256, side="right", end=False),
        "text_encoder": language_model("Gemma", 8, head=False),
        "transformer": LuminaNextDiT2DModel(
            sample_size=4, patch_size=2, in_channels=4, hidden_size=4, num_layers=2, num_attention_heads=1,
            num_kv_heads=1, multiple_of=16, norm_eps=1e-5, learn_sigma=True, qk_norm=True,
            cross_attention_dim=8, scaling_factor=1.0,
        ),
    }  # fmt: skip


@case(
    "Lumina2Pipeline",
    call={"height": 32, "width": 32, "max_sequence_length": 64},
    guided=GUIDED,
    plain=UNGUIDED,
)
def lumina2() -> dict[str, Any]:
    from diffusers import Lumina2Transformer2DModel

    return {
        "scheduler": flow(), "vae": vae(), "tokenizer": tokenizer(256, side="right", end=False),
        "text_encoder": language_model("Gemma2", 8),
        "transformer": Lumina2Transformer2DModel(
            sample_size=4, patch_size=2, in_channels=4, hidden_size=8, num_layers=2, num_attention_heads=1,
            num_kv_heads=1, multiple_of=16, norm_eps=1e-5, scaling_factor=1.0, axes_dim_rope=[4, 2, 2],
            cap_feat_dim=8,
        ),
    }  # fmt: skip


@case("HunyuanDiTPipeline", call=SMALL | BINS, guided=GUIDED, plain=UNGUIDED)
def hunyuan_dit() -> dict[str, Any]:
    from diffusers import DDPMScheduler, HunyuanDiT2DModel

    return {
        "scheduler": DDPMScheduler(), "vae": vae(), "text_encoder": tiny_text.bert(),
        "tokenizer": tokenizer(77), "text_encoder_2": t5(), "tokenizer_2": tokenizer(256),
        "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False,
        "transformer": HunyuanDiT2DModel(
            sample_size=16, num_layers=2, patch_size=2, attention_head_dim=8, num_attention_heads=3,
            in_channels=4, cross_attention_dim=32, cross_attention_dim_t5=32, pooled_projection_dim=16,
            hidden_size=24, activation_fn="gelu-approximate",
        ),
    }  # fmt: skip


@case("HunyuanDiTPAGPipeline", call=SMALL | BINS, guided=GUIDED)
def hunyuan_dit_pag() -> dict[str, Any]:
    return hunyuan_dit() | {"pag_applied_layers": ["blocks.1"]}


@case(
    "PRXPipeline",
    call={
        "height": 32,
        "width": 32,
    }
    | BINS,
    plain=UNGUIDED,  # with guidance, diffusers itself makes one picture at a time only
)
def prx() -> dict[str, Any]:
    from diffusers import PRXTransformer2DModel
    from transformers.models.t5gemma.configuration_t5gemma import T5GemmaConfig, T5GemmaModuleConfig
    from transformers.models.t5gemma.modeling_t5gemma import T5GemmaEncoder

    settings: dict[str, Any] = {
        "vocab_size": tiny_text.size(), "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "max_position_embeddings": 64,
        "layer_types": ["full_attention"], "query_pre_attn_scalar": 4, "pad_token_id": 0,
    }  # fmt: skip
    config = T5GemmaConfig(encoder=T5GemmaModuleConfig(**settings), is_encoder_decoder=False, **settings)
    return {
        "scheduler": flow(), "vae": vae(), "tokenizer": tokenizer(24),
        "text_encoder": T5GemmaEncoder(config.encoder),
        "transformer": PRXTransformer2DModel(
            patch_size=1, in_channels=4, context_in_dim=8, hidden_size=8, mlp_ratio=2.0, num_heads=2,
            depth=1, axes_dim=[2, 2],
        ),
    }  # fmt: skip


@case(
    "PRXPixelPipeline",
    call={
        "height": 16,
        "width": 16,
    }
    | BINS,
    plain=UNGUIDED,  # with guidance, diffusers itself makes one picture at a time only
)
def prx_pixel() -> dict[str, Any]:
    from diffusers import PRXTransformer2DModel

    return {
        "scheduler": flow(), "tokenizer": tokenizer(24), "text_encoder": language_model("Qwen3", 16),
        "prompt_max_tokens": 24,
        "transformer": PRXTransformer2DModel(
            patch_size=1, in_channels=3, context_in_dim=16, hidden_size=8, mlp_ratio=2.0, num_heads=2,
            depth=1, axes_dim=[2, 2], bottleneck_size=8, resolution_embeds=True,
        ),
    }  # fmt: skip


# Pipelines that read the prompt with a large language model -------------------------------------------------

QWEN = {"height": 32, "width": 32, "max_sequence_length": 64}


def qwen_transformer(**more: Any) -> Any:
    from diffusers import QwenImageTransformer2DModel

    settings: dict[str, Any] = {
        "patch_size": 2, "in_channels": 16, "out_channels": 4, "num_layers": 2, "attention_head_dim": 16,
        "num_attention_heads": 3, "joint_attention_dim": 16, "guidance_embeds": False,
        "axes_dims_rope": (8, 4, 4),
    }  # fmt: skip
    return QwenImageTransformer2DModel(**(settings | more))


def qwen_parts() -> dict[str, Any]:
    return {
        "transformer": qwen_transformer(), "vae": qwen_vae(), "scheduler": flow(),
        "text_encoder": qwen_vl("Qwen2_5_VL"), "tokenizer": tokenizer(512, end=False),
    }  # fmt: skip


@case("QwenImagePipeline", call=QWEN, guided=TRUE, plain={"true_cfg_scale": 1.0})
def qwen_image() -> dict[str, Any]:
    return qwen_parts()


@case("QwenImageControlNetPipeline", call=QWEN | {"control_image": picture(32)}, guided=TRUE, plain={
    "true_cfg_scale": 1.0
})  # fmt: skip
def qwen_image_controlnet() -> dict[str, Any]:
    from diffusers import QwenImageControlNetModel

    parts = qwen_parts()
    net = QwenImageControlNetModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16,
        num_attention_heads=3, joint_attention_dim=16, axes_dims_rope=(8, 4, 4),
    )  # fmt: skip
    return parts | {"controlnet": net}


@case("QwenImage21Pipeline", call={"height": 32, "width": 32}, guided=TRUE, plain={"true_cfg_scale": 1.0})
def qwen_image_21() -> dict[str, Any]:
    from diffusers import QwenImage21Transformer2DModel

    return {
        "transformer": QwenImage21Transformer2DModel(
            patch_size=1, in_channels=16, out_channels=16, num_layers=2, attention_head_dim=16,
            num_attention_heads=2, context_in_dim=16, axes_dims_rope=(8, 4, 4),
        ),
        "vae": qwen_vae(), "scheduler": flow(), "text_encoder": qwen_vl("Qwen3VL"),
        "processor": tiny_text.Processor("left"),
    }  # fmt: skip


@case("ZImagePipeline", call=QWEN, guided=GUIDED, plain={"guidance_scale": 0.0})
def z_image() -> dict[str, Any]:
    import torch
    from diffusers import ZImageTransformer2DModel

    transformer = ZImageTransformer2DModel(
        all_patch_size=(2,), all_f_patch_size=(1,), in_channels=16, dim=32, n_layers=2, n_refiner_layers=1,
        n_heads=2, n_kv_heads=2, norm_eps=1e-5, qk_norm=True, cap_feat_dim=16, rope_theta=256.0,
        t_scale=1000.0, axes_dims=[8, 4, 4], axes_lens=[256, 32, 32],
    )  # fmt: skip
    with torch.no_grad():  # they are made by torch.empty
        transformer.x_pad_token.fill_(1.0)
        transformer.cap_pad_token.fill_(1.0)
    return {
        "transformer": transformer, "vae": vae(16), "scheduler": flow(),
        "text_encoder": language_model("Qwen3", 16), "tokenizer": tokenizer(512, end=False),
    }  # fmt: skip


@case("Krea2Pipeline", call=QWEN, guided={"guidance_scale": 3.0, "negative_prompt": "a blurry photo"}, plain={
    "guidance_scale": 1.0
})  # fmt: skip
def krea2() -> dict[str, Any]:
    from diffusers import Krea2Transformer2DModel

    return {
        "transformer": Krea2Transformer2DModel(
            in_channels=16, num_layers=2, attention_head_dim=8, num_attention_heads=4,
            num_key_value_heads=2, intermediate_size=32, timestep_embed_dim=8, text_hidden_dim=16,
            num_text_layers=3, text_num_attention_heads=2, text_num_key_value_heads=1,
            text_intermediate_size=16, num_layerwise_text_blocks=1, num_refiner_text_blocks=1,
            axes_dims_rope=(4, 2, 2), rope_theta=1000.0,
        ),
        "vae": qwen_vae(), "text_encoder": qwen_vl("Qwen3VL", head=False),
        "tokenizer": tokenizer(512, end=False), "text_encoder_select_layers": (0, 1, 2),
        "scheduler": flow(
            use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15, base_image_seq_len=256,
            max_image_seq_len=6400,
        ),
    }  # fmt: skip


@case(
    "NucleusMoEImagePipeline",
    call=QWEN | {"return_index": -1, "max_sequence_length": 128},
    guided=GUIDED,
    plain=UNGUIDED,
)
def nucleus() -> dict[str, Any]:
    from diffusers import NucleusMoEImageTransformer2DModel

    return {
        "transformer": NucleusMoEImageTransformer2DModel(
            patch_size=2, in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16,
            num_attention_heads=4, joint_attention_dim=16, axes_dims_rope=(8, 4, 4), moe_enabled=False,
            capacity_factors=[8.0, 8.0],
        ),
        "vae": qwen_vae(), "scheduler": flow(), "text_encoder": qwen_vl("Qwen3VL", layers=2),
        "processor": tiny_text.Processor(),
    }  # fmt: skip


@case("ErnieImagePipeline", call={"height": 16, "width": 16, "use_pe": False}, guided=GUIDED, plain=UNGUIDED)
def ernie() -> dict[str, Any]:
    from diffusers import ErnieImageTransformer2DModel

    return {
        "transformer": ErnieImageTransformer2DModel(
            hidden_size=32, num_attention_heads=2, num_layers=1, ffn_hidden_size=32, in_channels=16,
            out_channels=16, text_in_dim=32, rope_axes_dim=(4, 6, 6),
        ),
        "vae": flux2_vae(), "scheduler": flow(), "text_encoder": language_model("Qwen3"),
        "tokenizer": tokenizer(512), "pe": None, "pe_tokenizer": None,
    }  # fmt: skip


@case(
    "Ideogram4Pipeline",
    call={"height": 64, "width": 64, "max_sequence_length": 64, "guidance_schedule": None},
    guided={"guidance_scale": 4.0},
    plain=UNGUIDED,
)
def ideogram() -> dict[str, Any]:
    from diffusers import Ideogram4Transformer2DModel

    settings: dict[str, Any] = {
        "in_channels": 16, "num_layers": 1, "attention_head_dim": 16, "num_attention_heads": 2,
        "intermediate_size": 32, "adaln_dim": 16, "llm_features_dim": 16 * 13, "mrope_section": (4, 2, 2),
    }  # fmt: skip
    return {
        "transformer": Ideogram4Transformer2DModel(**settings),
        "unconditional_transformer": Ideogram4Transformer2DModel(**settings),
        "vae": flux2_vae(), "scheduler": flow(), "text_encoder": qwen_vl("Qwen3VL", layers=36, head=False),
        "tokenizer": tokenizer(512, end=False),
    }  # fmt: skip


@case("HunyuanImagePipeline", call=SMALL, shrunk={"tokenizer_max_length": 64})
def hunyuan_image() -> dict[str, Any]:
    from diffusers import AutoencoderKLHunyuanImage, HunyuanImageTransformer2DModel
    from diffusers.guiders import ClassifierFreeGuidance
    from transformers import ByT5Tokenizer

    return {
        "transformer": HunyuanImageTransformer2DModel(
            in_channels=4, out_channels=4, num_attention_heads=4, attention_head_dim=8, num_layers=1,
            num_single_layers=1, num_refiner_layers=1, patch_size=(1, 1), guidance_embeds=False,
            text_embed_dim=32, text_embed_2_dim=32, rope_axes_dim=(4, 4),
        ),
        "vae": AutoencoderKLHunyuanImage(
            in_channels=3, out_channels=3, latent_channels=4, block_out_channels=(32, 32),
            layers_per_block=1, scaling_factor=0.476986, spatial_compression_ratio=8, sample_size=128,
        ),
        "scheduler": flow(shift=7.0), "text_encoder": qwen_vl("Qwen2_5_VL", 32, layers=3),
        "tokenizer": tokenizer(512, end=False), "text_encoder_2": t5(vocabulary=384),
        "tokenizer_2": ByT5Tokenizer(), "guider": ClassifierFreeGuidance(), "ocr_guider": None,
    }  # fmt: skip


@case(
    "Kandinsky5T2IPipeline",
    call={"height": 64, "width": 64, "max_sequence_length": 96},
    guided=GUIDED,
    shrunk={"resolutions": [(64, 64)]},
    plain=UNGUIDED,
)
def kandinsky5() -> dict[str, Any]:
    from diffusers import Kandinsky5Transformer3DModel

    return {
        "vae": vae(16), "scheduler": flow(shift=7.0), "text_encoder": qwen_vl("Qwen2_5_VL", 32),
        "tokenizer": tiny_text.Processor(), "text_encoder_2": clip(16, length=77),
        "tokenizer_2": tokenizer(77),
        "transformer": Kandinsky5Transformer3DModel(
            in_visual_dim=16, in_text_dim=32, in_text_dim2=16, time_dim=16, out_visual_dim=16,
            patch_size=(1, 2, 2), model_dim=16, ff_dim=32, num_text_blocks=1, num_visual_blocks=2,
            axes_dims=(1, 1, 2), visual_cond=False, attention_type="regular",
        ),
    }  # fmt: skip


@case(
    "HiDreamImagePipeline",
    call=SMALL | {"max_sequence_length": 24},
    guided=GUIDED,
    plain=UNGUIDED,
    shrunk={"default_sample_size": 8},
)
def hidream() -> dict[str, Any]:
    from diffusers import HiDreamImageTransformer2DModel

    return {
        "transformer": HiDreamImageTransformer2DModel(
            patch_size=2, in_channels=4, out_channels=4, num_layers=1, num_single_layers=1,
            attention_head_dim=8, num_attention_heads=4, caption_channels=[32, 16], text_emb_dim=64,
            num_routed_experts=4, num_activated_experts=2, axes_dims_rope=(4, 2, 2),
            max_resolution=(32, 32), llama_layers=(0, 1),
        ),
        "vae": vae(scaling_factor=0.3611, shift_factor=0.1159), "scheduler": flow(),
        "text_encoder": clip(projection=32, length=128), "tokenizer": tokenizer(24),
        "text_encoder_2": clip(projection=32, length=128), "tokenizer_2": tokenizer(24),
        "text_encoder_3": t5(), "tokenizer_3": tokenizer(24),
        "text_encoder_4": language_model("Llama", 16, head=True), "tokenizer_4": tokenizer(24, end=False),
    }  # fmt: skip


def kolors_parts() -> dict[str, Any]:
    import torch
    from diffusers import EulerDiscreteScheduler
    from diffusers.pipelines.kolors.text_encoder import ChatGLMConfig, ChatGLMModel

    config = ChatGLMConfig(
        num_layers=2, padded_vocab_size=tiny_text.size(), hidden_size=WIDTH, ffn_hidden_size=32,
        kv_channels=16, num_attention_heads=2, seq_length=256, rmsnorm=True, add_bias_linear=False,
        multi_query_attention=True, multi_query_group_num=2, original_rope=True, add_qkv_bias=True,
    )  # fmt: skip
    encoder = ChatGLMModel(config)
    with torch.no_grad():
        for weight in encoder.parameters():  # it leaves its memory as it finds it
            weight.normal_(std=0.1)
    return {
        "unet": unet(
            use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
            transformer_layers_per_block=(1, 2), projection_class_embeddings_input_dim=8 * 6 + WIDTH,
        ),
        "scheduler": EulerDiscreteScheduler(), "vae": vae(), "text_encoder": encoder,
        "tokenizer": tiny_text.PositionedTokenizer(), "image_encoder": None, "feature_extractor": None,
    }  # fmt: skip


@case(
    "KolorsPipeline",
    "KolorsPAGPipeline",
    call=SMALL | {"max_sequence_length": 24},
    guided=GUIDED,
    plain=UNGUIDED,
)
def kolors() -> dict[str, Any]:
    return kolors_parts()
