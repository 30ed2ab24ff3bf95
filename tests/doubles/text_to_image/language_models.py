"""Pipelines that read the prompt with a large language model."""

from __future__ import annotations

from typing import Any

from tests.doubles import tiny_text
from tests.doubles.text_to_image.case import GUIDED, SMALL, UNGUIDED, case
from tests.doubles.text_to_image.flux import TRUE
from tests.doubles.text_to_image.parts import flow, flux2_vae, picture, qwen_vae, unet, vae
from tests.doubles.tiny_text import WIDTH, clip, language_model, qwen_vl, t5, tokenizer

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
        "vae": qwen_vae(16), "scheduler": flow(), "text_encoder": qwen_vl("Qwen3VL"),
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


@case("ZImageOmniPipeline", call=QWEN, guided=GUIDED, plain={"guidance_scale": 0.0})
def z_image_omni() -> dict[str, Any]:
    return z_image() | {"siglip": None, "siglip_processor": None}


@case(
    "BriaFibo2Pipeline", call={"height": 16, "width": 16}, guided=GUIDED, plain=UNGUIDED,
    shrunk={"text_encoder_out_layers": ((0, 1, 2), (1, 1, 2))},
)  # fmt: skip
def bria_fibo_2() -> dict[str, Any]:
    from diffusers import BriaFibo2Transformer2DModel

    return {
        "transformer": BriaFibo2Transformer2DModel(
            in_channels=1, dim=32, n_layers=2, n_refiner_layers=1, n_heads=2, cap_feat_dim=48,
            injection_layer_ids=(1,), perceiver_num_layers=1, min_num_gist_tokens=4, max_num_gist_tokens=8,
            gist_step=2, gist_min_text_len=16, gist_max_text_len=64, axes_dims=(8, 4, 4),
            axes_lens=(64, 32, 32),
        ),
        "vae": flux2_vae(), "scheduler": flow(), "text_encoder": qwen_vl("Qwen3VL"),
        "processor": tiny_text.Processor(),
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
        "vae": flux2_vae(latents=4), "scheduler": flow(), "text_encoder": language_model("Qwen3"),
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
        "vae": flux2_vae(latents=4), "scheduler": flow(), "tokenizer": tokenizer(512, end=False),
        "text_encoder": qwen_vl("Qwen3VL", layers=36, head=False),
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
