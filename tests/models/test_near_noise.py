"""Variations: pictures that begin near the noise of one picture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fairgen.errors import UserError
from fairgen.models import near_noise as module
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.loading import load_diffusers
from fairgen.models.near_noise import SHARE, near_noise, varies
from fairgen.models.options import ModelOptions
from fairgen.models.resampled import resampled
from fairgen.steering.request import Request
from tests.doubles.text_to_image import make, sample
from tests.doubles.tiny_pipeline import save_tiny_pipeline


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusersModel:
    folder = save_tiny_pipeline(tmp_path_factory.mktemp("models") / "tiny")
    return load_diffusers(str(folder), device="cpu", steps=2)


def pixels(picture: Image.Image) -> np.ndarray[Any, Any]:
    return np.asarray(picture, dtype=np.float64)


def test_pictures_begin_near_the_one_that_is_varied(model: DiffusersModel) -> None:
    requests = [Request("a doctor", 11), Request("a doctor", 12)]
    (one,) = model.generate([Request("a doctor", 5)])
    varied = resampled(model, ModelOptions(vary=(5,)))
    made, fresh = varied.generate(requests), model.generate(requests)
    for near, far in zip(made, fresh, strict=True):
        assert 0 < np.abs(pixels(near) - pixels(one)).mean() < np.abs(pixels(far) - pixels(one)).mean()
    assert made[0] != made[1]
    assert varied.info.options["vary"] == [5]
    assert varied.generate(requests[1:]) == made[1:]  # whatever batch it is in
    assert model.generate(requests) == fresh  # the pipeline is as it was


def test_a_variation_of_a_variation_begins_near_that_one(model: DiffusersModel) -> None:
    def drawn(seed: int) -> torch.Tensor:
        return torch.as_tensor(
            model.pipe.prepare_latents(
                1, 4, 16, 16, torch.float32, "cpu", torch.Generator("cpu").manual_seed(seed)
            )
        )

    with near_noise(model.pipe, (1, 2)):
        made = drawn(3)
    kept = math.sqrt(1 - SHARE**2)
    assert torch.allclose(made, kept * (kept * drawn(1) + SHARE * drawn(2)) + SHARE * drawn(3), atol=1e-6)


@pytest.mark.parametrize("name", ["FluxPipeline", "StableDiffusion3Pipeline", "StableDiffusionXLPipeline"])
def test_whatever_the_pipeline(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = make(name)
    prompts = ["a doctor"] * 2
    own = sample(name, pipe, prompts)
    monkeypatch.setattr(module, "SHARE", 0.0)
    with near_noise(pipe, (9,)):
        same = sample(name, pipe, prompts)
    monkeypatch.setattr(module, "SHARE", 1.0)
    with near_noise(pipe, (9,)):
        new = sample(name, pipe, prompts)
    assert torch.allclose(same[0], same[1], atol=1e-5)
    assert not torch.allclose(own[0], own[1], atol=1e-3)
    assert torch.allclose(new, own, atol=1e-5)


def test_pipelines_without_such_noise_are_refused(model: DiffusersModel) -> None:
    with pytest.raises(UserError, match=r"AmusedPipeline draws its noise .* leave --vary out"):
        resampled(DiffusersModel(make("AmusedPipeline"), model.info), ModelOptions(vary=(1,)))
    assert varies(model.info)
    assert not varies(model.info.model_copy(update={"pipeline": "AmusedPipeline"}))
    assert not varies(model.info.model_copy(update={"pipeline": "images API", "seeded": False}))
    assert not varies(model.info.model_copy(update={"arguments": {"image": "sha256:0"}}))


@pytest.mark.parametrize("given", ["x", "-1", [1.5], [2**64], {"a": 1}])
def test_what_is_no_seed_is_refused(given: object) -> None:
    with pytest.raises(UserError, match=r"^vary"):
        ModelOptions.of({"vary": given})


def test_seeds_come_from_the_command_and_go_back_into_one() -> None:
    options = ModelOptions.of({"vary": ["7", "8"]})
    assert options.vary == (7, 8)
    assert options.flags() == ["--vary", "7", "--vary", "8"]
