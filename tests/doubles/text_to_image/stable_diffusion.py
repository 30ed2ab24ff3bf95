"""Stable Diffusion and its kin."""

from __future__ import annotations

from typing import Any

from tests.doubles.text_to_image.case import GUIDED, SMALL, UNGUIDED, case
from tests.doubles.text_to_image.parts import (
    ADAPTED,
    UNET,
    UNET_XL,
    controlnet,
    ddim,
    flow,
    picture,
    unet,
    vae,
)
from tests.doubles.tiny_text import WIDTH, clip, t5, tokenizer


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
