"""A generator and a reader for tests of the loop: tones are drawn from a seeded confusion of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from fairgen.generator import Request
from fairgen.runfile import ModelInfo
from fairgen.steering import Steering
from fairgen.steering.prompt_variants import TONE_WORDS
from skin_tone import ToneReading
from skin_tone.scales import SCALES

INFO = ModelInfo(
    name="/home/somebody/double",
    source="folder",
    pipeline="None",
    scheduler="None",
    device="cpu",
    dtype="float32",
    steps=1,
    guidance_scale=None,
    height=8,
    width=8,
    weights={"unet/model.safetensors": "sha256:" + "0" * 64},
    versions={"python": "3"},
)
CENTRES = (62.0, 48.0, 34.0, 19.0, 2.0, -18.0, -42.0, -58.0)
"""ITA in degrees that the eight tone words mean to a model with no skew; the middle of the ita6 classes."""


@dataclass
class ConfusedGenerator:
    """Shows the ITA of the word (none: ``plain``), shifted by a bias, with noise from the seed alone."""

    spread: float = 8.0
    shift: float = 0.0
    plain: float = 60.0
    unreadable: float = 0.0
    default_batch_size: int = 4
    batches: list[int] = field(default_factory=list)
    info: ModelInfo = INFO

    def check_prompts(self, prompts: Sequence[str]) -> None:
        assert all(prompts)

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        self.batches.append(len(requests))
        return [self._picture(request) for request in requests]

    def _picture(self, request: Request) -> Image.Image:
        rng = np.random.default_rng(request.seed)
        picture = Image.new("RGB", (8, 8), (request.seed % 256, 0, 0))
        words = [word for word in TONE_WORDS if request.prompt.endswith(f" with {word} skin")]
        centre = CENTRES[TONE_WORDS.index(words[0])] + self.shift if words else self.plain
        picture.info["ita"] = centre + self.spread * rng.standard_normal()
        if rng.random() < self.unreadable:
            picture.info["ita"] = None
        return picture


class InfoReader:
    """Reads what the double wrote; the probabilities are those of a reader with 3 degrees of error."""

    def read(self, image: Image.Image) -> list[ToneReading]:
        angle = image.info["ita"]
        if angle is None:
            return [ToneReading(abstained="no_face")]
        return [
            ToneReading(
                box=(0, 0, 8, 8),
                ita=angle,
                probabilities={name: scale.probabilities(angle, 3.0) for name, scale in SCALES.items()},
                classes={name: scale.classify(angle) for name, scale in SCALES.items()},
            )
        ]
