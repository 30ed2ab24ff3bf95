"""Steering in Modular Diffusers, by a block in place of the text encoder's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fairgen.errors import UserError
from fairgen.models.loading import wrap_pipeline
from fairgen.steering.errors import SampledTogetherError
from fairgen.steering.guidance import ToneGuidance
from tests.doubles import modular
from tests.doubles import text_to_image as t2i

PROMPT = "a portrait of a doctor"
FAIR, DARK = f"{PROMPT} with very fair skin", f"{PROMPT} with very dark skin"
XL = "StableDiffusionXLPipeline"
pytestmark = pytest.mark.filterwarnings(r"ignore:.*is deprecated:FutureWarning")  # of diffusers' own classes

WORKFLOWS = {
    "StableDiffusionXLAutoBlocks": XL,
    "StableDiffusion3AutoBlocks": "StableDiffusion3Pipeline",
    "FluxAutoBlocks": "FluxPipeline",
    "Flux2AutoBlocks": "Flux2Pipeline",
    "Flux2KleinAutoBlocks": "Flux2KleinPipeline",
    "Flux2KleinBaseAutoBlocks": "Flux2KleinPipeline",
    "QwenImageAutoBlocks": "QwenImagePipeline",
    "QwenImage21AutoBlocks": "QwenImage21Pipeline",
    "ZImageAutoBlocks": "ZImagePipeline",
    "Krea2AutoBlocks": "Krea2Pipeline",
    "Krea2TurboAutoBlocks": "Krea2Pipeline",
    "ErnieImageAutoBlocks": "ErnieImagePipeline",
    "Ideogram4AutoBlocks": "Ideogram4Pipeline",
}
"""Workflow -> the usual pipeline with the same parts."""
SETTINGS: dict[str, dict[str, Any]] = {
    "Ideogram4AutoBlocks": {"prompt_upsampling": False, "guidance_schedule": [4.0] * modular.STEPS},
}
NOT_TRIED = {
    "FluxKontextAutoBlocks": "begins with a picture",
    "QwenImageEditAutoBlocks": "begins with a picture",
    "QwenImageEditPlusAutoBlocks": "begins with a picture",
    "QwenImageLayeredAutoBlocks": "begins with a picture",
    "QwenImage21TurboAutoBlocks": "no small configuration is known",
    "Flux3AutoBlocks": "no small configuration is known",
    "Flux3DistilledAutoBlocks": "no small configuration is known",
}
"""Workflows for pictures that no test samples from."""
OTHER_KINDS = ("Cosmos", "Echo", "Helios", "HunyuanVideo", "LTX", "MiniMax", "Wan")
"""Video, sound and music, by the names' beginnings."""


@pytest.fixture(scope="module")
def parts() -> dict[str, Any]:
    made: dict[str, Any] = t2i.make(XL).components
    return made


