"""Modular Diffusers' workflows, made of the tiny parts of the usual pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from tests.doubles import text_to_image as t2i

STEPS = 2


def pipeline(blocks: Any, parts: Mapping[str, Any]) -> Any:
    """A pipeline of these blocks, with those parts that it has a place for; it ends with the latents."""
    blocks.sub_blocks.pop("decode", None)
    return filled(blocks.init_pipeline(), parts)


def filled(pipe: Any, parts: Mapping[str, Any]) -> Any:
    """The pipeline, with the parts that it has a place for."""
    pipe.update_components(**{
        name: part for name, part in parts.items() if part is not None and name in pipe._component_specs
    })  # fmt: skip
    for block in pipe._blocks.sub_blocks.values():
        if hasattr(block, "set_progress_bar_config"):
            block.set_progress_bar_config(disable=True)
    return pipe


def sample(name: str, pipe: Any, prompts: list[str], *, same_seed: bool = False, **more: Any) -> torch.Tensor:
    """The latents of a call, a seed for each prompt.

    Args:
        name: the usual pipeline that the parts are of.
        pipe: the modular one.
        prompts: one for each picture.
        same_seed: whether all have one seed.
        more: inputs, beside those of `text_to_image.CASES`.
    """
    known = set(pipe._blocks.input_names)
    given: dict[str, Any] = {"num_inference_steps": STEPS}
    given |= {key: value for key, value in t2i.CASES[name].call.items() if key in known}
    if "negative_prompt" in known:
        given["negative_prompt"] = ["a blurry photo"] * len(prompts)
    torch.manual_seed(0)  # not all noise comes from the generators
    seeds = [torch.Generator().manual_seed(0 if same_seed else place) for place in range(len(prompts))]
    made = pipe(prompt=prompts, generator=seeds, output="latents", **(given | more))
    return torch.as_tensor(made).float()
