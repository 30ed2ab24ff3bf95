"""Text-to-image pipelines of several stages, or without an ``encode_prompt``."""

from __future__ import annotations

from typing import Any

from tests.doubles import tiny_text
from tests.doubles.text_to_image.case import GUIDED, SMALL, UNGUIDED, case
from tests.doubles.text_to_image.language_models import QWEN, z_image
from tests.doubles.text_to_image.parts import ddim, flow, picture, unet, vae
from tests.doubles.tiny_text import WIDTH, clip, qwen_vl, t5, tokenizer

PRIOR: dict[str, Any] = {"prior_num_inference_steps": 2}


def movq() -> Any:
    from diffusers import VQModel

    return VQModel(
        block_out_channels=[32, 64], down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D"],
        in_channels=3, latent_channels=4, layers_per_block=1, norm_num_groups=8, norm_type="spatial",
        num_vq_embeddings=12, out_channels=3, vq_embed_dim=4,
        up_block_types=["AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
    )  # fmt: skip


def kandinsky_unet(embedding: str, projection: str) -> Any:
    return unet(
        in_channels=4, out_channels=8, addition_embed_type=embedding, encoder_hid_dim=WIDTH,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn", block_out_channels=(32, 64),
        encoder_hid_dim_type=projection, cross_attention_dim=WIDTH, attention_head_dim=4,
        resnet_time_scale_shift="scale_shift", norm_num_groups=32,
    )  # fmt: skip


def vision() -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=WIDTH, image_size=32, projection_dim=WIDTH, intermediate_size=32,
            num_attention_heads=2, num_channels=3, num_hidden_layers=1, patch_size=16,
        )
    )  # fmt: skip


def kandinsky_prior() -> dict[str, Any]:
    import torch
    from diffusers import PriorTransformer, UnCLIPScheduler
    from transformers import CLIPImageProcessor

    prior = PriorTransformer(
        num_attention_heads=2, attention_head_dim=12, embedding_dim=WIDTH, num_layers=1, num_embeddings=24
    )
    prior.clip_std = torch.nn.Parameter(torch.ones(prior.clip_std.shape))
    return {
        "prior_prior": prior, "prior_image_encoder": vision(), "prior_tokenizer": tokenizer(),
        "prior_text_encoder": clip(projection=WIDTH), "prior_image_processor": CLIPImageProcessor(size=32),
        "prior_scheduler": UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="sample", num_train_timesteps=1000,
            clip_sample=True, clip_sample_range=10.0,
        ),
    }  # fmt: skip


@case("KandinskyV22CombinedPipeline", one_seed=True, call=SMALL | PRIOR, guided=GUIDED, plain=UNGUIDED)
def kandinsky_22() -> dict[str, Any]:
    return kandinsky_prior() | {
        "unet": kandinsky_unet("image", "image_proj"), "scheduler": ddim(), "movq": movq()
    }  # fmt: skip


@case(
    "KandinskyCombinedPipeline",
    one_seed=True,
    call=SMALL | PRIOR | {"output_type": "pt"},
    guided=GUIDED,
    plain=UNGUIDED,
)
def kandinsky_21() -> dict[str, Any]:
    from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP

    config = MCLIPConfig(
        numDims=WIDTH, transformerDimensions=WIDTH, hidden_size=WIDTH, intermediate_size=32,
        num_attention_heads=2, num_hidden_layers=1, vocab_size=tiny_text.size(), pad_token_id=0,
    )  # fmt: skip
    return kandinsky_prior() | {
        "unet": kandinsky_unet("text_image", "text_image_proj"), "scheduler": ddim(), "movq": movq(),
        "text_encoder": MultilingualCLIP(config), "tokenizer": tokenizer(77),
    }  # fmt: skip


@case("Kandinsky3Pipeline", call=SMALL, guided=GUIDED, plain=UNGUIDED)
def kandinsky_3() -> dict[str, Any]:
    from diffusers import DDPMScheduler, Kandinsky3UNet

    return {
        "unet": Kandinsky3UNet(
            in_channels=4, time_embedding_dim=4, groups=2, attention_head_dim=4, layers_per_block=3,
            block_out_channels=(32, 64), cross_attention_dim=4, encoder_hid_dim=WIDTH,
        ),
        "scheduler": DDPMScheduler(clip_sample=True), "movq": movq(), "text_encoder": t5(),
        "tokenizer": tokenizer(128),
    }  # fmt: skip