def blocks(name: str, *, steered: bool) -> Any:
    import diffusers

    from fairgen.steering.modular import steered as steered_blocks

    kind = getattr(diffusers, name)
    return steered_blocks(kind) if steered else kind()


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_is_steered(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers.modular_pipelines.krea2 import encoders

    monkeypatch.setattr(encoders, "KREA2_TEXT_ENCODER_SELECT_LAYERS", (0, 1, 2))  # ours has three
    usual = WORKFLOWS[name]
    components = t2i.make(usual).components
    bare, pipe = (modular.pipeline(blocks(name, steered=steered), components) for steered in (False, True))

    def sample(pipe: Any, prompts: list[str], **more: Any) -> torch.Tensor:
        return modular.sample(usual, pipe, prompts, **(SETTINGS.get(name, {}) | more))

    plain, toned = sample(bare, [PROMPT] * 3), sample(bare, [FAIR, PROMPT, DARK])
    effect = float((toned - plain).abs().max())
    assert effect > 0, "the tone words change nothing: the test is wrong"
    assert torch.equal(sample(pipe, [PROMPT] * 3), plain)
    if name.startswith("QwenImage21"):  # padding changes its pictures
        with pytest.raises(SampledTogetherError, match="sample it in a call of its own"):
            sample(pipe, [PROMPT] * 3, tone_strength=[-1.0, 0.0, 1.0])
        steered = sample(pipe, [PROMPT] * 2, tone_strength=[-1.0, 1.0])
        toned = sample(bare, [FAIR, DARK])
    else:
        steered = sample(pipe, [PROMPT] * 3, tone_strength=[-1.0, 0.0, 1.0])
        assert float((steered[1] - plain[1]).abs().max()) <= 1e-4 * effect
    assert float((steered - toned).abs().max()) <= 1e-3 * effect


def test_no_workflow_is_forgotten() -> None:
    import diffusers

    bases = ("Modular", "Sequential", "Auto", "Conditional", "LoopSequential")
    names = [name for name in dir(diffusers) if name.endswith("Blocks") and "PipelineBlocks" not in name]
    assert {f"{base}PipelineBlocks" for base in bases} <= set(dir(diffusers))
    known = {*WORKFLOWS, *NOT_TRIED, "AnimaAutoBlocks"}
    assert [name for name in names if name not in known and not name.startswith(OTHER_KINDS)] == []
    for name in {*WORKFLOWS, *NOT_TRIED}:
        assert "tone_strength" in blocks(name, steered=True).input_names


@pytest.mark.parametrize("name", ["AnimaAutoBlocks", "Cosmos3OmniBlocks", "Cosmos3DistilledBlocks"])
def test_token_numbers_are_refused(name: str) -> None:
    """Where a denoiser reads the words themselves, a mixture of two of them would be a third."""
    with pytest.raises(UserError, match=r"hands the numbers of tokens \(.*_ids.*put tone words into"):
        blocks(name, steered=True)


def test_strengths(parts: dict[str, Any]) -> None:
    name = "StableDiffusionXLAutoBlocks"
    pipe, bare = (modular.pipeline(blocks(name, steered=steered), parts) for steered in (True, False))
    plain = modular.sample(XL, bare, [PROMPT] * 2)
    assert torch.equal(modular.sample(XL, pipe, [PROMPT] * 2, tone_strength=0.0), plain)
    toned = modular.sample(XL, bare, [DARK] * 2)
    steered = modular.sample(XL, pipe, [PROMPT] * 2, tone_strength=1)
    assert float((steered - toned).abs().max()) < 1e-3 * float((toned - plain).abs().max())
    with pytest.raises(UserError, match="tone_strength has 2 values for 3 prompts"):
        modular.sample(XL, pipe, [PROMPT] * 3, tone_strength=[0.5, 0.5])


def test_strengths_without_a_prompt_are_refused() -> None:
    name = "QwenImageAutoBlocks"
    pipe = modular.pipeline(blocks(name, steered=True), t2i.make(WORKFLOWS[name]).components)
    with pytest.raises(UserError, match="tone_strength needs a prompt"):
        pipe(tone_strength=[1.0], output="latents")


def test_the_block_as_a_pipeline_of_its_own(parts: dict[str, Any]) -> None:
    """Encoded apart, as where the text encoders are unloaded before the denoiser comes in."""
    whole, bare = (blocks("StableDiffusionXLAutoBlocks", steered=steered) for steered in (True, False))
    encoder = modular.filled(whole.sub_blocks.pop("text_encoder").init_pipeline(), parts)
    rest = modular.pipeline(whole, parts)
    state = encoder(prompt=[PROMPT], negative_prompt=["a blurry photo"], tone_strength=1.0)
    text = state.get_by_kwargs("denoiser_input_fields")
    more = {key: value for key, value in t2i.CASES[XL].call.items() if key in ("height", "width")}
    made = rest(
        **text, generator=[torch.Generator().manual_seed(0)], num_inference_steps=modular.STEPS,
        output="latents", **more,
    )  # fmt: skip
    toned = modular.sample(XL, modular.pipeline(bare, parts), [DARK])
    assert torch.allclose(made, toned, rtol=1e-3, atol=1e-4)


def test_the_block_is_put_around_a_text_encoder() -> None:
    import diffusers

    from fairgen.steering.modular import ToneSteps, steered

    plain = diffusers.StableDiffusionXLAutoBlocks().sub_blocks
    block = ToneSteps(type(plain["text_encoder"]))
    assert block.input_names == [*plain["text_encoder"].input_names, "tone_strength"]
    assert "tone_strength" in block.doc
    with pytest.raises(UserError, match="encodes no prompt: put ToneSteps around"):
        ToneSteps(plain["decode"])
    with pytest.raises(UserError, match="is around this block already"):
        ToneSteps(block)
    with pytest.raises(UserError, match="needs the block that encodes the prompt"):
        ToneSteps()
    with pytest.raises(UserError, match=r"No block of Steered.* encodes a prompt"):
        steered(type(plain["decode"]))


def test_a_workflow_that_is_pruned_is_steered_as_well(parts: dict[str, Any]) -> None:
    """``workflow="text2image"`` keeps only the blocks that it runs."""
    whole = blocks("StableDiffusionXLAutoBlocks", steered=True)
    pipe = modular.pipeline(whole.get_workflow("text2image"), parts)
    bare = modular.pipeline(blocks("StableDiffusionXLAutoBlocks", steered=False), parts)
    toned = modular.sample(XL, bare, [DARK])
    assert torch.allclose(modular.sample(XL, pipe, [PROMPT], tone_strength=1.0), toned, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(modular.sample(XL, bare, [PROMPT]), toned, rtol=1e-3, atol=1e-3)


def test_a_modular_pipeline_that_shares_the_denoiser_is_not_steered(parts: dict[str, Any]) -> None:
    pipe = t2i.make(XL)
    bare = modular.pipeline(blocks("StableDiffusionXLAutoBlocks", steered=False), parts)
    pipe.unet = parts["unet"]
    plain = modular.sample(XL, bare, [PROMPT] * 2)
    with ToneGuidance(pipe, strength=1.0, technique="semantic"):
        assert torch.equal(modular.sample(XL, bare, [PROMPT] * 2), plain)


def test_a_modular_pipeline_is_refused_where_another_is_needed(parts: dict[str, Any]) -> None:
    bare = modular.pipeline(blocks("StableDiffusionXLAutoBlocks", steered=False), parts)
    with pytest.raises(UserError, match=r"is a modular pipeline: steer its blocks with fairgen\.steering"):
        wrap_pipeline(bare)
    with pytest.raises(UserError, match="cannot be steered"):
        ToneGuidance(bare, strength=1.0)
