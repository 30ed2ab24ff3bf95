"""Pipelines that diffusers calls deprecated, but still exports and runs."""

from __future__ import annotations

from typing import Any

from tests.doubles import tiny_text
from tests.doubles.text_to_image.case import GUIDED, SMALL, UNGUIDED, case
from tests.doubles.text_to_image.parts import UNET_XL, ddim, picture, unet, vae
from tests.doubles.text_to_image.stable_diffusion import sd_parts, xl_parts
from tests.doubles.text_to_image.staged import PRIOR, vision
from tests.doubles.tiny_text import WIDTH, clip, tokenizer


@case("AltDiffusionPipeline", call=SMALL, guided=GUIDED, plain=UNGUIDED)
def alt_diffusion() -> dict[str, Any]:
    from diffusers.pipelines.deprecated.alt_diffusion.modeling_roberta_series import (
        RobertaSeriesConfig,
        RobertaSeriesModelWithTransformation,
    )

    encoder = RobertaSeriesModelWithTransformation(
        RobertaSeriesConfig(
            hidden_size=WIDTH, project_dim=WIDTH, intermediate_size=32, num_attention_heads=2,
            num_hidden_layers=1, vocab_size=tiny_text.size(), pad_token_id=0, max_position_embeddings=32,
        )
    )  # fmt: skip
    return sd_parts(text_encoder=encoder)


def adapter_xs(base: Any) -> Any:
    from diffusers import ControlNetXSAdapter

    return ControlNetXSAdapter.from_unet(base, size_ratio=0.5, conditioning_embedding_out_channels=(8, 8))


@case("StableDiffusionControlNetXSPipeline", call=SMALL | {"image": picture()}, guided=GUIDED, plain=UNGUIDED)
def controlnet_xs() -> dict[str, Any]:
    base = unet(layers_per_block=2)
    return sd_parts(unet=base, controlnet=adapter_xs(base))


@case(
    "StableDiffusionXLControlNetXSPipeline", call=SMALL | {"image": picture()}, guided=GUIDED, plain=UNGUIDED
)
def controlnet_xs_xl() -> dict[str, Any]:
    base = unet(**(UNET_XL | {"layers_per_block": 2}))
    return xl_parts(unet=base, controlnet=adapter_xs(base))


@case(
    "StableDiffusionGLIGENPipeline",
    call=SMALL | {"gligen_phrases": ["doctor"], "gligen_boxes": [[0.1, 0.1, 0.6, 0.6]]},
    guided=GUIDED,
    plain=UNGUIDED,
)
def gligen() -> dict[str, Any]:
    return sd_parts(unet=unet(attention_type="gated"))


@case("StableDiffusionModelEditingPipeline", call=SMALL, guided=GUIDED, plain=UNGUIDED)
def model_editing() -> dict[str, Any]:
    return sd_parts()


@case("StableDiffusionParadigmsPipeline", call=SMALL, guided=GUIDED, plain=UNGUIDED)
def paradigms() -> dict[str, Any]:
    from diffusers import DDIMParallelScheduler

    return sd_parts(scheduler=DDIMParallelScheduler(clip_sample=False, steps_offset=1))


@case(  # the text of several prompts, diffusers itself repeats too often
    "WuerstchenCombinedPipeline", one=True, call={"height": 128, "width": 128} | PRIOR,
    guided={"prior_guidance_scale": 4.0, "negative_prompt": "a blurry photo"},
    plain={"prior_guidance_scale": 1.0},
)  # fmt: skip
def wuerstchen() -> dict[str, Any]:
    from diffusers import DDPMWuerstchenScheduler
    from diffusers.pipelines.deprecated.wuerstchen import PaellaVQModel, WuerstchenDiffNeXt, WuerstchenPrior

    return {
        "text_encoder": clip(), "tokenizer": tokenizer(), "scheduler": DDPMWuerstchenScheduler(),
        "decoder": WuerstchenDiffNeXt(
            c_cond=WIDTH, c_hidden=[16], nhead=[2], blocks=[1], level_config=["CTA"], inject_effnet=[True],
            clip_embd=WIDTH, dropout=0.0, effnet_embd=2,
        ),
        "vqgan": PaellaVQModel(bottleneck_blocks=1, num_vq_embeddings=2, embed_dim=8),
        "prior_text_encoder": clip(), "prior_tokenizer": tokenizer(),
        "prior_prior": WuerstchenPrior(c_in=2, c=8, depth=2, c_cond=WIDTH, c_r=8, nhead=2),
        "prior_scheduler": DDPMWuerstchenScheduler(),
    }  # fmt: skip


