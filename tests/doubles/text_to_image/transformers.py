"""Diffusion transformers with a T5 or Gemma encoder."""

from __future__ import annotations

from typing import Any

from tests.doubles import tiny_text
from tests.doubles.text_to_image.case import GUIDED, SMALL, UNGUIDED, case
from tests.doubles.text_to_image.parts import dc_vae, ddim, flow, picture, vae
from tests.doubles.tiny_text import language_model, t5, tokenizer

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


HUNYUAN: dict[str, Any] = {
    "sample_size": 16, "patch_size": 2, "attention_head_dim": 8, "num_attention_heads": 3, "in_channels": 4,
    "cross_attention_dim": 32, "cross_attention_dim_t5": 32, "pooled_projection_dim": 16, "hidden_size": 24,
    "activation_fn": "gelu-approximate",
}  # fmt: skip


@case("HunyuanDiTPipeline", call=SMALL | BINS, guided=GUIDED, plain=UNGUIDED)
def hunyuan_dit() -> dict[str, Any]:
    from diffusers import DDPMScheduler, HunyuanDiT2DModel

    return {
        "scheduler": DDPMScheduler(), "vae": vae(), "text_encoder": tiny_text.bert(),
        "tokenizer": tokenizer(77), "text_encoder_2": t5(), "tokenizer_2": tokenizer(256),
        "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False,
        "transformer": HunyuanDiT2DModel(num_layers=2, **HUNYUAN),
    }  # fmt: skip


@case("HunyuanDiTPAGPipeline", call=SMALL | BINS, guided=GUIDED)
def hunyuan_dit_pag() -> dict[str, Any]:
    return hunyuan_dit() | {"pag_applied_layers": ["blocks.1"]}


@case(
    "HunyuanDiTControlNetPipeline", call=SMALL | BINS | {"control_image": picture()}, guided=GUIDED,
    plain=UNGUIDED,
)  # fmt: skip
def hunyuan_dit_controlnet() -> dict[str, Any]:
    from diffusers import HunyuanDiT2DControlNetModel, HunyuanDiT2DModel

    return hunyuan_dit() | {
        "transformer": HunyuanDiT2DModel(num_layers=4, **HUNYUAN),
        "controlnet": HunyuanDiT2DControlNetModel(transformer_num_layers=4, **HUNYUAN),
    }


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
