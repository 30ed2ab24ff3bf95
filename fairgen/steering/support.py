"""Which pipelines can be steered, and why others cannot."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from fairgen.errors import UserError
from fairgen.steering.attachment import encoders
from fairgen.steering.denoiser import denoiser

REFUSED: Mapping[str, str] = {
    "GlmImagePipeline": "a language model plans the picture from the prompt, where no embedding reaches",
    "OmniGenPipeline": "it has no text encoder, its transformer reads the words themselves",
    "StableDiffusionLDM3DPipeline": "diffusers itself fails to return its pictures beside numpy 2",
}
"""Pipelines, by the name of their class, whose text fairgen cannot tone, with the reason."""


def couples_pictures(pipe: Any) -> bool:
    """Whether a picture depends on the others of its batch by design: ParaDiGMS samples steps in parallel,
    and moves on when the whole batch has converged.
    """
    return type(pipe).__name__ == "StableDiffusionParadigmsPipeline"


def refusal(pipe: Any) -> str | None:
    """Why the pipeline cannot be steered inside sampling, as a sentence; None where it can."""
    if pipe is None:
        return "There is no diffusers pipeline whose embeddings could be steered: use 'prompt'."
    from diffusers import DiffusionPipeline

    name = type(pipe).__name__
    reason = next((REFUSED[c.__name__] for c in type(pipe).__mro__ if c.__name__ in REFUSED), None)
    if not isinstance(pipe, DiffusionPipeline):
        reason = "it is no diffusers pipeline"
    elif "prompt" not in inspect.signature(type(pipe).__call__).parameters:
        reason = "it is not called with a prompt"
    elif reason is None and not encoders(pipe) and denoiser(pipe) is None:
        reason = "it has neither an encode_prompt method nor a unet or transformer of its own"
    return None if reason is None else f"{name} cannot be steered in its embeddings: {reason}. Use 'prompt'."


def check_steerable(pipe: Any) -> None:
    """Raise `UserError`, with the reason, for a pipeline that cannot be steered inside sampling."""
    reason = refusal(pipe)
    if reason is not None:
        raise UserError(reason)
