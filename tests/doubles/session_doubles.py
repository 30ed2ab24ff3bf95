"""A generator and a reader for tests of the loop: tones are drawn from a seeded confusion of words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from fairgen.provenance.png import picture_text, provenance_in
from fairgen.runs import RUN_FILE, ModelInfo, pixels_hash
from fairgen.runs.chain import unchained
from fairgen.steering import Steering, registry
from fairgen.steering.calibration import Calibration
from fairgen.steering.prompt_variants import TONE_WORDS
from fairgen.steering.request import Request
from fairgen.steering.support import check_steerable
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


class PlainModel:
    """What a double of a model need not say for itself: words alone steer it, and it has no calibration."""

    default_batch_size: int = 4
    threads: int | None = None

    def check_prompts(self, prompts: Sequence[str]) -> None:
        assert all(prompts)

    def chosen_technique(self, name: str) -> str:
        return registry.chosen(name, None)

    def check_techniques(self, names: Sequence[str]) -> None:
        for name in names:
            if self.chosen_technique(name) in registry.continuous():
                check_steerable(None)

    def calibration(self, technique: str) -> Calibration | None:
        return None


@dataclass
class ConfusedGenerator(PlainModel):
    """Shows the ITA of the word (none: ``plain``), shifted by a bias, with noise from the seed alone."""

    spread: float = 8.0
    shift: float = 0.0
    plain: float = 60.0
    unreadable: float = 0.0
    default_batch_size: int = 4
    batches: list[int] = field(default_factory=list)
    info: ModelInfo = INFO

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
    """Reads what the double wrote; the probabilities are those of a reader with 3 degrees of error.

    Used in a ``with`` block or not, like the true reader.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, image: Image.Image) -> list[ToneReading]:
        angle = image.info["ita"]
        if angle is None:
            return [ToneReading(abstained="no_face")]
        return [reading_of(angle)]


def reading_of(angle: float) -> ToneReading:
    """What a reader with 3 degrees of error says of an ITA."""
    return ToneReading(
        box=(0, 0, 8, 8),
        ita=angle,
        probabilities={name: scale.probabilities(angle, 3.0) for name, scale in SCALES.items()},
        classes={name: scale.classify(angle) for name, scale in SCALES.items()},
    )


@dataclass
class BatchBound(ConfusedGenerator):
    """Its pixels depend on everything that shares the batch, as the last bits of a real model's do; strengths
    move the ITA.
    """

    def generate(self, requests: Sequence[Request], steering: Steering | None = None) -> list[Image.Image]:
        pictures = super().generate(requests, steering)
        for picture, request in zip(pictures, requests, strict=True):
            seen = f"{steering} {list(requests)} {request}".encode()
            for x, value in enumerate(hashlib.sha256(seen).digest()[:8]):
                picture.putpixel((x, 1), (value, 0, 0))
            if picture.info["ita"] is not None:
                picture.info["ita"] -= 60.0 * request.strength
        return pictures


def files_of(folder: Path) -> dict[str, str]:
    """What a run folder holds, times aside: picture -> hash of its pixels and marks; ``run.jsonl`` -> its
    records.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".png":
            provenance = provenance_in(picture_text(path))
            assert provenance is not None
            with Image.open(path) as picture:
                found[name] = pixels_hash(picture) + provenance.model_dump_json(exclude={"created_at"})
        elif path.name == RUN_FILE:
            found[name] = "\n".join(map(_timeless, path.read_text().splitlines()))
        elif path.is_file() and path.name != "summary.json":
            found[name] = "another file"
    return found


def _timeless(line: str) -> str:
    record = json.loads(line)
    return json.dumps({k: v for k, v in record.items() if k not in TIMES})


def unlinked(path: Path) -> bytes:
    """A run file without the links between its lines, as older versions wrote it; these may be edited."""
    return b"".join(unchained(line)[0] + b"\n" for line in path.read_bytes().splitlines())


TIMES = ("created_at", "started_at", "seconds", "chain")
