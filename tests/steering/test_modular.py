"""Steering in Modular Diffusers, by a block in place of the text encoder's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fairgen.errors import UserError
from fairgen.models.loading import wrap_pipeline
from fairgen.steering.guidance import ToneGuidance
from tests.doubles import text_to_image as t2i

PROMPT = "a portrait of a doctor"
pytestmark = pytest.mark.filterwarnings(r"ignore:.*is deprecated:FutureWarning")  # of diffusers' own classes


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    made: dict[str, Any] = t2i.make("StableDiffusionXLPipeline").components
    return made


def modular(parts: dict[str, Any], *, steered: bool) -> Any:
    from diffusers.modular_pipelines import StableDiffusionXLAutoBlocks

    from fairgen.steering.modular import ToneSteps

    blocks = StableDiffusionXLAutoBlocks()
    if steered:
        blocks.sub_blocks["text_encoder"] = ToneSteps(blocks.sub_blocks["text_encoder"])
    pipe = blocks.init_pipeline()
    known = {name: part for name, part in parts.items() if part is not None and name in pipe._component_specs}
    pipe.update_components(**known)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def sample(pipe: Any, prompts: list[str], **more: Any) -> torch.Tensor:
    seeds = [torch.Generator().manual_seed(seed) for seed in range(len(prompts))]
    made: torch.Tensor = pipe(
        prompt=prompts, generator=seeds, height=16, width=16, num_inference_steps=2, output_type="latent",
        output="latents", **more,
    )  # fmt: skip
    return made


def test_the_block_steers_each_prompt(parts: dict[str, Any]) -> None:
    pipe, bare = modular(parts, steered=True), modular(parts, steered=False)
    plain = sample(bare, [PROMPT] * 3)
    toned = sample(bare, [f"{PROMPT} with very fair skin", PROMPT, f"{PROMPT} with very dark skin"])
    steered = sample(pipe, [PROMPT] * 3, tone_strength=[-1.0, 0.0, 1.0])
    effect = float((toned - plain).abs().max())
    assert effect > 0
    assert torch.equal(steered[1], plain[1])
    assert float((steered - toned).abs().max()) < 1e-3 * effect
    assert torch.equal(sample(pipe, [PROMPT] * 3), plain)
    assert torch.equal(sample(pipe, [PROMPT] * 3, tone_strength=0.0), plain)
    with pytest.raises(UserError, match="tone_strength has 2 values for 3 prompts"):
        sample(pipe, [PROMPT] * 3, tone_strength=[0.5, 0.5])


def test_a_modular_pipeline_that_shares_the_denoiser_is_not_steered(parts: dict[str, Any]) -> None:
    pipe, bare = t2i.make("StableDiffusionXLPipeline"), modular(parts, steered=False)
    pipe.unet = parts["unet"]
    plain = sample(bare, [PROMPT] * 2)
    with ToneGuidance(pipe, strength=1.0, technique="semantic"):
        assert torch.equal(sample(bare, [PROMPT] * 2), plain)


def test_a_modular_pipeline_is_refused_where_another_is_needed(parts: dict[str, Any]) -> None:
    bare = modular(parts, steered=False)
    with pytest.raises(UserError, match=r"is a modular pipeline: put fairgen\.steering\.modular\.ToneSteps"):
        wrap_pipeline(bare)
    with pytest.raises(UserError, match="cannot be steered"):
        ToneGuidance(bare, strength=1.0)