@case(
    "UnCLIPPipeline",
    call=PRIOR | {"decoder_num_inference_steps": 2, "super_res_num_inference_steps": 2, "output_type": "np"},
    guided={}, plain={"prior_guidance_scale": 1.0, "decoder_guidance_scale": 1.0},
)  # fmt: skip
def unclip() -> dict[str, Any]:
    from diffusers import PriorTransformer, UnCLIPScheduler, UNet2DModel
    from diffusers.pipelines.deprecated.unclip import UnCLIPTextProjModel

    upscaler: dict[str, Any] = {
        "sample_size": 16, "layers_per_block": 1, "down_block_types": ("ResnetDownsampleBlock2D",) * 2,
        "up_block_types": ("ResnetUpsampleBlock2D",) * 2, "block_out_channels": (32, 64), "in_channels": 6,
        "out_channels": 3,
    }  # fmt: skip
    return {
        "prior": PriorTransformer(
            num_attention_heads=2, attention_head_dim=12, embedding_dim=WIDTH, num_layers=1,
            num_embeddings=24,
        ),
        "decoder": unet(
            sample_size=8, in_channels=3, out_channels=6, block_out_channels=(32, 64),
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn", attention_head_dim=4, norm_num_groups=32,
            resnet_time_scale_shift="scale_shift", class_embed_type="identity",
        ),
        "text_encoder": clip(projection=WIDTH), "tokenizer": tokenizer(),
        "text_proj": UnCLIPTextProjModel(
            clip_embeddings_dim=WIDTH, time_embed_dim=4 * WIDTH, cross_attention_dim=WIDTH,
        ),
        "super_res_first": UNet2DModel(**upscaler), "super_res_last": UNet2DModel(**upscaler),
        "prior_scheduler": UnCLIPScheduler(variance_type="fixed_small_log", prediction_type="sample"),
        "decoder_scheduler": UnCLIPScheduler(variance_type="learned_range"),
        "super_res_scheduler": UnCLIPScheduler(variance_type="fixed_small_log"),
    }  # fmt: skip


# With a list of generators, diffusers itself makes one picture of each prompt only.
@case("UniDiffuserPipeline", one_seed=True, call=SMALL, guided={"guidance_scale": 4.0}, plain=UNGUIDED)
def uni_diffuser() -> dict[str, Any]:
    from diffusers import UniDiffuserModel, UniDiffuserTextDecoder
    from transformers import CLIPImageProcessor

    return {
        "unet": UniDiffuserModel(
            text_dim=16, clip_img_dim=WIDTH, num_text_tokens=24, num_attention_heads=2, attention_head_dim=8,
            in_channels=4, out_channels=4, num_layers=2, sample_size=8, patch_size=2,
            activation_fn="gelu", num_embeds_ada_norm=1000, norm_type="layer_norm",
            block_type="unidiffuser", use_patch_pos_embed=True, use_timestep_embedding=False,
        ),
        "scheduler": ddim(), "vae": vae(), "text_encoder": clip(), "image_encoder": vision(),
        "clip_image_processor": CLIPImageProcessor(size=32), "clip_tokenizer": tokenizer(),
        "text_decoder": UniDiffuserTextDecoder(
            prefix_length=24, prefix_inner_dim=WIDTH, prefix_hidden_dim=16, vocab_size=tiny_text.size(),
            n_positions=32, n_embd=16, n_layer=1, n_head=2,
        ),
        "text_tokenizer": tokenizer(),
    }  # fmt: skip


@case("VersatileDiffusionTextToImagePipeline", call=SMALL, guided=GUIDED, plain=UNGUIDED)
def versatile_diffusion() -> dict[str, Any]:
    from diffusers.pipelines.deprecated.versatile_diffusion.modeling_text_unet import UNetFlatConditionModel

    settings: dict[str, Any] = {
        "sample_size": 8, "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4,
        "cross_attention_dim": WIDTH, "attention_head_dim": 2,
    }  # fmt: skip
    return {
        "tokenizer": tokenizer(), "text_encoder": clip(projection=WIDTH), "vae": vae(), "scheduler": ddim(),
        "image_unet": unet(),
        "text_unet": UNetFlatConditionModel(
            down_block_types=("DownBlockFlat", "CrossAttnDownBlockFlat"),
            up_block_types=("CrossAttnUpBlockFlat", "UpBlockFlat"), **settings,
        ),
    }  # fmt: skip


@case("VQDiffusionPipeline", one_seed=True, guided={"guidance_scale": 4.0}, plain=UNGUIDED)
def vq_diffusion() -> dict[str, Any]:
    import torch
    from diffusers import Transformer2DModel, VQDiffusionScheduler, VQModel
    from diffusers.pipelines.deprecated.vq_diffusion import LearnedClassifierFreeSamplingEmbeddings

    transformer = Transformer2DModel(
        num_attention_heads=2, attention_head_dim=8, cross_attention_dim=WIDTH, num_vector_embeds=13,
        sample_size=8, num_embeds_ada_norm=100, activation_fn="geglu-approximate", norm_type="ada_norm",
    )  # fmt: skip
    with torch.no_grad():  # else the text changes no choice of a code
        for weight in transformer.parameters():
            weight.mul_(4)
    return {
        "vqvae": VQModel(
            block_out_channels=[32, 64], down_block_types=["DownEncoderBlock2D"] * 2,
            up_block_types=["UpDecoderBlock2D"] * 2, latent_channels=3, vq_embed_dim=3, num_vq_embeddings=12,
        ),
        "text_encoder": clip(), "tokenizer": tokenizer(), "transformer": transformer,
        "scheduler": VQDiffusionScheduler(num_vec_classes=13),
        "learned_classifier_free_sampling_embeddings": LearnedClassifierFreeSamplingEmbeddings(False),
    }  # fmt: skip
