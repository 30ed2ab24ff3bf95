"""Renders the training set into shards that a broken-off run resumes from."""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from .captions import Looks, caption
from .contexts import CONTEXTS, OTHERS

SHARD = 250
OTHERS_FROM = 90_000
_SEED_BASE = 1_000_000  # calibration and test renders use seeds below


def _shard_path(folder: Path, number: int) -> Path:
    return folder / f"portraits_{number:05d}.npz"


def _render_shard(folder: Path, number: int, seed: int, size: int) -> int:
    """Shards from `OTHERS_FROM` on show the contexts beyond the audit, in turn; the rest any of its own."""
    os.environ.setdefault(
        "LP_NUM_THREADS", "0"
    )  # llvmpipe: one process a core beats one process on all cores
    from .heads import load_heads
    from .portrait import PortraitMaker

    maker = _render_shard.__dict__.get("maker")
    if maker is None or maker.size != size:
        maker = _render_shard.__dict__["maker"] = PortraitMaker(load_heads(), size)
    beyond = number >= OTHERS_FROM
    portraits = [
        maker.make(
            _SEED_BASE + seed * 10_000_000 + number * SHARD + i,
            context=len(CONTEXTS) + i % len(OTHERS) if beyond else None,
        )
        for i in range(SHARD)
    ]
    path = _shard_path(folder, number)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(
        temporary,
        images=np.stack([p.image for p in portraits]),
        skin=np.stack([(p.skin_mask * 255).astype(np.uint8) for p in portraits]),
        records=np.array([json.dumps(p.record()) for p in portraits]),
    )
    temporary.replace(path)
    return number


def render(
    folder: Path, count: int, *, others: int = 0, seed: int = 0, size: int = 128, workers: int = 2
) -> None:
    """Render ``count`` portraits of the audit's contexts and ``others`` of those beyond it into ``folder``.

    Both are rounded up to whole shards; finished shards are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [*range(-(-count // SHARD)), *range(OTHERS_FROM, OTHERS_FROM - (-others // SHARD))]
    numbers = [n for n in wanted if not _shard_path(folder, n).exists()]
    with Progress() as progress, ProcessPoolExecutor(workers) as pool:
        bar = progress.add_task("portraits", total=len(numbers) * SHARD)
        for future in as_completed([pool.submit(_render_shard, folder, n, seed, size) for n in numbers]):
            future.result()
            progress.advance(bar, SHARD)


class Portraits:
    """The rendered set in memory: ``images`` n x size x size x 3 uint8, ``skin`` n x size x size uint8,
    ``records``. Without ``pixels`` the first two stay empty.

    Raises:
        FileNotFoundError: the folder holds no shards.
    """

    def __init__(self, folder: Path, limit: int | None = None, *, pixels: bool = True) -> None:
        paths = sorted(folder.glob("portraits_?????.npz"))
        if not paths:
            raise FileNotFoundError(
                f"{folder} holds no portraits: run `python -m tools.portraits render` first"
            )
        images, skins, self.records = [], [], list[dict[str, Any]]()
        for path in paths:
            with np.load(path) as shard:
                if pixels:
                    images.append(shard["images"])
                    skins.append(shard["skin"])
                self.records += [json.loads(str(r)) for r in shard["records"]]
            if limit is not None and len(self.records) >= limit:
                break
        nothing = np.zeros(0, np.uint8)
        self.images: npt.NDArray[np.uint8] = np.concatenate(images)[:limit] if images else nothing
        self.skin: npt.NDArray[np.uint8] = np.concatenate(skins)[:limit] if skins else nothing
        self.records = self.records[:limit]

    def __len__(self) -> int:
        return len(self.records)

    def caption(self, index: int, rng: np.random.Generator) -> str:
        """A fresh caption for one portrait."""
        fields = Looks.__dataclass_fields__
        return caption(Looks(**{k: v for k, v in self.records[index].items() if k in fields}), rng)
