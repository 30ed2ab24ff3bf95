"""Pipelines as single files in the layouts in which Stable Diffusion, SDXL, SD 3 and Flux were published.

The inverse of what diffusers does when it opens such a file: tensors get their original names, and those that
diffusers takes apart are put together again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Tensors = dict[str, Any]

_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
_UNET = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip
_OPEN_CLIP = {
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}  # fmt: skip
_FLUX = {
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "context_embedder": "txt_in", "x_embedder": "img_in", "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
}  # fmt: skip
_FLUX_DOUBLE = {
    "norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin", "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2", "ff_context.net.0.proj": "txt_mlp.0", "ff_context.net.2": "txt_mlp.2",
    "attn.to_out.0": "img_attn.proj", "attn.to_add_out": "txt_attn.proj",
}  # fmt: skip
_SD3 = {
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "pos_embed.pos_embed": "pos_embed", "pos_embed.proj": "x_embedder.proj",
    "proj_out": "final_layer.linear", "norm_out.linear": "final_layer.adaLN_modulation.1",
}  # fmt: skip
_SD3_JOINT = {
    "norm1.linear": "x_block.adaLN_modulation.1", "norm1_context.linear": "context_block.adaLN_modulation.1",
    "attn.to_out.0": "x_block.attn.proj", "attn.to_add_out": "context_block.attn.proj",
    "ff.net.0.proj": "x_block.mlp.fc1", "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1", "ff_context.net.2": "context_block.mlp.fc2",
}  # fmt: skip


def save_stable_diffusion(pipe: Any, path: Path) -> Path:
    """A StableDiffusionPipeline as one file."""
    tensors = _prefixed("model.diffusion_model.", unet(pipe.unet))
    tensors |= _prefixed("first_stage_model.", vae(pipe.vae))
    tensors |= _prefixed("cond_stage_model.transformer.text_model.", _clip(pipe.text_encoder))
    return save(tensors, path)


def save_stable_diffusion_xl(pipe: Any, path: Path) -> Path:
    """A StableDiffusionXLPipeline as one file."""
    tensors = _prefixed("model.diffusion_model.", unet(pipe.unet))
    tensors |= _prefixed("first_stage_model.", vae(pipe.vae))
    tensors |= _prefixed("conditioner.embedders.0.transformer.text_model.", _clip(pipe.text_encoder))
    tensors |= _prefixed("conditioner.embedders.1.model.", open_clip(pipe.text_encoder_2))
    return save(tensors, path)


def save_stable_diffusion_3(pipe: Any, path: Path) -> Path:
    """A StableDiffusion3Pipeline as one file that brings its two CLIP encoders, but not T5."""
    tensors = _prefixed("model.diffusion_model.", sd3(pipe.transformer))
    tensors |= _prefixed("first_stage_model.", vae(pipe.vae))
    for name, encoder in (("clip_l", pipe.text_encoder), ("clip_g", pipe.text_encoder_2)):
        words = {
            key if key.startswith("text_") else f"text_model.{key}": v for key, v in _clip(encoder).items()
        }
        tensors |= _prefixed(f"text_encoders.{name}.transformer.", words)
    return save(tensors, path)


def save_flux(pipe: Any, path: Path) -> Path:
    """The transformer of a FluxPipeline as one file, which is what is passed around."""
    return save(flux(pipe.transformer), path)


def save(tensors: Mapping[str, Any], path: Path) -> Path:
    """Write tensors as safetensors; returns the path."""
    from safetensors.torch import save_file

    save_file({name: value.detach().clone().contiguous() for name, value in tensors.items()}, path)
    return path


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: value for name, value in tensors.items()}


def _renamed(name: str, table: Mapping[str, str]) -> str:
    """The name with the first of the table's beginnings that it has in place of it."""
    return next((new + name[len(old) :] for old, new in table.items() if name.startswith(old)), name)


def unet(module: Any) -> Tensors:
    """A UNet2DConditionModel's weights by their original names."""
    each = module.config.layers_per_block
    made = {}
    for name, value in module.state_dict().items():
        found = re.fullmatch(
            r"(down_blocks|up_blocks|mid_block)\.(?:(\d+)\.)?(resnets|attentions|downsamplers|upsamplers)\."
            r"(\d+)\.(.+)",
            name,
        )
        if found is None:
            made[_renamed(name, _UNET)] = value
            continue
        side, block, kind, layer, rest = found[1], int(found[2] or 0), found[3], int(found[4]), found[5]
        rest = _renamed(rest, _RESNET) if kind == "resnets" else rest
        if side == "mid_block":
            made[f"middle_block.{2 * layer if kind == 'resnets' else 1}.{rest}"] = value
        elif side == "down_blocks":
            first = 1 + block * (each + 1)
            if kind == "downsamplers":
                made[f"input_blocks.{first + each}.0.op.{rest.removeprefix('conv.')}"] = value
            else:
                made[f"input_blocks.{first + layer}.{int(kind == 'attentions')}.{rest}"] = value
        elif kind == "upsamplers":
            attends = hasattr(module.up_blocks[block], "attentions")
            made[f"output_blocks.{block * (each + 1) + each}.{1 + attends}.{rest}"] = value
        else:
            made[f"output_blocks.{block * (each + 1) + layer}.{int(kind == 'attentions')}.{rest}"] = value
    return made


