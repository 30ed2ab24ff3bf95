"""Parts that several pipelines are built of, and a picture to condition on."""

from __future__ import annotations

from typing import Any

from tests.doubles.tiny_text import WIDTH


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


def qwen_vae(latents: int = 4) -> Any:
    from diffusers import AutoencoderKLQwenImage

    return AutoencoderKLQwenImage(
        base_dim=8, z_dim=latents, dim_mult=[1, 2, 4], num_res_blocks=1, temperal_downsample=[False, True],
        latents_mean=[0.0] * latents, latents_std=[1.0] * latents,
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


def flux2_vae(blocks: int = 1, latents: int = 1) -> Any:
    from diffusers import AutoencoderKLFlux2

    return AutoencoderKLFlux2(
        sample_size=32, down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks, block_out_channels=(4,) * blocks, layers_per_block=1,
        latent_channels=latents, norm_num_groups=1, use_quant_conv=False, use_post_quant_conv=False,
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
