"""Fits the reader's calibration: features -> neutral skin colour and its uncertainty.

Each shot of the calibration split is photographed by several cameras, before another backdrop each time; a
part goes through the embedded model's autoencoder, since generated faces lack the same details. Beside the
error itself, the loss counts how far the estimates of one shot lie apart: light must not change what is read.
"""

from __future__ import annotations

import json
import math
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.progress import Progress

from skin_tone import SCALES
from skin_tone.camera import training
from skin_tone.estimator import FAR, Estimator
from skin_tone.features import NAMES
from skin_tone.reader import measure_faces
from tools.portraits.contexts import CONTEXTS

from .backdrops import any_backdrop
from .shots import SHARD, SIZE, Shots, contexts_of

VIEWS = 8
_GENERATED = 0.2
_HELD_CONTEXTS = 4  # of 24: shots of contexts that were fitted on would flatter the stated uncertainty
_MEMBERS = 4
_HIDDEN = (64, 32)
_DROPOUT = 0.2
# Backgrounds and clothes are few in renders and endless in the world: mostly the face must do without them.
_SCENE_ABSENT = 0.7
_OF_SCENE = torch.tensor([name.startswith(("scene", "border", "clothes")) for name in NAMES])

Floats = npt.NDArray[np.float64]
_Row = tuple[int, Floats, Floats, bool]
"""Number of the shot, features, L*a*b* as seen, whether it went through the autoencoder."""


