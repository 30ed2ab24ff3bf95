"""Steering inside sampling, on real diffusers pipelines of every family with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fairgen.errors import UserError
from fairgen.steering import chosen
from fairgen.steering.conditioning import ANCHORS, RAMP, Blend
from fairgen.steering.denoiser import denoiser
from fairgen.steering.guidance import ToneGuidance
from tests.doubles import tiny_pipelines

PROMPT = "a portrait of a doctor"
FAMILIES = tuple(tiny_pipelines.FAMILIES)
WITH_GUIDANCE = ("sd", "sdxl", "sd3", "sana", "pixart")
TECHNIQUES = ("embedding", "semantic")


def sample(pipe: Any, name: str, prompt: Any = PROMPT, count: int = 2, **more: Any) -> torch.Tensor:
    settings = tiny_pipelines.call_settings(name) | more
    prompts = [prompt] * count if isinstance(prompt, str) and "num_images_per_prompt" not in more else prompt
    seeds = [torch.Generator().manual_seed(seed) for seed in range(count)]
    images: torch.Tensor = pipe(prompts, generator=seeds, **settings).images
    return images


def guidance(pipe: Any, _name: str, strength: Any, prompt: Any = PROMPT, **more: Any) -> ToneGuidance:
    return ToneGuidance(pipe, prompt, strength, **more)


def hooks(pipe: Any) -> int:
    module = denoiser(pipe)
    return len(module._forward_hooks) + len(module._forward_pre_hooks)


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("name", FAMILIES)
def test_each_picture_has_its_own_strength(pipes: Callable[[str], Any], name: str, technique: str) -> None:
    pipe = pipes(name)
    plain = sample(pipe, name)
    with guidance(pipe, name, [0.0, 0.0], technique=technique):
        assert torch.equal(sample(pipe, name), plain)
    with guidance(pipe, name, [0.0, 0.8], technique=technique):
        steered = sample(pipe, name)
    assert torch.equal(steered[0], plain[0])
    assert not torch.allclose(steered[1], plain[1], atol=1e-3)
    assert hooks(pipe) == 0
    assert torch.equal(sample(pipe, name), plain)


@pytest.mark.parametrize("name", FAMILIES)
def test_full_strength_is_the_toned_prompt(pipes: Callable[[str], Any], name: str) -> None:
    pipe = pipes(name)
    with guidance(pipe, name, [-1.0, 1.0]):
        steered = sample(pipe, name)
    for row, word in ((0, "very fair"), (1, "very dark")):
        toned = sample(pipe, name, f"{PROMPT} with {word} skin")
        assert torch.allclose(steered[row], toned[row], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", WITH_GUIDANCE)
def test_the_hook_acts_on_the_conditional_half(pipes: Callable[[str], Any], name: str) -> None:
    pipe = pipes(name)
    seen: list[torch.Tensor] = []
    watched = guidance(pipe, name, [0.5, 0.5])
    with watched:
        handle = denoiser(pipe).register_forward_pre_hook(
            lambda _m, _a, kwargs: seen.append(kwargs["encoder_hidden_states"].clone()), with_kwargs=True
        )
        sample(pipe, name)
        handle.remove()
    plain: list[torch.Tensor] = []
    handle = denoiser(pipe).register_forward_pre_hook(
        lambda _m, _a, kwargs: plain.append(kwargs["encoder_hidden_states"].clone()), with_kwargs=True
    )
    sample(pipe, name)
    handle.remove()
    assert torch.equal(seen[0][:2], plain[0][:2])
    assert not torch.allclose(seen[0][2:], plain[0][2:], atol=1e-3)


@pytest.mark.parametrize("name", WITH_GUIDANCE)
def test_semantic_steering_changes_the_conditional_half_alone(pipes: Callable[[str], Any], name: str) -> None:
    """Whatever guidance then makes of both halves is what it would make for the toned prompt."""
    pipe = pipes(name)
    outputs: list[torch.Tensor] = []

    def last(_m: Any, _a: Any, _k: Any, output: Any) -> None:
        outputs.append((output[0] if isinstance(output, tuple) else output.sample).clone())

    results = []
    for strength in (0.0, 1.0):
        with guidance(pipe, name, [strength] * 2, technique="semantic"):
            handle = denoiser(pipe).register_forward_hook(last, with_kwargs=True)
            sample(pipe, name, guidance_scale=3.0, num_inference_steps=1)
            handle.remove()
        results.append(next(o for o in reversed(outputs) if len(o) == 4))
    handle = denoiser(pipe).register_forward_hook(last, with_kwargs=True)
    sample(pipe, name, f"{PROMPT} with very dark skin", guidance_scale=3.0, num_inference_steps=1)
    handle.remove()
    toned = outputs[-1]
    # The hook of this test may see the output before or after it is steered: both were kept.
    steered = [o for o in outputs[1:-1] if len(o) == 2]
    assert len(steered) == 1, "the conditional rows alone are evaluated once more"
    assert torch.allclose(steered[0], toned[2:], rtol=1e-3, atol=1e-4)
    assert torch.allclose(results[0][:2], toned[:2], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_both_techniques_agree_at_full_window(pipes: Callable[[str], Any], name: str) -> None:
    pipe = pipes(name)
    results = []
    for technique in TECHNIQUES:
        with guidance(pipe, name, [0.8, -0.6], technique=technique, stop=1.0):
            results.append(sample(pipe, name))
    assert torch.allclose(results[0], results[1], rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("name", FAMILIES)
def test_several_pictures_of_a_prompt(pipes: Callable[[str], Any], name: str, technique: str) -> None:
    pipe = pipes(name)
    prompts = [PROMPT, "a nurse"]
    with guidance(pipe, name, [0.8, -0.8], prompts, technique=technique):
        together = sample(pipe, name, prompts)
    with guidance(
        pipe, name, [0.8, 0.8, -0.8, -0.8], [PROMPT, PROMPT, "a nurse", "a nurse"], technique=technique
    ):
        twice = sample(pipe, name, prompts, count=4, num_images_per_prompt=2)
    assert twice.shape[0] == 4
    assert torch.allclose(twice[0], together[0], rtol=1e-2, atol=1e-2)
    # One strength for each prompt holds for all of its pictures.
    with guidance(pipe, name, [0.8, -0.8], prompts, technique=technique):
        shared = sample(pipe, name, prompts, count=4, num_images_per_prompt=2)
    assert torch.allclose(shared, twice, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("name", WITH_GUIDANCE)
def test_a_negative_prompt_stays_as_it_is(pipes: Callable[[str], Any], name: str) -> None:
    pipe = pipes(name)
    negative: Any = "blurry photo" if name in ("sana", "pixart") else ["blurry photo"] * 2
    plain = sample(pipe, name, negative_prompt=negative)
    with guidance(pipe, name, [0.0, 0.8]):
        steered = sample(pipe, name, negative_prompt=negative)
    assert torch.equal(steered[0], plain[0])
    assert not torch.allclose(steered[1], plain[1], atol=1e-3)
    assert not torch.allclose(plain, sample(pipe, name), atol=1e-3)


def test_a_prompt_that_equals_its_negative(pipes: Callable[[str], Any]) -> None:
    pipe = pipes("sd")
    with guidance(pipe, "sd", [0.0, 0.8], technique="semantic"):
        steered = sample(pipe, "sd", negative_prompt=[PROMPT] * 2)
    assert torch.equal(steered[0], sample(pipe, "sd", negative_prompt=[PROMPT] * 2)[0])


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_without_classifier_free_guidance(pipes: Callable[[str], Any], technique: str) -> None:
    pipe = pipes("sd")
    with guidance(pipe, "sd", [0.0, 1.0], technique=technique, stop=1.0):
        steered = sample(pipe, "sd", guidance_scale=0.0)
    toned = sample(pipe, "sd", f"{PROMPT} with very dark skin", guidance_scale=0.0)
    assert torch.equal(steered[0], sample(pipe, "sd", guidance_scale=0.0)[0])
    assert torch.allclose(steered[1], toned[1], atol=1e-4)


def test_true_guidance_in_a_call_of_its_own(pipes: Callable[[str], Any]) -> None:
    pipe = pipes("flux")
    more: dict[str, Any] = {"negative_prompt": ["blurry photo"] * 2, "true_cfg_scale": 3.0}
    for technique in TECHNIQUES:
        with guidance(pipe, "flux", [0.0, 0.8], technique=technique):
            steered = sample(pipe, "flux", **more)
        plain = sample(pipe, "flux", **more)
        assert torch.equal(steered[0], plain[0])
        assert not torch.allclose(steered[1], plain[1], atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", FAMILIES)
def test_half_precision(tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    pipe = tiny_pipelines.make(name, tmp_path).to(dtype)
    plain = sample(pipe, name)
    with guidance(pipe, name, [0.0, 0.8]):
        steered = sample(pipe, name)
    assert torch.equal(steered[0], plain[0])
    assert not torch.equal(steered[1], plain[1])


def test_the_window(pipes: Callable[[str], Any]) -> None:
    pipe = pipes("sd")
    changed: list[bool] = []
    plain = pipe.encode_prompt(PROMPT, "cpu", 1, False)[0][0]

    def watch(_m: Any, _a: Any, kwargs: Any) -> None:
        changed.append(not torch.allclose(kwargs["encoder_hidden_states"][-1], plain, atol=1e-4))

    with guidance(pipe, "sd", [0.9, 0.9], start=0.25, stop=0.75):
        handle = denoiser(pipe).register_forward_pre_hook(watch, with_kwargs=True)
        sample(pipe, "sd", num_inference_steps=8)
        handle.remove()
    assert changed == [False, False, True, True, True, True, False, False]


def test_every_call_in_a_block_is_steered(pipes: Callable[[str], Any]) -> None:
    pipe = pipes("sd")
    with guidance(pipe, "sd", [0.9, 0.9]):
        assert torch.equal(sample(pipe, "sd"), sample(pipe, "sd"))


def test_a_window_that_no_step_falls_into_changes_nothing(pipes: Callable[[str], Any]) -> None:
    pipe = pipes("sd")
    with guidance(pipe, "sd", [0.9, 0.9], start=0.5):
        late = sample(pipe, "sd", num_inference_steps=1)
    assert torch.equal(late, sample(pipe, "sd", num_inference_steps=1))


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_hooks_are_gone_after_a_stop(pipes: Callable[[str], Any], stop: type[BaseException]) -> None:
    pipe = pipes("sd")
    plain = sample(pipe, "sd")

    def fail(*_: Any) -> Any:
        raise stop("in the middle")

    with pytest.raises(stop), guidance(pipe, "sd", [0.8, 0.8]):
        sample(pipe, "sd", callback_on_step_end=fail)
    assert hooks(pipe) == 0
    assert torch.equal(sample(pipe, "sd"), plain)


@pytest.mark.parametrize("name", ["sd", "sdxl", "sd3"])
def test_as_a_callback(pipes: Callable[[str], Any], name: str) -> None:
    """A callback acts from the second step on; so does a block that starts there."""
    pipe = pipes(name)
    by_callback = sample(pipe, name, callback_on_step_end=ToneGuidance(pipe, strength=[0.0, 0.8]))
    plain = sample(pipe, name)
    assert torch.equal(by_callback[0], plain[0])
    assert not torch.allclose(by_callback[1], plain[1], atol=1e-4)
    with guidance(pipe, name, [0.0, 0.8], start=0.2):
        block = sample(pipe, name)
    assert torch.allclose(block, by_callback, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "technique", "words"),
    [
        ("pixart", "embedding", "it has no callback_on_step_end"),
        ("sana", "embedding", "cannot be steered through a callback"),
        ("flux", "embedding", "cannot be steered through a callback"),
        ("sd", "semantic", "does not work as a callback"),
    ],
)
def test_where_a_callback_cannot_steer(
    pipes: Callable[[str], Any], name: str, technique: str, words: str
) -> None:
    pipe = pipes(name)
    called = guidance(pipe, name, [0.5, 0.5], technique=technique)
    with pytest.raises(UserError, match=words):
        sample(
            pipe, name, callback_on_step_end=called, callback_on_step_end_tensor_inputs=called.tensor_inputs
        )


def test_what_cannot_be_steered(pipes: Callable[[str], Any]) -> None:
    class Unknown:
        unet = None

    assert chosen("auto", Unknown()) == "prompt"
    assert chosen("auto", pipes("sdxl")) == "embedding"
    with pytest.raises(UserError, match=r"Unknown cannot be steered .* it is no diffusers pipeline"):
        ToneGuidance(Unknown(), PROMPT, 0.5)
    with pytest.raises(UserError, match="no guidance 'colour': use one of embedding, semantic"):
        ToneGuidance(pipes("sd"), PROMPT, 0.5, technique="colour")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"strength": [0.1, 0.2], "prompt": ["a", "b", "c"]}, "3 prompts and 2 strengths"),
        ({"strength": [float("nan")]}, "from -10 to 10"),
        ({"strength": 0.5, "start": 0.6, "stop": 0.5}, "0 <= start < stop <= 1"),
        ({"strength": 0.5, "start": -0.1}, "0 <= start < stop <= 1"),
    ],
)
def test_bad_arguments(pipes: Callable[[str], Any], arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        ToneGuidance(pipes("sd"), **({"prompt": PROMPT} | arguments))


def test_another_prompt_is_noticed(pipes: Callable[[str], Any]) -> None:
    pipe = pipes("sd")
    with pytest.raises(UserError, match="called with another prompt"), guidance(pipe, "sd", [0.5, 0.5]):
        sample(pipe, "sd", "a nurse")
    assert hooks(pipe) == 0
    with guidance(pipe, "sd", [0.5, 0.5]):
        sample(pipe, "sd")
        with pytest.raises(UserError, match="called with another prompt"):
            sample(pipe, "sd", "a nurse", num_inference_steps=1)
    with pytest.raises(UserError, match="3 strengths"), guidance(pipe, "sd", [0.5, 0.5, 0.5]):
        sample(pipe, "sd")
    with pytest.raises(UserError, match="already in use"), guidance(pipe, "sd", 0.5) as used, used:
        pass


def test_the_path_is_continuous_and_ends_at_its_anchors() -> None:
    places = [place for place, _ in ANCHORS]
    assert places == sorted(places)
    plain, toned = torch.tensor(10.0), {k: torch.tensor(float(place)) for k, place in enumerate(places)}

    def at(strength: float) -> float:
        return float(Blend.of(strength, places).mix(plain, toned))

    assert at(0) == 10
    assert [at(place) for place in places if place] == [place for place in places if place]
    steps = [abs(at(k / 100) - at((k + 1) / 100)) for k in range(-130, 130)]
    # The steepest part: from the plain prompt to the path within `RAMP`, in hundredths.
    assert max(steps) < 1.2 * 10 / (100 * RAMP)
    assert at(1.2) == pytest.approx(1.2)
