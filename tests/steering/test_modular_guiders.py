"""Every guider of diffusers around the steered block: it makes of the toned prompt what it always makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
import torch

from tests.doubles import modular
from tests.doubles import text_to_image as t2i

PROMPT = "a portrait of a doctor"
DARK = f"{PROMPT} with very dark skin"
LAYERS = "down_blocks.1.attentions.0.transformer_blocks"
pytestmark = pytest.mark.filterwarnings(r"ignore:.*is deprecated:FutureWarning")  # of diffusers' own classes

GUIDERS: dict[str, dict[str, Any]] = {
    "AdaptiveProjectedGuidance": {"guidance_scale": 5.0},
    "AdaptiveProjectedMixGuidance": {"adaptive_projected_guidance_start_step": 0},
    "AutoGuidance": {"auto_guidance_config": {}},
    "ClassifierFreeGuidance": {"guidance_scale": 5.0, "guidance_rescale": 0.7},
    "ClassifierFreeZeroStarGuidance": {"zero_init_steps": 0},
    "FrequencyDecoupledGuidance": {"guidance_scales": [6.0, 3.0]},
    "LTX2Guidance": {"guidance_scale": 4.0},
    "MagnitudeAwareGuidance": {"alpha": 0.01},
    "PerturbedAttentionGuidance": {
        "perturbed_guidance_config": {
            "skip_attention": False,
            "skip_attention_scores": True,
            "skip_ff": False,
        },
        "perturbed_guidance_start": 0.0,
        "perturbed_guidance_stop": 1.0,
    },
    "SkipLayerGuidance": {
        "skip_layer_config": {},
        "skip_layer_guidance_start": 0.0,
        "skip_layer_guidance_stop": 1.0,
    },
    "SmoothedEnergyGuidance": {"seg_guidance_config": {}},
    "TangentialClassifierFreeGuidance": {},
}
"""Guider -> arguments."""
DISTURBS = ("PerturbedAttentionGuidance", "SkipLayerGuidance")
"""Those that add something to classifier-free guidance, and are compared with it alone. So should
SmoothedEnergyGuidance, but in diffusers 0.42 it never counts its evaluations, and adds nothing."""


class Workflow:
    """A plain and a steered pipeline of the same parts.

    Args:
        blocks: the workflow's class in diffusers.
        usual: the usual pipeline that has its parts.
    """

    def __init__(self, blocks: str, usual: str) -> None:
        import diffusers

        from fairgen.steering.modular import steered

        parts, kind = t2i.make(usual).components, getattr(diffusers, blocks)
        self.usual = usual
        self.bare, self.pipe = (modular.pipeline(made, parts) for made in (kind(), steered(kind)))
        self._alone: dict[float, torch.Tensor] = {}

    def sample(self, pipe: Any, prompts: list[str], **more: Any) -> torch.Tensor:
        """Three steps: some guiders leave out the first, and the last one hardly shows what they add."""
        return modular.sample(self.usual, pipe, prompts, same_seed=True, num_inference_steps=3, **more)

    def guided_by(self, scale: float) -> torch.Tensor:
        """The plain picture with classifier-free guidance alone; a scale of 1 is none."""
        from diffusers import ClassifierFreeGuidance

        if scale not in self._alone:
            self.bare.update_components(guider=ClassifierFreeGuidance(guidance_scale=scale))
            [self._alone[scale]] = self.sample(self.bare, [PROMPT])
        return self._alone[scale]

    def check(self, guider: Any, scale: float) -> None:
        """The guider acts on the plain picture, and steering acts as the toned prompt does.

        Args:
            guider: any.
            scale: of classifier-free guidance, to which it is compared.
        """
        alone = self.guided_by(scale)
        for pipe in (self.bare, self.pipe):
            pipe.update_components(guider=guider)
        plain, toned = self.sample(self.bare, [PROMPT, DARK])
        assert not torch.allclose(plain, alone, rtol=1e-3, atol=1e-3), "the guider does nothing"
        zero, steered = self.sample(self.pipe, [PROMPT] * 2, tone_strength=[0.0, 1.0])
        effect = float((toned - plain).abs().max())
        assert float((zero - plain).abs().max()) <= 1e-4 * effect
        assert float((steered - toned).abs().max()) <= 1e-3 * effect


@pytest.fixture(scope="module")
def xl() -> Workflow:
    return Workflow("StableDiffusionXLAutoBlocks", "StableDiffusionXLPipeline")


def made(name: str, arguments: Mapping[str, Any]) -> Any:
    """The guider; configurations of layers are for those of the tiny denoiser."""
    import diffusers
    from diffusers import guiders

    given = dict(arguments)
    for key in given:
        if key.endswith("_config"):
            kind = "SmoothedEnergyGuidanceConfig" if key.startswith("seg") else "LayerSkipConfig"
            given[key] = getattr(diffusers, kind)(indices=[0], fqn=LAYERS, **given[key])
    return getattr(guiders, name)(**given)


@pytest.mark.parametrize("name", sorted(set(GUIDERS) - {"MagnitudeAwareGuidance"}))
def test_a_guider_of_diffusers(name: str, xl: Workflow) -> None:
    xl.check(made(name, GUIDERS[name]), 7.5 if name in DISTURBS else 1.0)


def test_a_guider_for_packed_latents() -> None:
    """This one takes no pictures of two axes."""
    name = "MagnitudeAwareGuidance"
    Workflow("QwenImageAutoBlocks", "QwenImagePipeline").check(made(name, GUIDERS[name]), 1.0)


def test_no_guider_is_forgotten() -> None:
    from diffusers import guiders

    assert {name for name in dir(guiders) if name.endswith("Guidance")} == {*GUIDERS, "BaseGuidance"}


def test_a_guider_of_ones_own(xl: Workflow) -> None:
    """One that evaluates the prompt, no prompt, and the prompt once more."""
    from diffusers.configuration_utils import register_to_config
    from diffusers.guiders import BaseGuidance
    from diffusers.guiders.guider_utils import GuiderOutput

    class Thrice(BaseGuidance):  # type: ignore[misc]
        _input_predictions: ClassVar = ["pred_cond", "pred_uncond", "pred_again"]

        @register_to_config  # type: ignore[untyped-decorator]
        def __init__(self) -> None:
            super().__init__()

        @property
        def is_conditional(self) -> bool:
            return bool(self._count_prepared != 2)

        @property
        def num_conditions(self) -> int:
            return 3

        def prepare_inputs(self, data: Any) -> list[Any]:
            return [
                self._prepare_batch(data, place, name)
                for place, name in zip((0, 1, 0), self._input_predictions, strict=True)
            ]

        def forward(self, pred_cond: Any, pred_uncond: Any, pred_again: Any) -> Any:
            pred = pred_uncond + 3.0 * (0.75 * pred_cond + 0.25 * pred_again - pred_uncond)
            return GuiderOutput(pred=pred, pred_cond=pred_cond, pred_uncond=pred_uncond)

    xl.check(Thrice(), 1.0)