class _Autoencoder:
    """The embedded model's: 128 px pictures as a generated one could hold them."""

    def __init__(self) -> None:
        from diffusers import AutoencoderTiny

        torch.set_num_threads(1)
        self.model: Any = AutoencoderTiny.from_pretrained("assets/embedded/vae", torch_dtype=torch.float32)

    def __call__(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        small = np.asarray(Image.fromarray(rgb).resize((128, 128), Image.Resampling.BOX))
        x = torch.from_numpy(small.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
        with torch.no_grad():
            y = self.model(x).sample[0].permute(1, 2, 0)
        return np.asarray(((y.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))


def _measure_piece(folder: Path, begin: int, end: int, seed: int) -> list[_Row]:
    from skin_tone.faces import FaceFinder

    held: dict[str, Any] = _measure_piece.__dict__
    shots: Shots = held.setdefault("shots", None) or Shots(folder, "calibration")
    held["shots"] = shots
    finder = held.setdefault("finder", None) or FaceFinder()
    held["finder"] = finder
    autoencoder = held.setdefault("autoencoder", None) or _Autoencoder()
    held["autoencoder"] = autoencoder
    scenes = tuple(CONTEXTS[i].scene for i in contexts_of("calibration"))
    rows = []
    for i in range(begin, min(end, len(shots))):
        for view in range(VIEWS):
            rng = np.random.default_rng([seed, i, view])
            light = shots.light(i, any_backdrop(rng, SIZE, scenes) if view else None)
            picture = training(rng).photograph(light, rng)
            generated = bool(rng.random() < _GENERATED)
            if generated:
                picture = autoencoder(picture)
            measured = measure_faces(picture, finder)
            if measured and measured[0].features is not None and measured[0].seen is not None:
                rows.append((i, measured[0].features, np.asarray(measured[0].seen), generated))
    return rows


def measure_split(folder: Path, out: Path, seed: int = 0, workers: int = 2) -> None:
    """Photograph and measure the calibration split; writes the table ``out`` (npz)."""
    shots = Shots(folder, "calibration")
    rows: list[_Row] = []
    with Progress() as progress, ProcessPoolExecutor(workers) as pool:
        bar = progress.add_task("measuring", total=len(shots))
        pieces = [
            pool.submit(_measure_piece, folder, begin, begin + SHARD, seed)
            for begin in range(0, len(shots), SHARD)
        ]
        for piece in as_completed(pieces):
            rows += piece.result()
            progress.advance(bar, SHARD)
    rows.sort(key=lambda row: row[0])
    temporary = out.with_suffix(".tmp.npz")
    np.savez(
        temporary,
        shot=np.array([r[0] for r in rows]),
        features=np.stack([r[1] for r in rows]),
        seen=np.stack([r[2] for r in rows]),
        generated=np.array([r[3] for r in rows]),
        ita=np.array([shots.records[r[0]].ita for r in rows]),
        lab=np.array([shots.records[r[0]].lab for r in rows]),
        context=np.array([shots.records[r[0]].context for r in rows]),
    )
    temporary.replace(out)


def _network(inputs: int) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for width in _HIDDEN:
        layers += [torch.nn.Linear(inputs, width), torch.nn.SiLU(), torch.nn.Dropout(_DROPOUT)]
        inputs = width
    last = torch.nn.Linear(inputs, 4)
    torch.nn.init.zeros_(last.weight)
    with torch.no_grad():
        last.bias.copy_(torch.tensor([0.0, 0.0, 0.0, -0.5]))
    return torch.nn.Sequential(*layers, last)


def _angle(lab: torch.Tensor) -> torch.Tensor:
    return torch.atan2(lab[..., 0] - 50, lab[..., 2].clamp_min(1.0)) * (180 / math.pi)


def fit(
    table: Path, out: Path, *, steps: int = 2500, seed: int = 0, consistency: float = 0.2
) -> dict[str, Any]:
    """Fit the committee on ``table`` and write the calibration as JSON; returns figures of the kept-out
    shots.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    with np.load(table) as kept:
        shot, features, seen, truth, lab = (kept[k] for k in ("shot", "features", "seen", "ita", "lab"))
        context = kept["context"]
    mean, scale = features.mean(0), np.maximum(features.std(0), 1e-3)
    z = torch.from_numpy(np.clip((features - mean) / scale, -FAR, FAR)).float()
    seen_t, truth_t, lab_t = (torch.from_numpy(v).float() for v in (seen, truth, lab))
    held = np.isin(context, rng.permutation(np.unique(context))[:_HELD_CONTEXTS])
    groups = [np.flatnonzero(shot == s) for s in np.unique(shot[~held])]
    groups = [rows for rows in groups if len(rows) >= 4]
    members = []
    for _ in range(_MEMBERS):
        network = _network(features.shape[1])
        optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
        for _ in range(steps):
            chosen = rng.integers(0, len(groups), 64)
            rows = torch.from_numpy(np.stack([rng.choice(groups[c], 4, replace=False) for c in chosen]))
            x = z[rows]
            # Features that a face may lack, or that lie otherwise in real photographs, must not decide alone.
            x = torch.where(torch.rand_like(x) < 0.05, torch.zeros_like(x), x) + 0.15 * torch.randn_like(x)
            absent = (torch.rand(len(x), 1, 1) < _SCENE_ABSENT) & _OF_SCENE
            x = torch.where(absent, torch.zeros_like(x), x)
            y = network(x)
            guess = seen_t[rows] + 10 * y[..., :3]
            angle, log_sigma = _angle(guess), (y[..., 3]).clamp(-3, 2)
            error = (angle - truth_t[rows]) / 10
            colour = torch.nn.functional.smooth_l1_loss(guess / 5, lab_t[rows] / 5)
            narrow = torch.nn.functional.smooth_l1_loss(error, torch.zeros_like(error), beta=0.3)
            likelihood = (log_sigma + 0.5 * (error.detach() / log_sigma.exp()).square()).mean()
            apart = ((angle - angle.mean(1, keepdim=True)) / 10).square().mean()
            loss = colour + 2 * narrow + 0.2 * likelihood + consistency * apart
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        members.append(network.eval())
    document = _document(members, mean, scale, 1.0)
    sigma_scale = _sigma_scale(Estimator(document), features[held], seen[held], truth[held])
    document = _document(members, mean, scale, sigma_scale)
    temporary = out.with_suffix(".tmp")
    temporary.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    temporary.replace(out)
    return _figures(Estimator(document), features[held], seen[held], truth[held]) | {
        "sigma_scale": sigma_scale
    }


def _document(
    members: list[torch.nn.Sequential], mean: Floats, scale: Floats, sigma_scale: float
) -> dict[str, Any]:
    def rounded(values: Any) -> Any:
        return np.round(np.asarray(values, np.float64), 5).tolist()

    networks = []
    for member in members:
        layers = [m for m in member if isinstance(m, torch.nn.Linear)]
        networks.append([[rounded(m.weight.detach()), rounded(m.bias.detach())] for m in layers])
    return {
        "made_by": "python -m tools.reader fit",
        "features": list(NAMES),
        "mean": rounded(mean),
        "scale": rounded(scale),
        "networks": networks,
        "sigma_scale": round(sigma_scale, 4),
    }


def _errors(estimator: Estimator, features: Floats, seen: Floats, truth: Floats) -> tuple[Floats, Floats]:
    from skin_tone.colour import ita

    found = [estimator.estimate(f, tuple(s)) for f, s in zip(features, seen, strict=True)]
    return np.array([ita(e.lab) for e in found]) - truth, np.array([e.sigma for e in found])


def _sigma_scale(estimator: Estimator, features: Floats, seen: Floats, truth: Floats) -> float:
    """The factor by which stated errors must be wider for 90 % of the true ITAs to be covered."""
    errors, sigma = _errors(estimator, features, seen, truth)
    return float(np.quantile(np.abs(errors) / sigma, 0.9) / 1.6449)


def _figures(estimator: Estimator, features: Floats, seen: Floats, truth: Floats) -> dict[str, Any]:
    errors, sigma = _errors(estimator, features, seen, truth)
    scale = SCALES["ita6"]
    read = np.array([scale.classes.index(scale.classify(v)) for v in truth + errors])
    true = np.array([scale.classes.index(scale.classify(v)) for v in truth])
    return {
        "n": len(truth),
        "rms_error": float(np.sqrt(np.mean(errors**2))),
        "median_error": float(np.median(np.abs(errors))),
        "exact": float((read == true).mean()),
        "within_one": float((np.abs(read - true) <= 1).mean()),
        "cover_90": float((np.abs(errors) < 1.6449 * sigma).mean()),
    }
