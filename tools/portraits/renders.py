"""Rendered shards as the measuring commands look at them: brought to one size, the audit's contexts alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track

from fairgen.errors import UserError

from .contexts import CONTEXTS
from .dataset import OTHERS_FROM

Pictures = npt.NDArray[np.uint8]
"""n x side x side x 3, sRGB."""


@dataclass(frozen=True)
class Renders:
    """``images`` of one side; ``records`` beside them, as the renderer wrote them; ``rendered``: the side in
    pixels that they were rendered at.
    """

    images: Pictures
    records: list[dict[str, Any]]
    rendered: int

    def __len__(self) -> int:
        return len(self.images)

    @property
    def contexts(self) -> npt.NDArray[np.int64]:
        return np.array([record["context"] for record in self.records], dtype=np.int64)


def resized(picture: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """A square picture at another size, antialiased: filters that are not change such distances by more than
    the pictures do (Parmar, Zhang & Zhu, CVPR 2022).
    """
    if picture.shape[0] == side:
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))


def shards_of(data: Path) -> list[Path]:
    """The shards of the audit's contexts, in order. Raises `UserError` where there are none."""
    found = [path for path in sorted(data.glob("portraits_?????.npz")) if int(path.stem[-5:]) < OTHERS_FROM]
    if not found:
        raise UserError(f"{data} holds no portraits: run `python -m tools.portraits render` first.")
    return found


def load_renders(shards: Sequence[Path], side: int, limit: int | None = None) -> Renders:
    """The first ``limit`` renders of shards.

    Raises:
        UserError: a shard is damaged, or shows a context that is not in contexts.py.
    """
    images: list[Pictures] = []
    records: list[dict[str, Any]] = []
    rendered = 0
    for path in track(shards, "renders", transient=True):
        try:
            with np.load(path) as shard:
                whole = shard["images"]
                records += [json.loads(str(r)) for r in shard["records"]]
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{path} is no whole shard: delete it, and render it again.") from error
        rendered = whole.shape[1]
        images.append(np.stack([resized(picture, side) for picture in whole]))
        if limit is not None and len(records) >= limit:
            break
    if any(not 0 <= record["context"] < len(CONTEXTS) for record in records):
        raise UserError(f"{shards[0].parent} shows contexts that contexts.py does not have.")
    return Renders(np.concatenate(images)[:limit], records[:limit], rendered)
