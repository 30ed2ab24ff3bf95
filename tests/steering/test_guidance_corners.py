"""Steering inside sampling where pipelines are called in less usual ways; random weights, real classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairgen.errors import UserError
from fairgen.models.loading import load_model, wrap_pipeline
from fairgen.steering.denoiser import denoiser
from fairgen.steering.guidance import ToneGuidance
from tests.doubles import tiny_pipelines

PROMPT = "a portrait of a doctor"


def sample(pipe: Any, name: str, prompt: str = PROMPT, **more: Any) -> torch.Tensor:
    seeds = [torch.Generator().manual_seed(seed) for seed in range(2)]
    settings = tiny_pipelines.call_settings(name) | more
    images: torch.Tensor = pipe([prompt] * 2, generator=seeds, **settings).images
    return images


@pytest.mark.parametrize("name", ["sdxl", "sd3", "flux"])
def test_a_second_prompt_is_toned_too(pipes: Callable[[str], Any], name: str) -> None:
    pipe = pipes(name)
    with ToneGuidance(pipe, PROMPT, [0.0, 1.0]):
        steered = sample(pipe, name, prompt_2=["a photo of a nurse"] * 2)
    words = "with very dark skin"
    toned = sample(pipe, name, f"{PROMPT} {words}", prompt_2=[f"a photo of a nurse {words}"] * 2)
    assert torch.equal(steered[0], sample(pipe, name, prompt_2=["a photo of a nurse"] * 2)[0])
    assert torch.allclose(steered[1], toned[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("technique", ["embedding", "semantic"])
def test_guidance_by_skipped_layers(pipes: Callable[[str], Any], technique: str) -> None:
    """SD 3.5 evaluates the conditional half once more, with layers left out."""
    pipe = pipes("sd3")
    more: dict[str, Any] = {
        "skip_guidance_layers": [0],
        "skip_layer_guidance_start": 0.0,
        "skip_layer_guidance_stop": 1.0,
        "num_inference_steps": 4,
    }
    with ToneGuidance(pipe, PROMPT, [0.0, 1.0], technique=technique):
        steered = sample(pipe, "sd3", **more)
    assert torch.equal(steered[0], sample(pipe, "sd3", **more)[0])
    toned = sample(pipe, "sd3", f"{PROMPT} with very dark skin", **more)
    assert torch.allclose(steered[1], toned[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("words", [19, 20, 21, 60])
def test_tone_words_beyond_what_the_model_reads(pipes: Callable[[str], Any], words: int) -> None:
    """Cut off in whole, or in part: then light and dark would look alike."""
    long = " ".join(["doctor"] * words)
    with (
        pytest.raises(UserError, match="tone words at its end are cut off"),
        ToneGuidance(pipes("sd"), long, 1),
    ):
        sample(pipes("sd"), "sd", long)


def test_the_length_of_prompts_is_the_calls(tmp_path: Path) -> None:
    """PixArt's tokenizer reads without end; its call stops at max_sequence_length."""
    pipe = tiny_pipelines.make("pixart", tmp_path)
    pipe.tokenizer.model_max_length = 10**30
    generator = wrap_pipeline(pipe, height=16, width=16)
    generator.check_prompts(["doctor " * 290])
    with pytest.raises(UserError, match="it reads 300"):
        generator.check_prompts(["doctor " * 310])


def test_weights_that_are_loaded_layer_by_layer_have_the_same_fingerprint(tmp_path: Path) -> None:
    from accelerate import cpu_offload

    pipe = tiny_pipelines.make("sd", tmp_path)
    before = wrap_pipeline(pipe, height=16, width=16).info
    cpu_offload(pipe.unet, execution_device=torch.device("cpu"))
    assert any(value.is_meta for value in denoiser(pipe).state_dict().values())
    assert wrap_pipeline(pipe, height=16, width=16).info.weights == before.weights


def test_a_cuda_device_that_is_not_there() -> None:
    count = torch.cuda.device_count()
    with pytest.raises(UserError, match=f"There is no cuda:{count}: this machine has {count} CUDA devices"):
        load_model("embedded", f"cuda:{count}")
