"""What the autoencoder and the embedded model can do, measured by the reader: faces by tone, tones by
words, the bias.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from PIL import Image
from rich.progress import track
from scipy.stats import spearmanr

from fairgen.bench.measured import measured_bias
from fairgen.common.libraries import quiet_libraries
from fairgen.errors import UserError
from fairgen.models.diffusers import DiffusersModel
from fairgen.models.folder import find_model
from fairgen.models.loading import load_model
from fairgen.steering.prompt_variants import CLASS_WORDS as _CLASS_WORDS
from fairgen.steering.request import Request
from skin_tone import SkinToneReader
from skin_tone.scales import SCALES

from .autoencoder import to_tensor
from .contexts import CONTEXTS
from .dataset import Portraits
from .known_bias import known_bias, prompt_of
from .skin import ITA_MIN, TONE_WORDS, tone_range, tone_word

BATCH = 16

CLASS_WORDS = _CLASS_WORDS["ita6"]
"""ita6 class -> the tone words whose range is (or lies in) it; two for the wide ones."""


def check_autoencoder(data: Path, vae: Path, count: int = 400) -> dict[str, Any]:
    """Share of faces found in originals and in reconstructions, and the shift of the ITA read, by tone
    word.
    """
    portraits = Portraits(data, limit=count)
    model = AutoencoderTiny.from_pretrained(vae).eval()
    reader = SkinToneReader()
    rows = []
    for i in track(range(len(portraits)), "reconstructions"):
        with torch.no_grad():
            y = model(to_tensor(portraits.images[i : i + 1], torch.device("cpu"))).sample[0]
        again = ((y.permute(1, 2, 0).clamp(-1, 1).numpy() + 1) * 127.5 + 0.5).astype(np.uint8)
        before, after = reader.read(portraits.images[i])[0], reader.read(again)[0]
        shift = math.nan if before.ita is None or after.ita is None else after.ita - before.ita
        word = tone_word(portraits.records[i]["ita"])
        rows.append((word, before.abstained != "no_face", after.abstained != "no_face", shift))
    table = {}
    for k, name in enumerate(TONE_WORDS):
        found = [r for r in rows if r[0] == k]
        table[name] = {
            "n": len(found),
            "render_found": float(np.mean([r[1] for r in found])),
            "reconstruction_found": float(np.mean([r[2] for r in found])),
            "ita_shift": float(np.nanmean([r[3] for r in found])),
        }
    return table


@dataclass(frozen=True)
class Job:
    """One picture to sample: by the number of its context, and of its tone word or None."""

    prompt: str
    context: int
    word: int | None
    seed: int


@dataclass(frozen=True)
class Reading:
    """What the reader says of a picture."""

    found: bool
    """Whether there is a face."""
    ita: float | None
    ita6: str | None


def read(reader: SkinToneReader, image: Image.Image) -> Reading:
    largest = reader.read(image)[0]
    return Reading(largest.abstained != "no_face", largest.ita, largest.classes.get("ita6"))


def jobs_of(each: int, tries: int, seed: int) -> list[Job]:
    """``each`` unsteered pictures a prompt, then ``tries`` for each tone word: the first ``tries`` of the
    former and the pictures of every word are twins, of the same seed.
    """
    plain = [
        Job(prompt_of(context), c, None, seed + 1000 * c + k)
        for c, context in enumerate(CONTEXTS)
        for k in range(each)
    ]
    worded = [
        Job(f"{prompt_of(context)} with {word} skin", c, w, seed + 1000 * c + k)
        for c, context in enumerate(CONTEXTS)
        for w, word in enumerate(TONE_WORDS)
        for k in range(tries)
    ]
    return plain + worded


def settled(model: str, steps: int | None, guidance: float | None, device: str) -> DiffusersModel:
    """The model, with steps and guidance that somebody decided on: the user, or its fairgen.json.

    Raises:
        UserError: the model cannot be used, or nobody did.
    """
    with quiet_libraries():
        defaults = find_model(model).defaults()
    if (steps or defaults.get("steps")) is None or (guidance is None and "guidance_scale" not in defaults):
        raise UserError(
            f"{model} has no fairgen.json with steps and guidance_scale: give --steps and --guidance."
        )
    return load_model(model, device, steps=steps, guidance_scale=guidance)


def check_model(
    model: Path, *, steps: int | None, guidance: float | None, each: int = 6, seed: int = 0
) -> tuple[dict[str, Any], list[Job], list[Image.Image]]:
    """The tones of a model over all 36 prompts: ``each`` unsteered pictures a prompt and, for each tone word,
    one picture a prompt. A quick look; `judge` has all figures.
    """
    jobs = jobs_of(each, 1, seed)
    generator = settled(str(model), steps, guidance, "auto")
    pictures, readings, spent = [], [], 0.0
    with SkinToneReader() as reader:
        for i in track(range(0, len(jobs), BATCH), "pictures"):
            start = time.monotonic()
            made = generator.generate([Request(job.prompt, job.seed) for job in jobs[i : i + BATCH]])
            spent += time.monotonic() - start
            pictures += made
            readings += [read(reader, picture) for picture in made]
    info = generator.info
    report = {
        "steps": info.steps,
        "guidance_scale": info.guidance_scale,
        "size": pictures[0].width,
        "batch": BATCH,
        "seconds_a_picture": spent / len(jobs),
    }
    return report | tone_figures(jobs, readings), jobs, pictures


def tone_figures(jobs: list[Job], readings: list[Reading]) -> dict[str, Any]:
    """Faces, tones by words, and the bias beside its table. A picture without a face is a miss everywhere."""
    both = list(zip(jobs, readings, strict=True))
    free = [(j, r) for j, r in both if j.word is None]
    by_word = [[r for j, r in both if j.word == k] for k in range(len(TONE_WORDS))]
    means = [_mean([r.ita for r in group]) for group in by_word]
    reached = {
        c: max(float(np.mean([r.ita6 == c for r in by_word[TONE_WORDS.index(w)]])) for w in CLASS_WORDS[c])
        for c in SCALES["ita6"].classes
    }
    itas = {
        prompt_of(context): [r.ita for j, r in free if j.context == c] for c, context in enumerate(CONTEXTS)
    }
    bias = measured_bias(known_bias(), itas)
    worded = [(j.word, r) for j, r in both if j.word is not None]
    faces_by_class = {
        name: [r.found for j, r in both if j.word is not None and TONE_WORDS[j.word] in words]
        for name, words in CLASS_WORDS.items()
    }
    return {
        "pictures": len(both),
        "faces_found": float(np.mean([r.found for r in readings])),
        "faces_found_unsteered": float(np.mean([r.found for _, r in free])),
        "faces_found_by_word": {
            w: float(np.mean([r.found for r in g])) for w, g in zip(TONE_WORDS, by_word, strict=True)
        },
        "faces_found_by_class": {name: float(np.mean(found)) for name, found in faces_by_class.items()},
        "faces_found_worst_prompt": min(
            (float(np.mean([r.found for j, r in both if j.context == c])), context.phrase)
            for c, context in enumerate(CONTEXTS)
        ),
        "mean_ita_by_word": dict(zip(TONE_WORDS, means, strict=True)),
        "sd_ita_by_word": {
            w: float(np.std([r.ita for r in g if r.ita is not None] or [math.nan]))
            for w, g in zip(TONE_WORDS, by_word, strict=True)
        },
        "spearman_words": _rank_correlation(
            [w for w, _ in worded], [-r.ita if r.ita is not None else -ITA_MIN for _, r in worded]
        ),
        "spearman_words_of_means": _rank_correlation(range(len(means)), [-m for m in means]),
        "class_reached": reached,
        "class_reached_least": min(reached.values()),
        "unsteered_correlation_with_table": bias.correlation.value if bias.correlation else math.nan,
        "bias": bias.model_dump(mode="json"),
        "unsteered_mean_ita": {row.phrase: row.mean.value if row.mean else math.nan for row in bias.rows},
        "tone_word_ranges": {w: tone_range(k) for k, w in enumerate(TONE_WORDS)},
    }


def _rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's; NaN where one of them does not vary, or is not known."""
    constant = len(set(one)) < 2 or len(set(other)) < 2
    return math.nan if constant else float(spearmanr(one, other).statistic)


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else math.nan


def save_sheet(pictures: list[Image.Image], columns: int, path: Path) -> None:
    """A contact sheet of pictures of one size, row by row."""
    shown = [np.asarray(picture) for picture in pictures]
    shown += [np.full_like(shown[0], 255)] * (-len(shown) % columns)
    rows = [np.concatenate(shown[i : i + columns], 1) for i in range(0, len(shown), columns)]
    Image.fromarray(np.concatenate(rows, 0)).save(path)


def save_report(report: dict[str, Any], path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(report, indent=1, allow_nan=True) + "\n")
    temporary.replace(path)