def vae(module: Any) -> Tensors:
    """An AutoencoderKL's weights by their original names."""
    blocks = len(module.config.block_out_channels)
    made = {}
    for name, value in module.state_dict().items():
        new = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
        new = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", new)
        if "mid_block.attentions.0" in new:
            new = new.replace("mid_block.attentions.0", "mid.attn_1").replace("group_norm", "norm")
            new = new.replace("to_out.0", "proj_out")
            new = re.sub(r"to_([qkv])\b", r"\1", new)
            value = value[:, :, None, None] if value.ndim == 2 else value
        new = re.sub(r"encoder\.down_blocks\.(\d)\.resnets", r"encoder.down.\1.block", new)
        new = re.sub(r"encoder\.down_blocks\.(\d)\.downsamplers\.0", r"encoder.down.\1.downsample", new)
        for kind, old in (("resnets", "block"), ("upsamplers.0", "upsample")):
            new = re.sub(
                rf"decoder\.up_blocks\.(\d)\.{re.escape(kind)}",
                lambda m, old=old: f"decoder.up.{blocks - 1 - int(m[1])}.{old}",  # type: ignore[misc]
                new,
            )
        made[new] = value
    return made


def _clip(module: Any) -> Tensors:
    return {name.removeprefix("text_model."): value for name, value in module.state_dict().items()}


def open_clip(module: Any) -> Tensors:
    """A CLIPTextModelWithProjection's weights as OpenCLIP names them."""
    import torch

    made, apart = {}, {}
    for name, value in _clip(module).items():
        found = re.fullmatch(r"encoder\.layers\.(\d+)\.(.+)", name)
        if found is None:
            made[name] = value
            continue
        layer = f"transformer.resblocks.{found[1]}."
        part = re.fullmatch(r"self_attn\.([qkv])_proj\.(weight|bias)", found[2])
        if part:
            apart[f"{layer}attn.in_proj_{part[2]}", part[1]] = value
        else:
            made[layer + _renamed(found[2], _OPEN_CLIP)] = value
    for name in {name for name, _ in apart}:
        made[name] = torch.cat([apart[name, one] for one in "qkv"])
    made["positional_embedding"] = made.pop("embeddings.position_embedding.weight")
    made["token_embedding.weight"] = made.pop("embeddings.token_embedding.weight")
    for end in ("weight", "bias"):
        made[f"ln_final.{end}"] = made.pop(f"final_layer_norm.{end}")
    made["text_projection"] = made.pop("text_projection.weight").T
    made.pop("embeddings.position_ids", None)
    return made


def flux(module: Any) -> Tensors:
    """A FluxTransformer2DModel's weights by their original names."""
    import torch

    state = module.state_dict()
    made: Tensors = {}

    def joined(names: list[str]) -> Any:
        return torch.cat([state[name] for name in names])

    for name, value in state.items():
        found = re.fullmatch(r"(single_)?transformer_blocks\.(\d+)\.(.+)", name)
        if found is None:
            if name.startswith("norm_out."):  # scale before shift
                value = torch.cat(value.chunk(2)[::-1])
            made[_renamed(name, _FLUX)] = value
            continue
        block, rest = f"{'single' if found[1] else 'double'}_blocks.{found[2]}.", found[3]
        here, end = name.removesuffix(rest), rest.rpartition(".")[2]
        if found[1]:
            if rest.startswith("norm.linear"):
                made[f"{block}modulation.lin.{end}"] = value
            elif rest.startswith("proj_out"):
                made[f"{block}linear2.{end}"] = value
            elif rest.startswith("attn.to_q"):
                parts = ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
                made[f"{block}linear1.{end}"] = joined([f"{here}{part}.{end}" for part in parts])
            elif rest.startswith("attn.norm_"):
                made[f"{block}norm.{'query' if 'norm_q' in rest else 'key'}_norm.scale"] = value
        elif rest.startswith("attn.norm_"):
            side = "txt" if "added" in rest else "img"
            which = "query" if rest.split(".")[1].endswith("q") else "key"
            made[f"{block}{side}_attn.norm.{which}_norm.scale"] = value
        elif rest.startswith(("attn.to_q", "attn.add_q_proj")):
            side, pattern = ("txt", "add_{}_proj") if "add_" in rest else ("img", "to_{}")
            made[f"{block}{side}_attn.qkv.{end}"] = joined(
                [f"{here}attn.{pattern.format(one)}.{end}" for one in "qkv"]
            )
        elif not re.match(r"attn\.(to|add)_[kv]", rest):
            made[block + _renamed(rest, _FLUX_DOUBLE)] = value
    return made


def sd3(module: Any) -> Tensors:
    """An SD3Transformer2DModel's weights by their original names; no query norms, no second attention."""
    import torch

    state = module.state_dict()
    last = f"transformer_blocks.{module.config.num_layers - 1}.norm1_context."
    made: Tensors = {}
    for name, value in state.items():
        if name.startswith(("norm_out.", last)):  # scale before shift
            value = torch.cat(value.chunk(2)[::-1])
        found = re.fullmatch(r"transformer_blocks\.(\d+)\.(.+)", name)
        if found is None:
            made[_renamed(name, _SD3)] = value
            continue
        block, here, end = f"joint_blocks.{found[1]}.", name.removesuffix(found[2]), name.rpartition(".")[2]
        for side, pattern in (("x_block", "attn.to_{}"), ("context_block", "attn.add_{}_proj")):
            if found[2] == f"{pattern.format('q')}.{end}":
                parts = [state[f"{here}{pattern.format(one)}.{end}"] for one in "qkv"]
                made[f"{block}{side}.attn.qkv.{end}"] = torch.cat(parts)
        if not re.match(r"attn\.(to_[qkv]|add_[qkv]_proj)", found[2]):
            made[block + _renamed(found[2], _SD3_JOINT)] = value
    return made
