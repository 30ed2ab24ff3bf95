"""Picks the faces of `python -m skin_tone.selftest` from the test split and writes them as one sheet."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from skin_tone import SCALES
from skin_tone.camera import Camera
from skin_tone.selftest import TILE

from .shots import Shots

EACH, COLUMNS = 4, 6


def write(data: Path, out: Path) -> None:
    """The first `EACH` shots of each ita6 class, in neutral light, as `selftest.webp` and `selftest.json`."""
    shots = Shots(data, "test")
    by_class = {
        key: [i for i, r in enumerate(shots.records) if r.ita6 == key] for key in SCALES["ita6"].classes
    }
    chosen = [i for key in by_class for i in by_class[key][:EACH]]
    tiles = []
    for i in chosen:
        picture = Camera(noise=0.0).photograph(shots.light(i), np.random.default_rng(i))
        tiles.append(np.asarray(Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.LANCZOS)))
    rows = [np.concatenate(tiles[k : k + COLUMNS], axis=1) for k in range(0, len(tiles), COLUMNS)]
    Image.fromarray(np.concatenate(rows)).save(out / "selftest.webp", quality=95, method=6)
    ita = [round(shots.records[i].ita, 3) for i in chosen]
    (out / "selftest.json").write_text(json.dumps({"ita": ita}) + "\n", encoding="utf-8")
