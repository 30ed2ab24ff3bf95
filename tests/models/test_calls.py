"""How pipelines of many kinds are called by a model: arguments, batches, noise, fingerprints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fairgen.errors import UserError
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.fingerprint import described, fingerprint, fingerprints
from fairgen.models.loading import wrap_pipeline
from fairgen.steering import Steering
from fairgen.steering.calibration import calibration_file
from fairgen.steering.request import Request
from tests.doubles import text_to_image as t2i

PROMPT = "a portrait of a doctor"
pytestmark = pytest.mark.filterwarnings(r"ignore:.*is deprecated:FutureWarning")  # of diffusers' own classes


def model(name: str, side: int = 16) -> DiffusersModel:
    return wrap_pipeline(t2i.make(name), steps=2, height=side, width=side)


def requests(*strengths: float) -> list[Request]:
    return [Request(PROMPT, seed, strength=strength) for seed, strength in enumerate(strengths)]


def same(first: Any, second: Any) -> bool:
    return np.array_equal(np.asarray(first), np.asarray(second))


def test_arguments_of_the_call_are_passed_through_and_recorded() -> None:
    plain = model("StableDiffusionPipeline")
    negative = plain.called_with({"negative_prompt": "a blurry photo"})
    assert not same(plain.generate(requests(0.0))[0], negative.generate(requests(0.0))[0])
    assert negative.info.arguments == {"negative_prompt": "a blurry photo"}
    assert "arguments" not in plain.info.model_dump_json()
    assert calibration_file(plain.info, "embedding") != calibration_file(negative.info, "embedding")
    with pytest.raises(UserError, match="takes no colour"):
        plain.called_with({"colour": 1})
    with pytest.raises(UserError, match="generator of StableDiffusionPipeline is set by fairgen"):
        plain.called_with({"generator": None})
    with pytest.raises(UserError, match="latents of StableDiffusionPipeline is set by fairgen"):
        plain.called_with({"latents": torch.zeros(1, 4, 8, 8)})
    with pytest.raises(UserError, match="negative_prompt is the same for all pictures of a set: give one"):
        plain.called_with({"negative_prompt": ["a blurry photo"]})


def test_size_and_guidance_given_with_the_call_are_the_settings() -> None:
    large = model("StableDiffusionPipeline").called_with({"height": 32, "guidance_scale": 4.0})
    assert large.generate(requests(0.0))[0].size == (16, 32)
    assert (large.info.height, large.info.guidance_scale, large.info.arguments) == (32, 4.0, {})
    with pytest.raises(UserError, match="The width must be a multiple"):
        large.called_with({"width": 17})


def test_embeddings_instead_of_a_negative_prompt_and_of_a_prompt() -> None:
    pipe = t2i.make("StableDiffusionPipeline")
    with torch.no_grad():
        rows = pipe.encode_prompt("a blurry photo", "cpu", 1, False)[0]
    plain = wrap_pipeline(pipe, steps=2, height=16, width=16, guidance_scale=4.0)
    words = plain.called_with({"negative_prompt": "a blurry photo"})
    numbers = plain.called_with({"negative_prompt_embeds": rows})
    made = numbers.generate(requests(0.0, 1.0), Steering("embedding"))
    wanted = words.generate(requests(0.0, 1.0), Steering("embedding"))
    assert all(same(one, other) for one, other in zip(made, wanted, strict=True))
    assert not same(made[0], plain.generate(requests(0.0))[0])
    with pytest.raises(UserError, match="would not read beside prompt_embeds: leave these out"):
        plain.called_with({"prompt_embeds": rows})


def test_a_control_picture_reaches_the_pipeline() -> None:
    bare = wrap_pipeline(t2i.make("StableDiffusionControlNetPipeline"), steps=2, height=16, width=16)
    made = bare.called_with({"image": t2i.picture()}).generate(requests(0.0, 0.9), Steering("embedding"))
    assert not same(made[0], made[1])
    (recorded,) = described({"image": t2i.picture()}).values()
    assert recorded.startswith("sha256:")


def test_strength_0_is_sampled_apart_where_padding_would_change_it() -> None:
    pipe = model("Kandinsky5T2IPipeline", 64)
    # Alone, too: on some processors a call with two pictures differs in the last bits.
    plain = [pipe.generate([request])[0] for request in requests(0.0, 0.0)]
    for _ in range(2):  # once found out, and once known
        made = pipe.generate(requests(0.0, 1.0), Steering("embedding"))
        assert same(made[0], plain[0])
        assert not same(made[1], plain[1])


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("AmusedPipeline", {}),
        ("DreamLiteMobilePipeline", {}),
        ("DreamLitePipeline", {"negative_prompt": "a blurry photo"}),
        ("PRXPipeline", {"negative_prompt": "a blurry photo", "use_resolution_binning": False}),
        ("StableDiffusionAdapterPipeline", {"image": t2i.picture()}),
    ],
)
def test_pipelines_that_take_one_prompt_at_a_time(name: str, more: dict[str, Any]) -> None:
    made = model(name).called_with(more).generate(requests(0.0, 0.0, 1.0), Steering("embedding"))
    assert len(made) == 3
    assert not same(made[0], made[1])


def test_what_is_made_of_a_picture_depends_on_no_other_picture() -> None:
    """Inpainting draws noise when it encodes the picture, for a whole batch from its first generator."""
    from diffusers import StableDiffusionInpaintPipeline

    parts = t2i.make("StableDiffusionPipeline").components
    bare = wrap_pipeline(
        StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False), steps=3, height=16, width=16
    )
    shown = {"image": t2i.picture(), "mask_image": t2i.picture().convert("L")}
    pipe, asked = bare.called_with(shown), requests(0.0, 1.0, 0.0)
    together = pipe.generate(asked, Steering("embedding"))
    for request, picture in zip(asked, together, strict=True):
        assert same(pipe.generate([request], Steering("embedding"))[0], picture)


@pytest.mark.parametrize("name", ["Kandinsky5T2IPipeline", "Flux2Pipeline"])
def test_the_words_of_a_prompt_are_counted_by_the_tokenizer_of_a_processor(name: str) -> None:
    from tests.doubles.tiny_text import Processor

    pipe = t2i.make(name)
    if not isinstance(pipe.tokenizer, Processor):
        pipe.tokenizer = Processor()
    made = wrap_pipeline(pipe, height=64, width=64)
    made.check_prompts([PROMPT])
    with pytest.raises(UserError, match="is too long for this model"):
        made.check_prompts([PROMPT * 400])


@pytest.mark.parametrize("options", [{"stochastic_sampling": True}, None])
def test_schedulers_that_draw_noise_without_the_generators(options: dict[str, Any] | None) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler, FlowMatchLCMScheduler

    pipe = t2i.make("FluxPipeline")
    pipe.scheduler = (
        FlowMatchLCMScheduler() if options is None else FlowMatchEulerDiscreteScheduler(**options)
    )
    flux = wrap_pipeline(pipe, steps=3, height=16, width=16).called_with({"max_sequence_length": 24})
    first = flux.generate(requests(0.0, 0.0))
    assert all(same(a, b) for a, b in zip(first, flux.generate(requests(0.0, 0.0)), strict=True))
    assert same(first[1], flux.generate(requests(0.0, 0.0)[1:])[0])


def test_what_moves_the_curve_moves_the_fingerprint() -> None:
    pipe = t2i.make("StableDiffusionPipeline")
    before = fingerprints(pipe)
    assert set(before) == {"denoiser", "text_encoder", "vae", "scheduler"}
    assert fingerprints(pipe) == before
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, rescale_betas_zero_snr=True)
    assert fingerprints(pipe)["scheduler"] != before["scheduler"]
    with torch.no_grad():
        pipe.text_encoder.get_input_embeddings().weight.mul_(2.0)
    assert fingerprints(pipe)["text_encoder"] != before["text_encoder"]
    assert fingerprints(pipe)["denoiser"] == before["denoiser"]


def test_how_strongly_an_adapter_acts_moves_the_fingerprint() -> None:
    class Adapter(torch.nn.Linear):
        scaling = {"a": 1.0}  # noqa: RUF012 (as PEFT has it)
        active_adapters = ["a"]  # noqa: RUF012
        disable_adapters = False

    layer = torch.nn.Sequential(Adapter(2, 2))
    before = fingerprint(layer)
    assert fingerprint(layer) == before
    layer[0].scaling = {"a": 0.1}  # type: ignore[assignment]
    weaker = fingerprint(layer)
    layer[0].disable_adapters = True  # type: ignore[assignment]
    assert len({before, weaker, fingerprint(layer)}) == 3


def test_what_is_no_pipeline_is_refused() -> None:
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    with pytest.raises(UserError, match="A diffusers pipeline is needed, or the name of a model, not int"):
        wrap_pipeline(3)
    unet = UNet2DModel(
        block_out_channels=(8,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",),
        norm_num_groups=4,
    )  # fmt: skip
    with pytest.raises(UserError, match="DDPMPipeline is not called with a prompt"):
        wrap_pipeline(DDPMPipeline(unet, DDPMScheduler()))
