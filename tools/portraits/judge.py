"""Measures a pipeline against everything that the embedded model is held to, in pieces that can be resumed.

An output folder holds ``begun.json`` (what is being measured), ``pictures/``, ``readings.jsonl``,
``speed.json``, ``training.npz`` (features of the training renders), and in the end ``judge.json`` with
contact sheets.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.progress import track

from fairgen.errors import UserError
from fairgen.models.diffusers import DiffusersModel
from fairgen.scoring.twins import likeness
from fairgen.steering.request import Request
from skin_tone.faces import FaceFinder

from .classifier import SIDE, ContextNet, load_classifier, look, split
from .contexts import CONTEXTS
from .evaluate import Reading, jobs_of, save_report, save_sheet, settled, tone_figures
from .nearness import Space, copies, frechet_beside_floor, nearest, small_pixels
from .renders import Pictures, Renders, load_renders, resized
from .sampled import BATCH, Sampled
from .skin import TONE_WORDS

_PAIRS = 12
_LOADS = 3
_TIMED = 5


@dataclass(frozen=True)
class Amount:
    """How much is made: ``each`` unsteered pictures a prompt, ``tries`` a prompt and tone word."""

    each: int = 14
    tries: int = 2
    seed: int = 0


class Judge:
    """One measurement of one model in one folder.

    Args:
        model: a pipeline folder, or "embedded". classifier: from `classifier.train_classifier`.
        data: renders that the model was trained on. held_out: renders that neither model nor classifier saw;
            None: the last tenth of the shards of ``data``.
        steps, guidance: default as ``fairgen.json`` in the folder says.

    Raises:
        UserError: something cannot be used, or ``out`` holds the measurement of another model.
    """

    def __init__(
        self,
        model: str,
        classifier: Path,
        data: Path,
        out: Path,
        *,
        held_out: Path | None = None,
        amount: Amount | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        device: str = "cpu",
    ) -> None:
        self.amount = amount or Amount()
        if not 1 <= self.amount.tries <= self.amount.each:
            raise UserError(
                "The unsteered pictures of a prompt must be at least as many as the tries a word."
            )
        self.model, self.classifier, self.device, self.out = model, classifier, device, out
        self.learn, self.judge = split(data, held_out)
        self.held_out_apart = held_out is not None
        self.generator = settled(model, steps, guidance, device)
        self.jobs = jobs_of(self.amount.each, self.amount.tries, self.amount.seed)
        self.sampled = Sampled(self.generator, self.jobs, out)
        self._begin()

    def _begin(self) -> None:
        info = self.generator.info
        begun = {
            "fingerprint": info.fingerprint,
            "steps": info.steps,
            "guidance_scale": info.guidance_scale,
            **asdict(self.amount),
        }
        path = self.out / "begun.json"
        if path.exists():
            if json.loads(path.read_text()) != begun:
                raise UserError(f"{self.out} holds another model's measurement: choose another folder.")
            return
        self.out.mkdir(parents=True, exist_ok=True)
        if any(self.out.iterdir()):
            raise UserError(f"{self.out} is not empty: choose another folder.")
        save_report(begun, path)

    def run(self, piece_minutes: float | None = None) -> dict[str, Any] | None:
        """Make and read what is missing, then measure: the figures. ``piece_minutes`` ends this run early;
        then None is returned, and the next run goes on.
        """
        start = time.monotonic()
        speed = self._speed()

        def enough() -> bool:
            return piece_minutes is not None and time.monotonic() - start > piece_minutes * 60

        if not self.sampled.make(enough):
            return None
        readings = self.sampled.read()
        if enough():
            return None
        report = self._measure(readings, speed)
        save_report(report, self.out / "judge.json")
        return report

    def _speed(self) -> dict[str, Any]:
        """Medians of seconds to load (the libraries being there already) and of seconds a picture.

        Beside them processor time, which a busy machine does not change.
        """
        path = self.out / "speed.json"
        if path.exists():
            known: dict[str, Any] = json.loads(path.read_text())
            return known
        info = self.generator.info
        requests = [Request(self.jobs[k].prompt, self.jobs[k].seed) for k in range(BATCH)]
        loads = [
            _timed(lambda: settled(self.model, info.steps, info.guidance_scale, self.device))
            for _ in range(_LOADS)
        ]
        batches = [_timed(lambda: self.generator.generate(requests)) for _ in range(1 + _TIMED)][1:]
        speed = {
            "batch": BATCH,
            "threads": torch.get_num_threads() if info.device == "cpu" else None,
            "device": info.device,
            "seconds_to_load": statistics.median(wall for wall, _ in loads),
            "processor_seconds_to_load": statistics.median(own for _, own in loads),
            "seconds_a_picture": statistics.median(wall for wall, _ in batches) / BATCH,
            "processor_seconds_a_picture": statistics.median(own for _, own in batches) / BATCH,
            "megabytes": _megabytes(self.generator),
        }
        save_report(speed, path)
        return speed

    def _measure(self, readings: list[Reading], speed: dict[str, Any]) -> dict[str, Any]:
        net, figures = load_classifier(self.classifier, self.device)
        made = [self.sampled.picture(place) for place in range(len(self.jobs))]
        info = self.generator.info
        pictures = np.stack([resized(np.asarray(picture), SIDE) for picture in made])
        held_out = load_renders(self.judge, SIDE)
        free = sum(job.word is None for job in self.jobs)
        save_sheet(made[:free], self.amount.each, self.out / "unsteered.png")
        save_sheet(made[free:], self.amount.tries * len(TONE_WORDS), self.out / "words.png")
        return {
            "fingerprint": info.fingerprint,
            "steps": info.steps,
            "guidance_scale": info.guidance_scale,
            "size": made[0].width,
            **speed,
            **tone_figures(self.jobs, readings),
            "twins": self._twins(made),
            "classifier": figures | self._seen(net, pictures),
            **self._near(net, pictures, held_out),
        }

    def _seen(self, net: ContextNet, pictures: Pictures) -> dict[str, Any]:
        truth = np.array([job.context for job in self.jobs])
        seen = look(net, pictures)
        by_prompt = {
            context.phrase: float(np.mean(seen.context[truth == c] == c))
            for c, context in enumerate(CONTEXTS)
        }
        free = np.array([job.word is None for job in self.jobs])
        return {
            "generated_top1": seen.top1(truth),
            "generated_top1_unsteered": float(np.mean((seen.context == truth)[free])),
            "generated_top1_worst": min((share, phrase) for phrase, share in by_prompt.items()),
        }

    def _near(self, net: ContextNet, pictures: Pictures, held_out: Renders) -> dict[str, Any]:
        """Frechet distance and nearest training renders, in features and in pixels."""
        training, features, mirrored = self._training(net)
        space = Space.of(features)
        known = np.concatenate([space(features), space(mirrored)])
        here, there = space(look(net, pictures).features), space(look(net, held_out.images).features)
        # The jobs stand prompt by prompt, so a part of them would not show all prompts.
        mixed = np.random.default_rng(0).permutation(len(here))
        by_features = copies(nearest(here, known)[0], nearest(there, known)[0])
        pixels = np.concatenate([small_pixels(training), small_pixels(training, mirror=True)])
        distances, places = nearest(small_pixels(pictures), pixels)
        by_pixels = copies(distances, nearest(small_pixels(held_out.images), pixels)[0])
        self._pairs(pictures, training, distances, places)
        return {
            "frechet": frechet_beside_floor(here[mixed], there)
            | {"dimensions": space.axes.shape[1], "variance_explained": space.explained},
            "copies": {
                "training_renders": len(training),
                "held_out_unknown_to_the_model": self.held_out_apart,
                "features": by_features,
                "pixels": by_pixels,
            },
        }

    def _training(self, net: ContextNet) -> tuple[Pictures, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Training renders, their features, and those of their mirror pictures (which training saw too)."""
        images = load_renders(self.learn, SIDE).images
        kept = self.out / "training.npz"
        key = f"{self.classifier.stat().st_mtime_ns} {len(images)}"
        if kept.exists():
            with np.load(kept) as known:
                if str(known["key"]) == key:
                    return images, known["features"], known["mirrored"]
        features, mirrored = (look(net, images, mirror=mirror).features for mirror in (False, True))
        temporary = kept.with_suffix(".tmp.npz")
        np.savez(temporary, key=np.array(key), features=features, mirrored=mirrored)
        temporary.replace(kept)
        return images, features, mirrored

    def _pairs(
        self,
        pictures: Pictures,
        training: Pictures,
        distances: npt.NDArray[np.float64],
        places: npt.NDArray[np.int64],
    ) -> None:
        """The closest pairs in pixels: generated above, the nearest training render below."""
        closest = np.argsort(distances)[:_PAIRS]
        below = [
            training[place] if place < len(training) else training[place - len(training)][:, ::-1]
            for place in places[closest]
        ]
        shown = [Image.fromarray(p) for p in (*pictures[closest], *below)]
        save_sheet(shown, len(closest), self.out / "closest.png")

    def _twins(self, made: list[Image.Image]) -> dict[str, Any]:
        """Same seed, other words: how much changes outside the face (median CIEDE2000)."""
        place = {(job.context, job.word, job.seed): k for k, job in enumerate(self.jobs)}
        plain, ends = [], []
        with FaceFinder(1) as finder:
            for k, job in enumerate(track(self.jobs, "twins")):
                if job.word is None:
                    continue
                plain.append(likeness(made[k], made[place[job.context, None, job.seed]], finder))
                if job.word == len(TONE_WORDS) - 1:
                    ends.append(likeness(made[k], made[place[job.context, 0, job.seed]], finder))
        return {
            name: {
                "twins": len(found),
                "background": float(np.median([one.elsewhere for one in found])),
                "background_90": float(np.quantile([one.elsewhere for one in found], 0.9)),
                "landmark_shift": float(np.median([one.shift for one in found])),
            }
            for name, pairs in (("a word and none", plain), ("lightest and darkest word", ends))
            if (found := [one for one in pairs if one])
        }


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and seconds of this process on all processors."""
    wall, own = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - own


def _megabytes(generator: DiffusersModel) -> float:
    folder = generator.folder
    return sum(f.stat().st_size for f in folder.rglob("*.safetensors")) / 1e6 if folder else 0.0
