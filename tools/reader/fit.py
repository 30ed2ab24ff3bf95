"""Fits the reader's calibration: features -> neutral skin colour and its uncertainty.

Each shot of the calibration split is photographed by several cameras, before another backdrop each time; a
part goes through the embedded model's autoencoder, since generated faces lack the same details. Beside the
error itself, the loss counts how far the estimates of one shot lie apart: light must not change what is read.
"""

from __future__ import annotations

import json
import math
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.progress import Progress

from skin_tone import SCALES
from skin_tone.camera import careful, careless_and_more
from skin_tone.colour import LUMINANCE, ita
from skin_tone.estimator import FAR, Estimator
from skin_tone.features import NAMES
from skin_tone.pixels import NAMES as PIXEL_NAMES
from skin_tone.pixels import Grids, on_grids
from skin_tone.reader import light_features, measure_faces
from tools.portraits.autoencoder import SIDE
from tools.portraits.contexts import CONTEXTS
from tools.portraits.skin import lab_to_linear

from .backdrops import any_backdrop
from .pixels import Faces, PixelNetwork, predict, save, train
from .shots import SHARD, SIZE, Shots, contexts_of

VIEWS = 8
_GENERATED = 0.25  # share of pictures that go through the autoencoder
_NEUTRAL = 0.3  # share of careful cameras
_NEUTRAL_GENERATED = 0.75  # models seldom make a face that is badly exposed
_NEUTRAL_WEIGHT = 9.0  # most pictures that people read are well lit: four in five, as the loss counts them
_JUDGED = 4  # what `Estimator.parts` adds to the features
_MEMBERS = 4
_HIDDEN = (96, 48)
_DROPOUT = 0.1
# Backgrounds and clothes are endless in the world: now and then the face must do without them.
_SCENE_ABSENT = 0.3
_OF_SCENE = torch.tensor([name.startswith(("scene", "border", "clothes")) for name in (*NAMES, *PIXEL_NAMES)])

Floats = npt.NDArray[np.float64]
_Row = tuple[int, Floats, Floats, Grids, bool, bool]
"""Number of the shot, features, L*a*b* as seen, face and eyes on their grids; whether it went through the
autoencoder; a careful camera."""


