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


GUIDERS: dict[str, dict[str, Any]] = {
    "ClassifierFreeGuidance": {"guidance_scale": 5.0, "guidance_rescale": 0.7},
    "ClassifierFreeZeroStarGuidance": {"zero_init_steps": 0},
    "AdaptiveProjectedGuidance": {"guidance_scale": 5.0},
    "TangentialClassifierFreeGuidance": {},
    "PerturbedAttentionGuidance": {
        "perturbed_guidance_layers": "down_blocks.1.attentions.0.transformer_blocks.0"
    },
}


@pytest.mark.parametrize("name", GUIDERS)
def test_guiders(parts: dict[str, Any], name: str) -> None:
    """Whatever the guider makes of the conditional half, it makes of the toned prompt's."""
    from diffusers import LayerSkipConfig, guiders

    given = dict(GUIDERS[name])
    if "perturbed_guidance_layers" in given:
        layer = given.pop("perturbed_guidance_layers")
        given["perturbed_guidance_config"] = LayerSkipConfig(
            indices=[0], fqn=layer.rsplit(".", 1)[0], skip_attention=False, skip_attention_scores=True,
            skip_ff=False,
        )  # fmt: skip
    guider = getattr(guiders, name)(**given)
    pipe, bare = modular(parts, steered=True), modular(parts, steered=False)
    unguided = sample(bare, [PROMPT])
    for each in (pipe, bare):
        each.update_components(guider=guider)
    plain = sample(bare, [PROMPT] * 2)
    assert not torch.allclose(plain[:1], unguided, atol=1e-4), "the guider does nothing: the test is wrong"
    toned = sample(bare, [PROMPT, f"{PROMPT} with very dark skin"])
    steered = sample(pipe, [PROMPT] * 2, tone_strength=[0.0, 1.0])
    effect = float((toned[1] - plain[1]).abs().max())
    assert torch.equal(steered[0], plain[0])
    assert float((steered[1] - toned[1]).abs().max()) < 1e-3 * effect


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