def cascade_unet(**more: Any) -> Any:
    from diffusers.models import StableCascadeUNet

    settings: dict[str, Any] = {
        "conditioning_dim": 16, "clip_text_pooled_in_channels": WIDTH, "dropout": (0.0, 0.0),
        "block_out_channels": (16, 16), "num_attention_heads": (2, 2),
        "down_num_layers_per_block": (1, 1), "up_num_layers_per_block": (1, 1),
        "down_blocks_repeat_mappers": (1, 1), "up_blocks_repeat_mappers": (1, 1),
        "block_types_per_layer": (
            ("SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"),
            ("SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"),
        ),
    }  # fmt: skip
    return StableCascadeUNet(**(settings | more))


@case(
    "StableCascadeCombinedPipeline", call={"height": 128, "width": 128} | PRIOR,
    guided={"prior_guidance_scale": 4.0, "negative_prompt": "a blurry photo"},
    plain={"prior_guidance_scale": 1.0},
)  # fmt: skip
def cascade() -> dict[str, Any]:
    from diffusers import DDPMWuerstchenScheduler
    from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel

    encoder, words = clip(projection=WIDTH, length=77), tokenizer(77)
    return {
        "text_encoder": encoder, "tokenizer": words, "scheduler": DDPMWuerstchenScheduler(),
        "decoder": cascade_unet(in_channels=4, out_channels=4, effnet_in_channels=16),
        "vqgan": PaellaVQModel(bottleneck_blocks=1, num_vq_embeddings=2, embed_dim=8),
        "prior_text_encoder": encoder, "prior_tokenizer": words,
        "prior_prior": cascade_unet(
            in_channels=16, out_channels=16, clip_text_in_channels=WIDTH, clip_image_in_channels=WIDTH,
        ),
        "prior_scheduler": DDPMWuerstchenScheduler(), "prior_feature_extractor": None,
        "prior_image_encoder": None,
    }  # fmt: skip


@case("IFPipeline", call=SMALL | {"clean_caption": False}, guided=GUIDED, plain=UNGUIDED)
def deepfloyd() -> dict[str, Any]:
    from diffusers import DDPMScheduler

    return {
        "text_encoder": t5(), "tokenizer": tokenizer(77), "safety_checker": None,
        "feature_extractor": None, "requires_safety_checker": False, "watermarker": None,
        "unet": unet(
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn", in_channels=3, out_channels=6,
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"), encoder_hid_dim=WIDTH,
            block_out_channels=(32, 64), norm_num_groups=32, attention_head_dim=8,
            addition_embed_type="text", addition_embed_type_num_heads=2,
            cross_attention_norm="group_norm", resnet_time_scale_shift="scale_shift", act_fn="gelu",
        ),
        "scheduler": DDPMScheduler(variance_type="learned_range"),
    }  # fmt: skip


@case("LDMTextToImagePipeline", call=SMALL, guided={"guidance_scale": 4.0}, plain=UNGUIDED)
def latent_diffusion() -> dict[str, Any]:
    return {
        "vqvae": vae(), "bert": clip(length=77), "tokenizer": tokenizer(77), "unet": unet(),
        "scheduler": ddim(),
    }  # fmt: skip


@case("AmusedPipeline", one_seed=True, call=SMALL, guided=GUIDED, plain={"guidance_scale": 0.0})
def amused() -> dict[str, Any]:
    from diffusers import AmusedScheduler, UVit2DModel, VQModel

    return {
        "vqvae": VQModel(
            act_fn="silu", block_out_channels=[8], down_block_types=["DownEncoderBlock2D"], in_channels=3,
            latent_channels=8, layers_per_block=1, norm_num_groups=4, num_vq_embeddings=32, out_channels=3,
            sample_size=8, up_block_types=["UpDecoderBlock2D"], mid_block_add_attention=False,
            lookup_from_codebook=True,
        ),
        "tokenizer": tokenizer(), "text_encoder": clip(8, projection=8),
        "transformer": UVit2DModel(
            hidden_size=8, use_bias=False, hidden_dropout=0.0, cond_embed_dim=8, micro_cond_encode_dim=2,
            micro_cond_embed_dim=10, encoder_hidden_size=8, vocab_size=32, codebook_size=32, in_channels=8,
            block_out_channels=8, num_res_blocks=1, downsample=True, upsample=True, block_num_heads=1,
            num_hidden_layers=1, num_attention_heads=1, attention_dropout=0.0, intermediate_size=8,
            layer_norm_eps=1e-6, ln_elementwise_affine=True,
        ),
        "scheduler": AmusedScheduler(mask_token_id=31),
    }  # fmt: skip


