"""Every text-to-image pipeline that diffusers exports, tiny and with random weights: no download.

Configurations follow those of diffusers' own tests; tokenizers and encoders are made in `tiny_text`.
"""

from __future__ import annotations

from tests.doubles.text_to_image import (
    deprecated,
    flux,
    language_models,
    stable_diffusion,
    staged,
    transformers,
)
from tests.doubles.text_to_image.case import CASES, STEPS, Case, built, make, sample
from tests.doubles.text_to_image.parts import picture

__all__ = [
    "CASES",
    "STEPS",
    "Case",
    "built",
    "deprecated",
    "flux",
    "language_models",
    "make",
    "picture",
    "sample",
    "stable_diffusion",
    "staged",
    "transformers",
]
