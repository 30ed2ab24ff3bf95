"""Renders the two splits that the reader is calibrated and tested on: scenes in linear light, albedo known.

The splits share nothing but the renderer: other seeds draw other heads, hair and clothes; contexts (and with
them backgrounds) are dealt out to one split or the other; lights stand otherwise. In the calibration split
clothes are drawn at random, and any backdrop can be put behind the person afterwards.
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
from tools.portraits.studio import PORTRAIT_RIG, SNAPSHOT_POSE, Rig

from .backdrops import any_look, plain_wall

Split = Literal["calibration", "test"]
SHARD = 40
SIZE = 384  # eye whites and teeth are then some pixels tall, as in photographs
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
    front, behind, alpha, records = [], [], [], []
    for i in range(SHARD):
        seed = _SEEDS[split] + number * SHARD + i
        rng = np.random.default_rng([seed, 77])
        rig = int(rng.integers(len(_RIGS[split])))
        wall = plain_wall(rng, SIZE) if rng.random() < _PLAIN_WALL else None
        context = int(rng.choice(contexts_of(split)))
        ita = even_ita(rng)
        look = any_look(rng, CONTEXTS[context]) if split == "calibration" else None
        shot = maker.shoot(
            rng, context=context, ita=ita, rig=_RIGS[split][rig], pose=SNAPSHOT_POSE, wall=wall, look=look
        )
        front.append(_stored(shot.linear - shot.behind * (1 - shot.alpha[..., None])))
        behind.append(_stored(shot.behind))
        alpha.append((shot.alpha * 255 + 0.5).astype(np.uint8))
        records.append(
            Record(seed, ita, shot.lab, SCALES["ita6"].classify(ita), CONTEXTS[context].phrase, rig)
        )
    path = _path(folder, split, number)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(
        temporary,
        front=np.stack(front),
        behind=np.stack(behind),
        alpha=np.stack(alpha),
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


def _stored(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float16]:
    """The square root is finer in the shadows."""
    return np.sqrt(np.clip(light, 0, 16)).astype(np.float16)


class Shots:
    """One split: ``records``, and `light(i)` as H x W x 3 linear light. One shard at a time is in memory."""

    def __init__(self, folder: Path, split: Split, limit: int | None = None) -> None:
        self._paths = sorted(folder.glob(f"{split}_????.npz"))
        if not self._paths:
            raise FileNotFoundError(f"{folder} holds no {split} shots: run `python -m tools.reader render`")
        records: list[dict[str, Any]] = []
        for path in self._paths:
            with np.load(path) as shard:
                records += [json.loads(str(r)) for r in shard["records"]]
        self.records = [Record(**r) for r in records[:limit]]
        self._loaded: tuple[int, dict[str, npt.NDArray[Any]]] = (-1, {})

    def __len__(self) -> int:
        return len(self.records)

    def light(self, index: int, behind: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
        """Linear light of one shot, before its own background or before ``behind`` (of the same size)."""
        number, at = divmod(index, SHARD)
        if self._loaded[0] != number:
            with np.load(self._paths[number]) as shard:
                self._loaded = (number, {key: shard[key] for key in ("front", "behind", "alpha")})
        shard = self._loaded[1]
        open_ = 1 - shard["alpha"][at].astype(np.float64)[..., None] / 255
        back = np.square(shard["behind"][at].astype(np.float64)) if behind is None else behind
        return np.asarray(np.square(shard["front"][at].astype(np.float64)) + back * open_)