@case("ZImageControlNetPipeline", call=QWEN | {"control_image": picture(32)}, guided=GUIDED, plain={
    "guidance_scale": 0.0
})  # fmt: skip
def z_image_controlnet() -> dict[str, Any]:
    from diffusers import ZImageControlNetModel

    parts = z_image()
    return parts | {
        "controlnet": ZImageControlNetModel(
            control_layers_places=[0], control_refiner_layers_places=[0], control_in_dim=16,
            all_patch_size=(2,), all_f_patch_size=(1,), dim=32, n_refiner_layers=1, n_heads=2,
            n_kv_heads=2, norm_eps=1e-5, qk_norm=True,
        )
    }  # fmt: skip


def dreamlite_parts() -> dict[str, Any]:
    from diffusers import AutoencoderTiny, DreamLiteUNetModel

    return {
        "unet": DreamLiteUNetModel(
            sample_size=8, in_channels=4, out_channels=4, cross_attention_dim=16, attention_head_dim=8,
            down_block_types=("DreamLiteCrossAttnNoSelfAttnDownBlock2D", "DreamLiteCrossAttnDownBlock2D"),
            up_block_types=("DreamLiteCrossAttnUpBlock2D", "DreamLiteUpBlock2D"), layers_per_block=3,
            block_out_channels=(32, 64), norm_num_groups=8, transformer_layers_per_block=1,
        ),
        "vae": AutoencoderTiny(
            encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8),
            num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1), latent_channels=4,
        ),
        "scheduler": flow(), "text_encoder": qwen_vl("Qwen3VL"), "tokenizer": tokenizer(512, end=False),
        "processor": tiny_text.Processor(),
    }  # fmt: skip


@case("DreamLitePipeline", call=SMALL | {"max_sequence_length": 64}, guided={
    "guidance_scale": 4.0, "negative_prompt": "a blurry photo"
}, one=True)  # fmt: skip
def dreamlite() -> dict[str, Any]:
    return dreamlite_parts()


@case("DreamLiteMobilePipeline", call=SMALL | {"max_sequence_length": 64}, one=True)
def dreamlite_mobile() -> dict[str, Any]:
    return dreamlite_parts()


@case("StableUnCLIPPipeline", call=SMALL | PRIOR, guided=GUIDED | {"prior_guidance_scale": 4.0}, plain={
    "guidance_scale": 1.0, "prior_guidance_scale": 1.0
})  # fmt: skip
def stable_unclip() -> dict[str, Any]:
    from diffusers import DDPMScheduler, PriorTransformer
    from diffusers.pipelines.stable_diffusion import StableUnCLIPImageNormalizer

    return {
        "prior_tokenizer": tokenizer(), "prior_text_encoder": clip(projection=WIDTH),
        "prior": PriorTransformer(
            num_attention_heads=2, attention_head_dim=12, embedding_dim=WIDTH, num_layers=1,
            num_embeddings=24,
        ),
        "prior_scheduler": DDPMScheduler(
            variance_type="fixed_small_log", prediction_type="sample", clip_sample=True,
            clip_sample_range=5.0, beta_schedule="squaredcos_cap_v2",
        ),
        "image_normalizer": StableUnCLIPImageNormalizer(embedding_dim=WIDTH),
        "image_noising_scheduler": DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        "tokenizer": tokenizer(), "text_encoder": clip(), "scheduler": ddim(), "vae": vae(),
        "unet": unet(class_embed_type="projection", projection_class_embeddings_input_dim=2 * WIDTH),
    }  # fmt: skip
