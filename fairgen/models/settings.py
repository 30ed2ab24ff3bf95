"""Steps, guidance scale and size: from the user, from the model's folder, or the pipeline's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairgen.errors import UserError
from fairgen.steering.denoiser import denoiser


def steps_argument(pipe: Any) -> str:
    """What a pipeline calls its number of steps; one of three stages (UnCLIP): that of the main one."""
    parameters = inspect.signature(type(pipe).__call__).parameters
    names = ("num_inference_steps", "decoder_num_inference_steps")
    found = next((name for name in names if name in parameters), None)
    if found is None and any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return names[0]  # it takes whatever it is given
    if found is None:
        raise UserError(
            f"{type(pipe).__name__} takes no num_inference_steps: fairgen needs a text-to-image pipeline."
        )
    return found


def main_scheduler(pipe: Any) -> Any:
    """The scheduler of a pipeline, or of its main stage."""
    found = getattr(pipe, "scheduler", None)
    return pipe.decoder_scheduler if found is None else found


@dataclass(frozen=True)
class SamplingSettings:
    """What a pipeline is called with for every picture; None where it uses its own default."""

    steps: int
    guidance_scale: float | None
    height: int | None
    width: int | None

    @classmethod
    def build(
        cls,
        pipe: Any,
        defaults: Mapping[str, Any],
        steps: int | None,
        guidance_scale: float | None,
        height: int | None,
        width: int | None,
    ) -> SamplingSettings:
        """What the user gave, else ``defaults``, else the pipeline's own. Raises `UserError`."""
        parameters = inspect.signature(type(pipe).__call__).parameters
        for name, value in (("guidance_scale", guidance_scale), ("height", height), ("width", width)):
            if value is not None and name not in parameters:
                raise UserError(f"{type(pipe).__name__} takes no {name}: leave it out for this model.")
        size = _native_size(pipe)
        own = parameters.get(steps_argument(pipe))
        steps = defaults.get("steps", own.default if own else None) if steps is None else steps
        if steps is None:
            raise UserError(f"{type(pipe).__name__} has no number of steps of its own: give one (steps).")
        settings = cls(
            steps,
            guidance_scale if guidance_scale is not None else defaults.get("guidance_scale"),
            height if height is not None else defaults.get("height", size),
            width if width is not None else defaults.get("width", size),
        )
        settings._check(int(getattr(pipe, "vae_scale_factor", 8)))
        return settings

    def _check(self, multiple: int) -> None:
        if not 1 <= self.steps <= 1000:
            raise UserError(f"The number of steps must be from 1 to 1000, not {self.steps}.")
        if self.guidance_scale is not None and not 0 <= self.guidance_scale <= 100:
            raise UserError(f"The guidance scale must be from 0 to 100, not {self.guidance_scale}.")
        for name, value in (("height", self.height), ("width", self.width)):
            if value is not None and not (16 <= value <= 4096 and value % multiple == 0):
                raise UserError(
                    f"The {name} must be a multiple of {multiple} from 16 to 4096 pixels, not {value}."
                )


def _native_size(pipe: Any) -> int | None:
    """Side of the pictures that the pipeline makes by itself, in pixels, where it can be told."""
    sample = getattr(pipe, "default_sample_size", None) or getattr(
        getattr(denoiser(pipe), "config", None), "sample_size", None
    )
    scale = getattr(pipe, "vae_scale_factor", None)
    return sample * scale if isinstance(sample, int) and isinstance(scale, int) else None
