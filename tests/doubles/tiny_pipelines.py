"""Randomly initialised pipelines of every family that is steered: real diffusers classes, no download."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.doubles.tiny_pipeline import tiny_clip, tiny_tokenizer

WIDTH = 32


def _t5(folder: Path, *, width: int = WIDTH) -> tuple[Any, Any]:
    """A T5 encoder and a word-level tokenizer for it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    words = "a portrait of doctor nurse with very fair tan dark brown skin , . blurry photo".split()  # noqa: SIM905
    vocabulary = {w: i for i, w in enumerate(["<pad>", "</s>", "<unk>", *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=24,
    )
    encoder = T5EncoderModel(
        T5Config(
            vocab_size=len(vocabulary), d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
            relative_attention_num_buckets=8,
        )
    )  # fmt: skip
    return fast, encoder.eval()


def _vae(channels: int = 4) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        norm_num_groups=4,
        latent_channels=channels,
        shift_factor=0.0,
        scaling_factor=1.0,
    )


def _unet(**more: Any) -> Any:
    from diffusers import UNet2DConditionModel

    settings: dict[str, Any] = {
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**(settings | more))


def stable_diffusion(folder: Path) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    tokenizer = tiny_tokenizer(folder)
    return StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=tiny_clip(tokenizer),
        tokenizer=tokenizer,
        unet=_unet(),
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def latent_consistency(folder: Path) -> Any:
    """Distilled: no classifier-free guidance in the batch, the scale is an embedding."""
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler

    tokenizer = tiny_tokenizer(folder)
    return LatentConsistencyModelPipeline(
        vae=_vae(),
        text_encoder=tiny_clip(tokenizer),
        tokenizer=tokenizer,
        unet=_unet(time_cond_proj_dim=8),
        scheduler=LCMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl(folder: Path) -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    tokenizer = tiny_tokenizer(folder)
    return StableDiffusionXLPipeline(
        vae=_vae(),
        text_encoder=tiny_clip(tokenizer),
        text_encoder_2=tiny_clip(tokenizer, projection=16),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=_unet(
            cross_attention_dim=32,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=8 * 6 + 16,
            transformer_layers_per_block=(1, 1),
        ),
        scheduler=EulerDiscreteScheduler(),
        add_watermarker=False,
    )


def stable_diffusion_3(folder: Path) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    tokenizer = tiny_tokenizer(folder)
    t5_tokenizer, t5 = _t5(folder)
    transformer = SD3Transformer2DModel(
        sample_size=8, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4,
        caption_projection_dim=32, joint_attention_dim=32, pooled_projection_dim=32, out_channels=4,
    )  # fmt: skip
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(),
        text_encoder=tiny_clip(tokenizer, projection=16),
        tokenizer=tokenizer,
        text_encoder_2=tiny_clip(tokenizer, projection=16),
        tokenizer_2=tokenizer,
        text_encoder_3=t5,
        tokenizer_3=t5_tokenizer,
    )


def flux(folder: Path) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    tokenizer = tiny_tokenizer(folder)
    t5_tokenizer, t5 = _t5(folder)
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=16, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(),
        text_encoder=tiny_clip(tokenizer),
        tokenizer=tokenizer,
        text_encoder_2=t5,
        tokenizer_2=t5_tokenizer,
        transformer=transformer,
    )


def pixart_sigma(folder: Path) -> Any:
    from diffusers import DDIMScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    t5_tokenizer, t5 = _t5(folder)
    transformer = PixArtTransformer2DModel(
        sample_size=8, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=4,
        caption_channels=32, in_channels=4, cross_attention_dim=32, out_channels=8, attention_bias=True,
        activation_fn="gelu-approximate", num_embeds_ada_norm=1000, norm_type="ada_norm_single",
        norm_elementwise_affine=False, norm_eps=1e-6,
    )  # fmt: skip
    return PixArtSigmaPipeline(
        tokenizer=t5_tokenizer,
        text_encoder=t5,
        vae=_vae(),
        transformer=transformer,
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
    )


def sana(folder: Path) -> Any:
    from diffusers import AutoencoderDC, FlowMatchEulerDiscreteScheduler, SanaPipeline, SanaTransformer2DModel
    from transformers import Gemma2Config, Gemma2Model

    tokenizer, _ = _t5(folder)
    tokenizer.add_special_tokens({"bos_token": "</s>"})
    transformer = SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2,
        attention_head_dim=4, num_cross_attention_heads=2, cross_attention_head_dim=4,
        cross_attention_dim=8, caption_channels=32, sample_size=8,
    )  # fmt: skip
    vae = AutoencoderDC(
        in_channels=3, latent_channels=4, attention_head_dim=2,
        encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"), encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8), encoder_qkv_multiscales=((), (5,)),
        decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1), decoder_layers_per_block=[1, 1], downsample_block_type="conv",
        upsample_block_type="interpolate", decoder_norm_types="rms_norm", decoder_act_fns="silu",
        scaling_factor=1.0,
    )  # fmt: skip
    encoder = Gemma2Model(
        Gemma2Config(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=1, head_dim=8, query_pre_attn_scalar=8,
        )
    )  # fmt: skip
    return SanaPipeline(
        tokenizer=tokenizer,
        text_encoder=encoder.eval(),
        vae=vae,
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


FAMILIES: dict[str, Callable[[Path], Any]] = {
    "sd": stable_diffusion,
    "sdxl": stable_diffusion_xl,
    "sd3": stable_diffusion_3,
    "flux": flux,
    "sana": sana,
    "pixart": pixart_sigma,
    "lcm": latent_consistency,
}


def call_settings(name: str) -> dict[str, Any]:
    """Smallest size, few steps, tensors out."""
    settings: dict[str, Any] = {"num_inference_steps": 3, "output_type": "latent", "height": 16, "width": 16}
    if name == "sana":
        settings |= {"height": 32, "width": 32}
    if name in ("sana", "pixart"):
        settings |= {"use_resolution_binning": False, "max_sequence_length": 16, "clean_caption": False}
    if name in ("sd3", "flux"):
        settings |= {"max_sequence_length": 16}
    if name == "sana":
        settings |= {"complex_human_instruction": None}
    return settings


def make(name: str, folder: Path) -> Any:
    """The pipeline, the same weights each time."""
    import torch

    torch.manual_seed(0)
    pipe = FAMILIES[name](folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe
