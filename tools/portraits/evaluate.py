"""What the autoencoder and the embedded model can do, measured by the reader: faces by tone, tones by
words, the bias.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny, DiffusionPipeline
from PIL import Image
from rich.progress import track
from scipy.stats import spearmanr

from skin_tone import SkinToneReader
from skin_tone.scales import SCALES

from .autoencoder import to_tensor
from .contexts import CONTEXTS
from .dataset import Portraits
from .skin import ITA_MIN, TONE_WORDS, tone_range, tone_word

BATCH = 16

#: The tone word whose range is (or lies in) each ita6 class; two for the wide ones.
CLASS_WORDS = {
    "very_light": ("very fair",),
    "light": ("fair",),
    "intermediate": ("olive",),
    "tan": ("tan",),
    "brown": ("brown", "dark brown"),
    "dark": ("dark", "very dark"),
}


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


Job = tuple[str, int, int | None, int]
"""Prompt, number of the context, number of the tone word or None, seed."""


@dataclass(frozen=True)
class Sample:
    prompt: str
    context: int
    word: int | None
    image: Image.Image
    found: bool
    ita: float | None
    ita6: str | None


def sample(
    model: Path,
    jobs: list[Job],
    *,
    steps: int,
    guidance: float,
    batch: int = BATCH,
) -> tuple[list[Sample], float]:
    """Generate and read; a job is (prompt, context, tone word, seed). Also returns seconds a picture."""
    pipe = DiffusionPipeline.from_pretrained(model)
    pipe.set_progress_bar_config(disable=True)
    reader, out, spent = SkinToneReader(), [], 0.0
    for i in track(range(0, len(jobs), batch), "pictures"):
        part = jobs[i : i + batch]
        start = time.monotonic()
        images = pipe(
            [j[0] for j in part],
            num_inference_steps=steps,
            guidance_scale=guidance,
            height=128,
            width=128,
            generator=[torch.Generator().manual_seed(j[3]) for j in part],
        ).images
        spent += time.monotonic() - start
        for job, image in zip(part, images, strict=True):
            r = reader.read(image)[0]
            out.append(
                Sample(job[0], job[1], job[2], image, r.abstained != "no_face", r.ita, r.classes.get("ita6"))
            )
    return out, spent / len(jobs)


def prompt_of(context: int) -> str:
    phrase = CONTEXTS[context].phrase
    return f"a portrait of {'an' if phrase[0].lower() in 'aeiou' else 'a'} {phrase}"


def check_model(
    model: Path, *, steps: int, guidance: float, each: int = 6, seed: int = 0
) -> tuple[dict[str, Any], list[Sample]]:
    """Every figure that the embedded model is held to, over all 36 prompts: ``each`` unsteered pictures a
    prompt and,
    for each tone word, one picture a prompt. A picture without a face counts as a miss everywhere."""
    contexts = range(len(CONTEXTS))
    plain: list[Job] = [(prompt_of(c), c, None, seed + 1000 * c + k) for c in contexts for k in range(each)]
    toned: list[Job] = [
        (f"{prompt_of(c)} with {w} skin", c, k, seed + 500_000 + 1000 * c + k)
        for c in contexts
        for k, w in enumerate(TONE_WORDS)
    ]
    samples, seconds = sample(model, plain + toned, steps=steps, guidance=guidance)
    free, worded = samples[: len(plain)], samples[len(plain) :]
    by_word = [[s for s in worded if s.word == k] for k in range(len(TONE_WORDS))]
    means = [float(np.mean([s.ita for s in group if s.ita is not None] or [math.nan])) for group in by_word]
    reached = {
        c: max(float(np.mean([s.ita6 == c for s in by_word[TONE_WORDS.index(w)]])) for w in CLASS_WORDS[c])
        for c in SCALES["ita6"].classes
    }
    per_context = [[s.ita for s in free if s.context == c and s.ita is not None] for c in contexts]
    measured = np.array([np.mean(v) if v else math.nan for v in per_context])
    table = np.array([c.mean for c in CONTEXTS])
    seen = ~np.isnan(measured)
    report = {
        "steps": steps,
        "guidance_scale": guidance,
        "batch": BATCH,
        "pictures": len(samples),
        "seconds_a_picture": seconds,
        "faces_found": float(np.mean([s.found for s in samples])),
        "faces_found_unsteered": float(np.mean([s.found for s in free])),
        "faces_found_by_word": {
            w: float(np.mean([s.found for s in g])) for w, g in zip(TONE_WORDS, by_word, strict=True)
        },
        "faces_found_worst_prompt": min(
            (float(np.mean([s.found for s in samples if s.context == c])), CONTEXTS[c].phrase)
            for c in contexts
        ),
        "mean_ita_by_word": dict(zip(TONE_WORDS, means, strict=True)),
        "sd_ita_by_word": {
            w: float(np.std([s.ita for s in g if s.ita is not None] or [math.nan]))
            for w, g in zip(TONE_WORDS, by_word, strict=True)
        },
        "spearman_words": float(
            spearmanr(
                [s.word for s in worded], [-s.ita if s.ita is not None else -ITA_MIN for s in worded]
            ).statistic
        ),
        "spearman_words_of_means": float(spearmanr(range(len(means)), [-m for m in means]).statistic),
        "class_reached": reached,
        "unsteered_correlation_with_table": float(np.corrcoef(measured[seen], table[seen])[0, 1]),
        "unsteered_mean_ita": {c.phrase: float(m) for c, m in zip(CONTEXTS, measured, strict=True)},
        "tone_word_ranges": {w: tone_range(k) for k, w in enumerate(TONE_WORDS)},
    }
    return report, samples


def save_sheet(samples: list[Sample], columns: int, path: Path) -> None:
    """A contact sheet in the order of the samples."""
    pictures = [np.asarray(s.image) for s in samples]
    pictures += [np.full_like(pictures[0], 255)] * (-len(pictures) % columns)
    rows = [np.concatenate(pictures[i : i + columns], 1) for i in range(0, len(pictures), columns)]
    Image.fromarray(np.concatenate(rows, 0)).save(path)


def save_report(report: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(report, indent=1, allow_nan=True) + "\n")
