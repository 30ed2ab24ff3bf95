"""Pipelines that begin with a picture (image-to-image, inpainting, ControlNets), and first stages alone."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from fairgen.errors import UserError
from fairgen.steering.guidance import ToneGuidance
from tests.doubles.acting import as_toned
from tests.doubles.text_to_image import CASES, picture
from tests.doubles.text_to_image.case import built

pytestmark = [
    pytest.mark.filterwarnings(r"ignore:.*is deprecated:FutureWarning"),  # of diffusers' own classes
    pytest.mark.filterwarnings(r"ignore:.*torch\.jit\.script.*:DeprecationWarning"),
]
SIDE = 32
BEGIN_WITH_A_PICTURE = {
    "StableDiffusionXLImg2ImgPipeline": "StableDiffusionXLPipeline",
    "StableDiffusionXLInpaintPipeline": "StableDiffusionXLPipeline",
    "StableDiffusionPAGImg2ImgPipeline": "StableDiffusionPAGPipeline",
    "StableDiffusionControlNetImg2ImgPipeline": "StableDiffusionControlNetPipeline",
    "StableDiffusionControlNetInpaintPipeline": "StableDiffusionControlNetPipeline",
    "StableDiffusionXLControlNetImg2ImgPipeline": "StableDiffusionXLControlNetPipeline",
    "FluxImg2ImgPipeline": "FluxPipeline",
    "FluxInpaintPipeline": "FluxPipeline",
    "FluxControlNetImg2ImgPipeline": "FluxControlNetPipeline",
    "FluxControlNetInpaintPipeline": "FluxControlNetPipeline",
    "ZImageImg2ImgPipeline": "ZImagePipeline",
    "ZImageInpaintPipeline": "ZImagePipeline",
    "ChromaImg2ImgPipeline": "ChromaPipeline",
}
"""Class -> the text-to-image one that it shares its parts with."""


def begun(name: str) -> tuple[Any, Any]:
    """The pipeline, and a function from a prompt to its two pictures."""
    import diffusers

    kind, case = getattr(diffusers, name), CASES[BEGIN_WITH_A_PICTURE[name]]
    torch.manual_seed(0)
    pipe = built(kind, case.build() | {"requires_safety_checker": False}, case.shrunk)
    takes = inspect.signature(kind.__call__).parameters
    given = {key: value for key, value in (case.call | (case.guided or {})).items() if key in takes}
    shown = {"image": picture(SIDE), "control_image": picture(SIDE), "mask_image": picture(SIDE).convert("L")}
    given |= {key: value for key, value in shown.items() if key in takes}
    given |= {"strength": 0.8, "num_inference_steps": 4, "output_type": "latent"}
    given |= {key: SIDE for key in ("height", "width") if key in takes}
    negative = given.pop("negative_prompt", None)

    def call(prompt: str) -> torch.Tensor:
        torch.manual_seed(0)
        seeds = [torch.Generator().manual_seed(seed) for seed in range(2)]
        # A list of its own for each call: Z-Image writes into it.
        more = given if negative is None else given | {"negative_prompt": [negative] * 2}
        return torch.as_tensor(pipe(prompt=[prompt] * 2, generator=seeds, **more).images).float()

    return pipe, call


@pytest.mark.parametrize("name", sorted(BEGIN_WITH_A_PICTURE))
def test_steered(name: str) -> None:
    pipe, call = begun(name)
    as_toned(pipe, call)
    as_toned(pipe, call, stop=0.99)
    if "ControlNet" in name:
        guidance = ToneGuidance(pipe, strength=1.0, technique="semantic")
        with pytest.raises(UserError, match="does not reach the controlnet"), guidance:
            call("a portrait of a doctor")
    else:
        as_toned(pipe, call, technique="semantic")


PRIORS = {
    "KandinskyPriorPipeline": ("KandinskyCombinedPipeline", {}),
    "KandinskyV22PriorPipeline": ("KandinskyV22CombinedPipeline", {}),
    "StableCascadePriorPipeline": ("StableCascadeCombinedPipeline", {"height": 128, "width": 128}),
}
"""Class -> the pipeline of all stages that holds it, and what it is called with."""


@pytest.mark.parametrize("name", sorted(PRIORS))
def test_a_first_stage_alone_is_steered(name: str) -> None:
    """What it makes of the prompt goes on to the next stage."""
    import diffusers

    whole, more = PRIORS[name]
    torch.manual_seed(0)
    parts = {
        key.removeprefix("prior_"): value for key, value in CASES[whole].build().items() if "prior_" in key
    }
    pipe = built(getattr(diffusers, name), parts, {})

    def call(prompt: str) -> torch.Tensor:
        seeds = [torch.Generator().manual_seed(seed) for seed in range(2)]
        made = pipe(
            prompt=[prompt] * 2, generator=seeds[0] if "Kandinsky" in name else seeds,
            num_inference_steps=2, guidance_scale=4.0, **more,
        )  # fmt: skip
        found: torch.Tensor = (
            made.image_embeddings if hasattr(made, "image_embeddings") else made.image_embeds
        )
        return found.float()

    as_toned(pipe, call)