class Autoencoder:
    """The embedded model's: pictures of its size, as a generated one could hold them."""

    def __init__(self, folder: Path) -> None:
        from diffusers import AutoencoderTiny

        torch.set_num_threads(1)
        self.model: Any = AutoencoderTiny.from_pretrained(folder, torch_dtype=torch.float32)
        self.side = SIDE * 2 ** (len(self.model.config.encoder_block_out_channels) - 1)

    def __call__(self, rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        small = np.asarray(Image.fromarray(rgb).resize((self.side, self.side), Image.Resampling.BOX))
        x = torch.from_numpy(small.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
        with torch.no_grad():
            y = self.model(x).sample[0].permute(1, 2, 0)
        return np.asarray(((y.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))


def _measure_piece(folder: Path, vae: Path, begin: int, end: int, seed: int) -> list[_Row]:
    from skin_tone.faces import FaceFinder

    held: dict[str, Any] = _measure_piece.__dict__
    shots: Shots = held.setdefault("shots", None) or Shots(folder, "calibration")
    held["shots"] = shots
    finder = held.setdefault("finder", None) or FaceFinder()
    held["finder"] = finder
    autoencoder = held.setdefault("autoencoder", None) or Autoencoder(vae)
    held["autoencoder"] = autoencoder
    scenes = tuple(CONTEXTS[i].scene for i in contexts_of("calibration"))
    rows = []
    for i in range(begin, min(end, len(shots))):
        for view in range(VIEWS):
            rng = np.random.default_rng([seed, i, view])
            light = shots.light(i, any_backdrop(rng, SIZE, scenes) if view else None)
            generated = bool(rng.random() < _GENERATED)
            neutral = bool(rng.random() < (_NEUTRAL_GENERATED if generated else _NEUTRAL))
            picture = (careful if neutral else careless_and_more)(rng).photograph(light, rng)
            if generated:
                picture = autoencoder(picture)
            measured = measure_faces(picture, finder)
            face = measured[0] if measured else None
            features = light_features(picture, face) if face is not None and face.seen is not None else None
            if face is None or features is None or face.view is None:
                continue
            patches = np.median(np.stack(list(face.medians.values())), axis=0)
            rows.append((i, features, patches, on_grids(face.view), generated, neutral))
    return rows


def measure_split(folder: Path, vae: Path, out: Path, seed: int = 0, workers: int = 2) -> None:
    """Photograph and measure the calibration split, a quarter of it seen through the autoencoder ``vae``;
    writes the table ``out`` (npz).
    """
    shots = Shots(folder, "calibration")
    rows: list[_Row] = []
    with Progress() as progress, ProcessPoolExecutor(workers) as pool:
        bar = progress.add_task("measuring", total=len(shots))
        pieces = [
            pool.submit(_measure_piece, folder, vae, begin, begin + SHARD, seed)
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
        faces=np.stack([r[3].face for r in rows]),
        eyes=np.stack([r[3].eyes for r in rows]),
        generated=np.array([r[4] for r in rows]),
        neutral=np.array([r[5] for r in rows]),
        ita=np.array([shots.records[r[0]].ita for r in rows]),
        lab=np.array([shots.records[r[0]].lab for r in rows]),
    )
    temporary.replace(out)


def _network(
    inputs: int, outputs: int, begin: torch.Tensor, hidden: tuple[int, ...] = _HIDDEN
) -> torch.nn.Sequential:
    layers: list[torch.nn.Module] = []
    for width in hidden:
        layers += [torch.nn.Linear(inputs, width), torch.nn.SiLU(), torch.nn.Dropout(_DROPOUT)]
        inputs = width
    last = torch.nn.Linear(inputs, outputs)
    torch.nn.init.zeros_(last.weight)
    with torch.no_grad():
        last.bias.copy_(begin)
    return torch.nn.Sequential(*layers, last)


def _angle(lab: torch.Tensor) -> torch.Tensor:
    return torch.atan2(lab[..., 0] - 50, lab[..., 2].clamp_min(1.0)) * (180 / math.pi)


@dataclass(frozen=True)
class _Table:
    """The measured pictures: rows of each shot, features, colour as seen, ITA and colour of the albedo."""

    shot: npt.NDArray[np.int64]
    features: Floats
    seen: Floats
    truth: Floats
    lab: Floats
    neutral: npt.NDArray[np.bool_]
    faces: npt.NDArray[np.uint8]
    eyes: npt.NDArray[np.uint8]

    @classmethod
    def load(cls, path: Path) -> _Table:
        names = ("shot", "features", "seen", "ita", "lab", "neutral", "faces", "eyes")
        with np.load(path) as kept:
            return cls(*(kept[name] for name in names))

    @property
    def skin(self) -> Floats:
        """Log luminance, log R/G and log B/G of the skin as seen, n x 3."""
        return self.features[:, :3]

    def pixels(self, device: torch.device) -> Faces:
        """What the pixel network sees."""
        return Faces(self.faces, self.eyes, self.skin, device)

    @property
    def gains(self) -> Floats:
        """What must be added to `skin` to have that of the albedo, n x 3."""
        light = np.maximum(lab_to_linear(self.lab), 1 / 512)
        logs = np.log(light)
        true = [np.log(light @ LUMINANCE), logs[:, 0] - logs[:, 1], logs[:, 2] - logs[:, 1]]
        return np.asarray(np.stack(true, 1) - self.skin)

    def with_pixels(self, said: Floats) -> _Table:
        """The same rows with the pixel network's numbers among the features."""
        return replace(self, features=np.concatenate([self.features, said], 1))

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> _Table:
        return _Table(*(getattr(self, f.name)[rows] for f in fields(self)))


def fit(
    table: Path,
    out: Path,
    *,
    steps: int = 3000,
    epochs: int = 24,
    seed: int = 0,
    consistency: float = 0.5,
    device: torch.device | None = None,
) -> dict[str, Any]:
    """Fit pixel network and committee on ``table``; write ``out`` (JSON) and ``pixels.safetensors`` beside
    it; returns figures of pictures that the estimate was not fitted on. The pixel network is fitted on
    ``device``.

    The standard error is learnt from a committee's errors on the half of the shots that it was not fitted on,
    and the other way round; the committee that is written was fitted on all of them.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    data = _Table.load(table)
    shots = rng.permutation(np.unique(data.shot))
    first = np.isin(data.shot, shots[: len(shots) // 2])
    # What the pixel network says of a picture that it was fitted on would be too good to be learnt from.
    device = device or torch.device("cpu")
    said = np.zeros((len(data.shot), len(PIXEL_NAMES)))
    for turn, half in enumerate((first, ~first)):
        network = _pixels(data[half], epochs, seed + turn, device)
        said[~half] = predict(network, data[~half].pixels(device))
    data = data.with_pixels(said)
    mean, scale = data.features.mean(0), np.maximum(data.features.std(0), 1e-3)
    flat = [[np.zeros((1, data.features.shape[1] + _JUDGED)).tolist(), [0.0]]]
    known, errors = np.zeros((len(data.shot), data.features.shape[1] + _JUDGED)), np.zeros(len(data.shot))
    for half in (first, ~first):
        members = _committee(data[half], mean, scale, steps, consistency, rng)
        estimator = Estimator(_document(members, mean, scale, flat))
        for row in np.flatnonzero(~half):
            lab, known[row] = estimator.parts(data.features[row], tuple(data.seen[row]))
            errors[row] = ita(lab) - data.truth[row]
    # The width is scaled and checked on shots that it was not fitted on either.
    checked, scaled = (np.isin(data.shot, shots[part::5]) for part in (0, 1))
    rest = ~checked & ~scaled
    width = _width(known[rest], errors[rest], data.neutral[rest], steps // 2)
    _scale(width, known[scaled], errors[scaled], data.neutral[scaled])
    figures = {
        name: _figures(errors[rows], _forward_width(width, known[rows]), data.truth[rows])
        for name, rows in (("neutral", checked & data.neutral), ("other light", checked & ~data.neutral))
    }
    members = _committee(data, mean, scale, steps, consistency, rng)
    document = _document(members, mean, scale, _layers(width))
    temporary = out.with_suffix(".tmp")
    temporary.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")
    save(_pixels(data, epochs, seed + 2, device), out.with_name("pixels.safetensors"))
    temporary.replace(out)
    return figures


def _pixels(data: _Table, epochs: int, seed: int, device: torch.device) -> PixelNetwork:
    weight = np.where(data.neutral, 2.0, 1.0)
    return train(data.pixels(device), data.gains, weight, data.shot, epochs=epochs, seed=seed)


def _committee(
    data: _Table, mean: Floats, scale: Floats, steps: int, consistency: float, rng: np.random.Generator
) -> list[torch.nn.Sequential]:
    z = torch.from_numpy(np.clip((data.features - mean) / scale, -FAR, FAR)).float()
    seen, truth, lab = (torch.from_numpy(v).float() for v in (data.seen, data.truth, data.lab))
    weight = torch.from_numpy(np.where(data.neutral, _NEUTRAL_WEIGHT, 1.0)).float()
    groups = [np.flatnonzero(data.shot == s) for s in np.unique(data.shot)]
    groups = [rows for rows in groups if len(rows) >= 4]
    members = []
    for _ in range(_MEMBERS):
        network = _network(z.shape[1], 4, torch.tensor([0.0, 0.0, 0.0, -0.5]))
        optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.1)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
        for _ in range(steps):
            chosen = rng.integers(0, len(groups), 64)
            rows = torch.from_numpy(np.stack([rng.choice(groups[c], 4, replace=False) for c in chosen]))
            x = z[rows]
            # Features that a face may lack, or that lie otherwise in real photographs, must not decide alone.
            x = torch.where(torch.rand_like(x) < 0.05, torch.zeros_like(x), x) + 0.08 * torch.randn_like(x)
            absent = (torch.rand(len(x), 1, 1) < _SCENE_ABSENT) & _OF_SCENE
            x = torch.where(absent, torch.zeros_like(x), x)
            y = network(x)
            guess = seen[rows] + 10 * y[..., :3]
            angle, log_sigma = _angle(guess), (y[..., 3]).clamp(-3, 2)
            error = (angle - truth[rows]) / 10
            counts = weight[rows] / weight[rows].mean()
            colour = torch.nn.functional.smooth_l1_loss(guess / 5, lab[rows] / 5, reduction="none").mean(-1)
            narrow = torch.nn.functional.smooth_l1_loss(
                error, torch.zeros_like(error), beta=0.3, reduction="none"
            )
            likelihood = log_sigma + 0.5 * (error.detach() / log_sigma.exp()).square()
            apart = ((angle - angle.mean(1, keepdim=True)) / 10).square().mean()
            loss = (counts * (colour + 2 * narrow + 0.2 * likelihood)).mean() + consistency * apart
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        members.append(network.eval())
    return members


def _width(known: Floats, errors: Floats, neutral: npt.NDArray[np.bool_], steps: int) -> torch.nn.Sequential:
    """Learns the log of the standard error, on as many pictures in neutral as in other light.

    Student's t with 5 degrees of freedom: a few gross errors must not widen every interval.
    """
    x, e = torch.from_numpy(known).float(), torch.from_numpy(errors).float()
    network = _network(x.shape[1], 1, torch.tensor([1.5]), (32,))
    rng = np.random.default_rng(0)
    parts = [np.flatnonzero(neutral), np.flatnonzero(~neutral)]
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.cat([torch.from_numpy(rng.choice(part, 128)) for part in parts])
        log_width = network(x[rows] + 0.1 * torch.randn_like(x[rows]))[:, 0]
        loss = (log_width + 3 * torch.log1p((e[rows] / log_width.exp()).square() / 5)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def _scale(width: torch.nn.Sequential, known: Floats, errors: Floats, neutral: npt.NDArray[np.bool_]) -> None:
    """Multiply what ``width`` says by one factor, so that 90 % of the errors lie inside, neutral and careless
    light counting alike: split conformal prediction (Papadopoulos et al. 2002).
    """
    beyond = np.abs(errors) / _forward_width(width, known)
    counts = np.where(neutral, 0.5 / neutral.sum(), 0.5 / (~neutral).sum())
    order = np.argsort(beyond)
    at = int(np.searchsorted(np.cumsum(counts[order]), 0.9))
    with torch.no_grad():
        last = width[-1]
        assert isinstance(last, torch.nn.Linear)
        last.bias.add_(math.log(float(beyond[order[min(at, len(order) - 1)]]) / 1.6449))


def _forward_width(network: torch.nn.Sequential, known: Floats) -> Floats:
    with torch.no_grad():
        return np.asarray(network(torch.from_numpy(known).float())[:, 0].exp().double())


def _layers(network: torch.nn.Sequential) -> list[Any]:
    linear = [m for m in network if isinstance(m, torch.nn.Linear)]
    return [[_rounded(m.weight.detach()), _rounded(m.bias.detach())] for m in linear]


def _rounded(values: Any) -> Any:
    return np.round(np.asarray(values, np.float64), 5).tolist()


def _document(
    members: list[torch.nn.Sequential], mean: Floats, scale: Floats, width: list[Any]
) -> dict[str, Any]:
    return {
        "made_by": "python -m tools.reader fit",
        "features": [*NAMES, *PIXEL_NAMES],
        "mean": _rounded(mean),
        "scale": _rounded(scale),
        "networks": [_layers(member) for member in members],
        "width": width,
    }


def _figures(errors: Floats, sigma: Floats, truth: Floats) -> dict[str, Any]:
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
