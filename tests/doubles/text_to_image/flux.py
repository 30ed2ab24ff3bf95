"""Flux and its kin."""

from __future__ import annotations

from typing import Any

from tests.doubles import tiny_text
from tests.doubles.text_to_image.case import GUIDED, SMALL, UNGUIDED, case
from tests.doubles.text_to_image.parts import flow, flux2_vae, picture, vae
from tests.doubles.tiny_text import clip, language_model, qwen_vl, t5, tokenizer

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
    call=SMALL | {"max_sequence_length": 192, "text_encoder_out_layers": (1,)},
)
def flux2() -> dict[str, Any]:
    from diffusers import Flux2Transformer2DModel

    return {
        "scheduler": flow(), "vae": flux2_vae(), "text_encoder": tiny_text.mistral(),
        "tokenizer": tokenizer(512), "transformer": Flux2Transformer2DModel(**FLUX2),
    }  # fmt: skip


@case(
    "Flux2KleinPipeline", call=SMALL | {
        "max_sequence_length": 48, "text_encoder_out_layers": (1,),
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
    "Flux2KleinKVPipeline", call={
        "height": 64, "width": 64, "max_sequence_length": 48, "text_encoder_out_layers": (1,),
        "image": picture(64),
    },
)  # fmt: skip
def flux2_klein_kv() -> dict[str, Any]:
    return flux2_klein() | {"vae": flux2_vae(4)}


@case("ChromaPipeline", call=SMALL | {"max_sequence_length": 24}, guided=GUIDED, plain=UNGUIDED)
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
