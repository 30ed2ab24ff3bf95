"""What people combine with a pipeline: steering acts as on the toned prompt, or says that it cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from fairgen.errors import UserError
from fairgen.models.loading import wrap_pipeline
from fairgen.steering.guidance import ToneGuidance
from tests.doubles import text_to_image as t2i
from tests.doubles.acting import DARK, PROMPT, acts

SD, FLUX = "StableDiffusionPipeline", "FluxPipeline"
WRITES_EMBEDS: dict[str, Any] = {"callback_on_step_end_tensor_inputs": ["prompt_embeds"]}
TECHNIQUES = ("embedding", "semantic")


@pytest.fixture
def sd() -> Any:
    return t2i.make(SD)


@pytest.fixture(scope="module")
def shared_sd() -> Any:
    return t2i.make(SD)


def sample(pipe: Any, prompt: str = PROMPT, name: str = SD, count: int = 2, **more: Any) -> torch.Tensor:
    made: torch.Tensor = t2i.sample(name, pipe, [prompt] * count, **more)
    return made


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize(
    "more",
    [
        {"guidance_rescale": 0.7, "guidance_scale": 5.0},
        {"guidance_scale": 5.0, "negative_prompt": PROMPT},
        {"guidance_scale": 5.0, "eta": 0.5},
        {"timesteps": None, "num_inference_steps": 4},
    ],
    ids=lambda more: "-".join(more),
)
def test_arguments_of_the_call(shared_sd: Any, technique: str, more: dict[str, Any]) -> None:
    unlike = sample(shared_sd, **{key: more[key] for key in ("guidance_scale",) if key in more})
    acts(shared_sd, technique=technique, unlike=unlike, **more)


def test_clip_skip() -> None:
    name = "StableDiffusionXLPipeline"
    pipe = t2i.make(name)
    unlike = sample(pipe, name=name)
    for technique in TECHNIQUES:
        acts(pipe, name, technique, unlike, clip_skip=1)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_free_u(sd: Any, technique: str) -> None:
    unlike = sample(sd)
    sd.enable_freeu(s1=0.9, s2=0.2, b1=1.2, b2=1.4)
    acts(sd, technique=technique, unlike=unlike)


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("scheduler", ["HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "LCMScheduler"])
def test_schedulers_that_call_the_denoiser_otherwise(sd: Any, scheduler: str, technique: str) -> None:
    import diffusers

    more: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": 4.0}
    unlike = sample(sd, **more)
    sd.scheduler = getattr(diffusers, scheduler).from_config(sd.scheduler.config)
    acts(sd, technique=technique, unlike=unlike, **more)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_guidance_that_changes_from_step_to_step(shared_sd: Any, technique: str) -> None:
    """A callback sets the scale anew after each step, as for dynamic guidance."""

    def stronger(pipe: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        pipe._guidance_scale = 4.0 + 3.0 * step
        return tensors

    more: dict[str, Any] = {"guidance_scale": 4.0, "num_inference_steps": 4}
    unlike = sample(shared_sd, **more)
    acts(shared_sd, technique=technique, unlike=unlike, callback_on_step_end=stronger, **more)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_guidance_that_ends_midway(shared_sd: Any, technique: str) -> None:
    """A callback halves the batch, as diffusers' own cut-off of guidance does for one picture."""

    def cut(pipe: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if step == 1:
            tensors["prompt_embeds"] = tensors["prompt_embeds"].chunk(2)[-1]
            pipe._guidance_scale = 0.0
        return tensors

    more: dict[str, Any] = {
        "callback_on_step_end": cut,
        "callback_on_step_end_tensor_inputs": ["prompt_embeds"],
    }
    unlike = sample(shared_sd, guidance_scale=4.0, num_inference_steps=4)
    acts(shared_sd, technique=technique, unlike=unlike, guidance_scale=4.0, num_inference_steps=4, **more)


def test_a_window_whose_text_is_changed_midway_is_refused(shared_sd: Any) -> None:
    def other(_pipe: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        return tensors | {"prompt_embeds": tensors["prompt_embeds"] + 1}

    guidance = ToneGuidance(shared_sd, strength=0.5, start=0.1)
    with pytest.raises(UserError, match="was changed while it sampled"), guidance:
        sample(shared_sd, num_inference_steps=4, callback_on_step_end=other, **WRITES_EMBEDS)


def test_an_interrupt(shared_sd: Any) -> None:
    def stop(pipe: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        pipe._interrupt = step >= 1
        return tensors

    more: dict[str, Any] = {"callback_on_step_end": stop, "num_inference_steps": 5}
    unlike = sample(shared_sd, num_inference_steps=5)
    for technique in TECHNIQUES:
        acts(shared_sd, technique=technique, unlike=unlike, **more)


# Embeddings of one's own --------------------------------------------------------------------------------


def own_embeddings(pipe: Any) -> Callable[[str], dict[str, Any]]:
    def encode(text: str) -> dict[str, Any]:
        return {"prompt_embeds": 1.1 * pipe.encode_prompt(text, "cpu", 1, False)[0]}

    return encode


@pytest.mark.parametrize("given", [{}, {"technique": "semantic"}, {"stop": 0.9}])
def test_embeddings_of_ones_own_by_encode(shared_sd: Any, given: dict[str, Any]) -> None:
    encode = own_embeddings(shared_sd)

    def call(text: str) -> torch.Tensor:
        with torch.no_grad():
            rows = encode(text)["prompt_embeds"].repeat(2, 1, 1)
        seeds = [torch.Generator().manual_seed(seed) for seed in range(2)]
        made: torch.Tensor = shared_sd(
            prompt_embeds=rows, generator=seeds, height=16, width=16, num_inference_steps=2,
            output_type="latent", guidance_scale=1.0,
        ).images  # fmt: skip
        return made

    with torch.no_grad(), ToneGuidance(shared_sd, PROMPT, [0.0, 1.0], encode=encode, **given):
        steered = call(PROMPT)
    assert torch.equal(steered[0], call(PROMPT)[0])
    assert torch.allclose(steered[1], call(DARK)[1], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(steered[1], call(PROMPT)[1], rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        anchors = {-1.0: encode(f"{PROMPT} with very fair skin"), 1.0: encode(DARK)}
    with ToneGuidance(shared_sd, PROMPT, [0.0, 1.0], embeddings=anchors, **given):
        assert torch.allclose(call(PROMPT), steered, rtol=1e-3, atol=1e-4)


def test_embeddings_of_ones_own_need_to_be_told(shared_sd: Any) -> None:
    rows = shared_sd.encode_prompt(PROMPT, "cpu", 1, False)[0].detach()
    with (
        pytest.raises(UserError, match="tell ToneGuidance these prompts"),
        ToneGuidance(shared_sd, strength=1),
    ):
        shared_sd(prompt_embeds=rows, height=16, width=16, num_inference_steps=1)
    guidance = ToneGuidance(shared_sd, PROMPT, strength=1.0)
    with pytest.raises(UserError, match=r"its own embeddings \(prompt_embeds\)"), guidance:
        shared_sd(prompt_embeds=rows, height=16, width=16, num_inference_steps=1)


def test_a_pipeline_without_its_text_encoder(sd: Any) -> None:
    encode = own_embeddings(sd)
    with torch.no_grad():
        known = {text: encode(text) for text in (PROMPT, DARK, f"{PROMPT} with very fair skin")}
    sd.text_encoder = None
    anchors = {-1.0: known[f"{PROMPT} with very fair skin"], 1.0: known[DARK]}
    settings: dict[str, Any] = {"height": 16, "width": 16, "num_inference_steps": 2, "output_type": "latent"}

    def call(text: str) -> torch.Tensor:
        negative = torch.zeros_like(known[text]["prompt_embeds"])
        seed = torch.Generator().manual_seed(0)
        made: torch.Tensor = sd(
            **known[text], negative_prompt_embeds=negative, generator=seed, **settings
        ).images
        return made

    with ToneGuidance(sd, PROMPT, 1.0, embeddings=anchors):
        steered = call(PROMPT)
    assert torch.allclose(steered, call(DARK), rtol=1e-3, atol=1e-4)
    with pytest.raises(UserError, match="text encoders of StableDiffusionPipeline are not loaded"):
        wrap_pipeline(sd)


# What changes the denoiser ------------------------------------------------------------------------------


def flux_caches(pipe: Any) -> dict[str, Any]:
    import diffusers

    skipping: dict[str, Any] = {
        "spatial_attention_block_skip_range": 2,
        "spatial_attention_timestep_skip_range": (0, 901),
        "current_timestep_callback": lambda: float(pipe.current_timestep),
    }
    return {
        "FirstBlockCache": diffusers.FirstBlockCacheConfig(threshold=10.0),
        "PyramidAttentionBroadcast": diffusers.PyramidAttentionBroadcastConfig(**skipping),
        "FasterCache": diffusers.FasterCacheConfig(
            **skipping,
            is_guidance_distilled=True,
            attention_weight_callback=lambda _: 0.5,
            tensor_format="BCHW",
        ),
        "TaylorSeerCache": diffusers.TaylorSeerCacheConfig(cache_interval=2, disable_cache_before_step=1),
        "MagCache": diffusers.MagCacheConfig(threshold=0.2, mag_ratios=[1.0] * 4, num_inference_steps=4),
    }


@pytest.mark.parametrize(
    "cache", ["FirstBlockCache", "PyramidAttentionBroadcast", "FasterCache", "TaylorSeerCache", "MagCache"]
)
def test_caches(cache: str) -> None:
    pipe = t2i.make(FLUX)
    unlike = sample(pipe, name=FLUX, num_inference_steps=4)
    pipe.transformer.enable_cache(flux_caches(pipe)[cache])

    def call(prompt: str) -> torch.Tensor:
        # What a cache keeps is left over from call to call.
        pipe.transformer._reset_stateful_cache()
        return sample(pipe, prompt, name=FLUX, num_inference_steps=4)

    plain, toned = call(PROMPT), call(DARK)
    assert not torch.allclose(plain, unlike, rtol=1e-4, atol=1e-4), "the cache does nothing"
    with ToneGuidance(pipe, strength=[0.0, 1.0]):
        steered = call(PROMPT)
    assert torch.allclose(steered[1], toned[1], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(plain[1], toned[1], rtol=1e-3, atol=1e-3)
    with pytest.raises(UserError, match="its cache"), ToneGuidance(pipe, strength=1.0, technique="semantic"):
        call(PROMPT)


def test_a_denoiser_whose_forward_was_replaced(sd: Any) -> None:
    """As DeepCache does."""
    own = sd.unet.forward
    sd.unet.forward = lambda *args, **kwargs: own(*args, **kwargs)
    acts(sd)
    with pytest.raises(UserError, match="has replaced its forward"):
        acts(sd, technique="semantic")


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("in_place", [False, True])
def test_compiled(sd: Any, technique: str, in_place: bool) -> None:
    if in_place:
        sd.unet.compile(backend="eager")
    else:
        sd.unet = torch.compile(sd.unet, backend="eager")
    acts(sd, technique=technique)
    assert wrap_pipeline(sd, height=16, width=16).info.weights


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_layerwise_casting(sd: Any, technique: str) -> None:
    unlike = sample(sd)
    sd.unet.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    acts(sd, technique=technique, unlike=unlike)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_offloading(sd: Any, technique: str) -> None:
    from accelerate import cpu_offload

    cpu_offload(sd.unet, execution_device=torch.device("cpu"))
    acts(sd, technique=technique)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_image_to_image_and_inpainting(shared_sd: Any, technique: str) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline, StableDiffusionInpaintPipeline

    picture = t2i.picture()
    for kind, more in (
        (StableDiffusionImg2ImgPipeline, {"image": picture, "strength": 0.8}),
        (
            StableDiffusionInpaintPipeline,
            {"image": picture, "mask_image": picture, "height": 16, "width": 16},
        ),
    ):
        pipe = kind(**shared_sd.components, requires_safety_checker=False)
        pipe.set_progress_bar_config(disable=True)

        def call(prompt: str, pipe: Any = pipe, more: Any = more) -> torch.Tensor:
            seeds = [torch.Generator().manual_seed(seed) for seed in range(2)]
            made: torch.Tensor = pipe(
                [prompt] * 2, generator=seeds, num_inference_steps=4, output_type="latent", **more
            ).images
            return made

        with ToneGuidance(pipe, strength=[0.0, 1.0], technique=technique):
            steered = call(PROMPT)
        assert torch.equal(steered[0], call(PROMPT)[0])
        assert torch.allclose(steered[1], call(DARK)[1], rtol=1e-3, atol=1e-4)
        assert not torch.allclose(steered[1], call(PROMPT)[1], rtol=1e-3, atol=1e-3)


# Who is steered ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_pipeline_that_shares_the_denoiser_is_not_steered(sd: Any, technique: str) -> None:
    from diffusers import StableDiffusionPipeline

    other = StableDiffusionPipeline(**sd.components, requires_safety_checker=False)
    other.set_progress_bar_config(disable=True)
    plain = sample(other, "a photo of a nurse")
    inside: list[torch.Tensor] = []

    def look(_pipe: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        # While the steered call goes on, another thread uses the shared denoiser.
        def run() -> None:
            inside.append(sample(other, "a photo of a nurse"))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join(60)
        return tensors

    with ToneGuidance(sd, strength=[0.0, 1.0], technique=technique, stop=0.9):
        assert torch.equal(sample(other, "a photo of a nurse"), plain)
        sd.scheduler = type(sd.scheduler).from_config(sd.scheduler.config)  # each thread needs its own
        sample(sd, callback_on_step_end=look)
    assert len(inside) == 2
    assert all(torch.equal(made, plain) for made in inside)


def test_another_thread_on_the_same_pipeline_is_not_steered(sd: Any) -> None:
    plain = sample(sd)
    seen: list[torch.Tensor] = []
    with ToneGuidance(sd, strength=[1.0, 1.0]):
        thread = threading.Thread(target=lambda: seen.append(sample(sd)))
        thread.start()
        thread.join(60)
        steered = sample(sd)
    assert torch.equal(seen[0], plain)
    assert not torch.allclose(steered, plain, atol=1e-3)


def test_two_threads_with_guidance_of_their_own(sd: Any) -> None:
    kind = type(sd)
    plain, toned = sample(sd), sample(sd, DARK)
    both, done = threading.Barrier(2, timeout=60), threading.Barrier(2, timeout=60)
    made: dict[float, torch.Tensor] = {}
    one_at_a_time = threading.Lock()

    def run(strength: float) -> None:
        with ToneGuidance(sd, strength=strength):
            both.wait()
            with one_at_a_time:  # a pipeline's scheduler is for one call at a time
                made[strength] = sample(sd)
            done.wait()

    threads = [threading.Thread(target=run, args=(strength,)) for strength in (0.0, 1.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert torch.equal(made[0.0], plain)
    assert torch.allclose(made[1.0], toned, rtol=1e-3, atol=1e-4)
    assert type(sd) is kind
    assert "encode_prompt" not in vars(sd)


def test_nested_guidance_is_refused(shared_sd: Any) -> None:
    with ToneGuidance(shared_sd, strength=1.0):
        inner = ToneGuidance(shared_sd, strength=0.5, technique="semantic")
        with pytest.raises(UserError, match="already steered by a ToneGuidance"), inner:
            pass
        with pytest.raises(UserError, match="at once steer twice"):
            sample(shared_sd, callback_on_step_end=ToneGuidance(shared_sd, strength=1.0))
    assert "encode_prompt" not in vars(shared_sd)


# As a callback --------------------------------------------------------------------------------------------


def test_a_callback_with_one_step_is_refused(shared_sd: Any) -> None:
    with pytest.raises(UserError, match="with one step only"):
        sample(shared_sd, num_inference_steps=1, callback_on_step_end=ToneGuidance(shared_sd, strength=1.0))


def test_a_callback_without_its_tensors_is_told_so(shared_sd: Any) -> None:
    guidance = ToneGuidance(shared_sd, strength=1.0)
    with pytest.raises(UserError, match=r"callback_on_step_end_tensor_inputs=guidance\.tensor_inputs"):
        sample(shared_sd, callback_on_step_end=lambda *given: guidance(*given))


def test_a_callback_beside_one_that_ends_guidance(shared_sd: Any) -> None:
    from diffusers.callbacks import MultiPipelineCallbacks, SDCFGCutoffCallback

    cut = SDCFGCutoffCallback(cutoff_step_ratio=None, cutoff_step_index=2)
    both = MultiPipelineCallbacks([ToneGuidance(shared_sd, strength=1.0), cut])
    more: dict[str, Any] = {"guidance_scale": 4.0, "num_inference_steps": 6, "count": 1}
    made = sample(shared_sd, callback_on_step_end=both, **more)
    with ToneGuidance(shared_sd, strength=1.0, start=0.1):
        block = sample(shared_sd, callback_on_step_end=cut, **more)
    assert torch.allclose(made, block, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(made, sample(shared_sd, callback_on_step_end=cut, **more), atol=1e-3)
