"""Renders the two splits that the reader is calibrated and tested on: scenes in linear light, albedo known.

The splits share nothing but the renderer: other seeds draw other heads, hair and clothes; contexts (and with
them backgrounds and garments) are dealt out to one split or the other; lights stand otherwise.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from skin_tone import SCALES
from tools.portraits import skin
from tools.portraits.contexts import CONTEXTS
from tools.portraits.portrait import PORTRAIT_RIG, Rig

Split = Literal["calibration", "test"]
SHARD = 40
SIZE = 256
_SEEDS = {"calibration": 0, "test": 500_000}  # the training set of the embedded model begins at 1,000,000
_PLAIN_WALL = 0.5  # share of shots before a plain wall instead of the context's background
_RIGS = {
    "calibration": (
        PORTRAIT_RIG,
        Rig(azimuth=0.7, elevation=0.35, fill=(0.1, 0.4), rim=(0.0, 0.6), ambient=(0.3, 0.9)),
        Rig(azimuth=0.2, elevation=0.7, fill=(0.4, 0.8), rim=(0.1, 0.5), ambient=(0.6, 1.2)),
    ),
    "test": (
        Rig(azimuth=0.6, elevation=0.45, fill=(0.2, 0.5), rim=(0.2, 0.7), ambient=(0.4, 0.8)),
        Rig(azimuth=0.3, elevation=0.8, fill=(0.3, 0.7), rim=(0.0, 0.9), ambient=(0.5, 1.0)),
    ),
}


@dataclass(frozen=True)
class Record:
    """What is known about a shot: albedo (ITA in degrees, L*a*b*), ita6 class, context, number of its rig."""

    seed: int
    ita: float
    lab: tuple[float, float, float]
    ita6: str
    context: str
    rig: int


def contexts_of(split: Split) -> list[int]:
    """Numbers in CONTEXTS that this split may use: two thirds for calibration, every third for the test."""
    return [i for i in range(len(CONTEXTS)) if (i % 3 == 1) == (split == "test")]


def _wall(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A plain wall, near grey mostly, unevenly lit."""
    level = float(np.exp(rng.uniform(np.log(0.05), np.log(0.95))))
    tint = np.exp(rng.normal(0, 0.05 if rng.random() < 0.6 else 0.35, 3))
    y, x = np.mgrid[0 : 1 : SIZE * 1j, 0 : 1 : SIZE * 1j]
    slope = rng.normal(0, 0.35, 2)
    shade = np.exp(slope[0] * (x - 0.5) + slope[1] * (y - 0.5))
    return np.asarray(np.clip(level * tint * shade[..., None], 0.01, 1.1))


def even_ita(rng: np.random.Generator) -> float:
    """An albedo ITA whose ita6 class is drawn evenly."""
    edges = (skin.ITA_MAX, *SCALES["ita6"].borders, skin.ITA_MIN)
    k = int(rng.integers(len(edges) - 1))
    return float(rng.uniform(edges[k + 1], edges[k]))


def _render_shard(folder: Path, split: Split, number: int) -> None:
    os.environ.setdefault("LP_NUM_THREADS", "0")
    from tools.portraits.heads import load_heads
    from tools.portraits.portrait import PortraitMaker

    maker = _render_shard.__dict__.get("maker")
    if maker is None:
        maker = _render_shard.__dict__["maker"] = PortraitMaker(load_heads(), SIZE)
    light, records = [], []
    for i in range(SHARD):
        seed = _SEEDS[split] + number * SHARD + i
        rng = np.random.default_rng([seed, 77])
        rig = int(rng.integers(len(_RIGS[split])))
        wall = _wall(rng) if rng.random() < _PLAIN_WALL else None
        context = int(rng.choice(contexts_of(split)))
        ita = even_ita(rng)
        shot = maker.shoot(rng, context=context, ita=ita, rig=_RIGS[split][rig], wall=wall)
        light.append(np.sqrt(np.clip(shot.linear, 0, 16)).astype(np.float16))  # square root: finer in shadows
        records.append(
            Record(seed, ita, shot.lab, SCALES["ita6"].classify(ita), CONTEXTS[context].phrase, rig)
        )
    path = _path(folder, split, number)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(
        temporary,
        light=np.stack(light),
        records=np.array([json.dumps(asdict(r)) for r in records]),
    )
    temporary.replace(path)


def _path(folder: Path, split: Split, number: int) -> Path:
    return folder / f"{split}_{number:04d}.npz"


def render(folder: Path, split: Split, count: int, workers: int = 2) -> None:
    """Render ``count`` shots (rounded up to whole shards); finished shards are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [n for n in range(-(-count // SHARD)) if not _path(folder, split, n).exists()]
    with Progress() as progress, ProcessPoolExecutor(workers) as pool:
        bar = progress.add_task(f"{split} shots", total=len(missing) * SHARD)
        for future in as_completed([pool.submit(_render_shard, folder, split, n) for n in missing]):
            future.result()
            progress.advance(bar, SHARD)


class Shots:
    """One split in memory: ``records``, and `light(i)` as H x W x 3 linear light."""

    def __init__(self, folder: Path, split: Split, limit: int | None = None) -> None:
        paths = sorted(folder.glob(f"{split}_????.npz"))
        if not paths:
            raise FileNotFoundError(f"{folder} holds no {split} shots: run `python -m tools.reader render`")
        roots: list[npt.NDArray[np.float16]] = []
        records: list[dict[str, Any]] = []
        for path in paths:
            with np.load(path) as shard:
                roots.append(shard["light"])
                records += [json.loads(str(r)) for r in shard["records"]]
        self._roots = np.concatenate(roots)[:limit]
        self.records = [Record(**r) for r in records[:limit]]

    def __len__(self) -> int:
        return len(self.records)

    def light(self, index: int) -> npt.NDArray[np.float64]:
        """Linear light of one shot."""
        return np.asarray(np.square(self._roots[index].astype(np.float64)))
