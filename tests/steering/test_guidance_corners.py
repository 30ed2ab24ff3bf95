"""Steering inside sampling where pipelines are called in less usual ways; random weights, real classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairgen.errors import UserError
from fairgen.models.loading import load_model, wrap_pipeline
from fairgen.steering.conditioning import denoiser, encode, tone_path
from fairgen.steering.guidance import ToneGuidance
from tests.doubles import tiny_pipelines

PROMPT = "a portrait of a doctor"


@pytest.fixture(scope="module")
def pipes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    folder = tmp_path_factory.mktemp("tokenizer")
    made: dict[str, Any] = {}

    def get(name: str) -> Any:
        if name not in made:
            made[name] = tiny_pipelines.make(name, folder)
        return made[name]

    return get


def sample(pipe: Any, name: str, prompt: str = PROMPT, **more: Any) -> torch.Tensor:
    seeds = [torch.Generator().manual_seed(seed) for seed in range(2)]
    settings = tiny_pipelines.call_settings(name) | more
    images: torch.Tensor = pipe([prompt] * 2, generator=seeds, **settings).images
    return images


@pytest.mark.parametrize("name", ["sdxl", "sd3", "flux"])
def test_a_second_prompt_is_toned_too(pipes: Callable[[str], Any], name: str) -> None:
    pipe = pipes(name)
    settings = tiny_pipelines.call_settings(name) | {"prompt_2": "a photo of a nurse"}
    with ToneGuidance(pipe, PROMPT, [0.0, 1.0], settings=settings):
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
    settings = tiny_pipelines.call_settings("sd3")
    with ToneGuidance(pipe, PROMPT, [0.0, 0.8], technique=technique, settings=settings):
        steered = sample(pipe, "sd3", **more)
    plain = sample(pipe, "sd3", **more)
    assert torch.equal(steered[0], plain[0])
    assert not torch.allclose(steered[1], plain[1], atol=1e-3)


def test_a_scale_that_the_pipeline_does_not_keep_must_be_told(pipes: Callable[[str], Any]) -> None:
    settings = tiny_pipelines.call_settings("pixart")
    with pytest.raises(UserError, match="PixArtSigmaPipeline does not keep its guidance scale"):
        ToneGuidance(pipes("pixart"), PROMPT, 0.5, technique="semantic", settings=settings)


def test_semantic_steering_notices_another_prompt(pipes: Callable[[str], Any]) -> None:
    pipe = pipes("sd")
    used = ToneGuidance(pipe, PROMPT, [0.5, 0.5], technique="semantic")
    with pytest.raises(UserError, match="called with another prompt than semantic"), used:
        sample(pipe, "sd", "a nurse")
    with used:
        sample(pipe, "sd")
    # What the last call left must not be added to a call that is not meant.
    with pytest.raises(UserError, match="called with another prompt than semantic"), used:
        sample(pipe, "sd", "a nurse")


def test_tone_words_beyond_what_the_model_reads(pipes: Callable[[str], Any]) -> None:
    long = " ".join(["a portrait of a doctor"] * 20)
    with pytest.raises(UserError, match="tone words at its end are cut off"):
        tone_path(pipes("sd"), long)


def test_the_length_of_prompts_is_the_calls(tmp_path: Path) -> None:
    """PixArt's tokenizer reads without end; its call stops at max_sequence_length."""
    pipe = tiny_pipelines.make("pixart", tmp_path)
    pipe.tokenizer.model_max_length = 10**30
    generator = wrap_pipeline(pipe, height=16, width=16)
    generator.check_prompts(["doctor " * 290])
    with pytest.raises(UserError, match="it reads 300"):
        generator.check_prompts(["doctor " * 310])


def test_the_scale_of_loras_reaches_the_text_encoder(
    pipes: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = pipes("sd")
    seen: list[Any] = []
    own = type(pipe).encode_prompt

    def watched(self: Any, prompt: Any, **given: Any) -> Any:
        seen.append(given.pop("lora_scale", None))
        return own(self, prompt, **given)

    watched.__signature__ = inspect.signature(own)  # type: ignore[attr-defined]
    monkeypatch.setattr(type(pipe), "encode_prompt", watched)
    encode(pipe, [PROMPT], {"cross_attention_kwargs": {"scale": 0.4}})
    encode(pipe, [PROMPT])
    assert seen == [0.4, None]


def test_weights_that_are_loaded_layer_by_layer_have_the_same_fingerprint(tmp_path: Path) -> None:
    from accelerate import cpu_offload

    pipe = tiny_pipelines.make("sd", tmp_path)
    before = wrap_pipeline(pipe, height=16, width=16).info
    cpu_offload(pipe.unet, execution_device=torch.device("cpu"))
    assert any(value.is_meta for value in denoiser(pipe).state_dict().values())
    assert wrap_pipeline(pipe, height=16, width=16).info.weights == before.weights


def test_a_timestep_at_which_nothing_is_predicted(pipes: Callable[[str], Any]) -> None:
    """SCM schedulers list a last 0; fractions of the steps are of those that the denoiser sees."""
    pipe = pipes("sd")
    guidance = ToneGuidance(pipe, PROMPT, 0.5)
    pipe.scheduler.set_timesteps(3)
    pipe._num_timesteps = 2
    first, second = pipe.scheduler.timesteps[:2]
    assert [guidance._progress(t) for t in (first, first, second)] == [0.0, 0.0, 0.5]


def test_a_cuda_device_that_is_not_there() -> None:
    count = torch.cuda.device_count()
    with pytest.raises(UserError, match=f"There is no cuda:{count}: this machine has {count} CUDA devices"):
        load_model("embedded", f"cuda:{count}")
