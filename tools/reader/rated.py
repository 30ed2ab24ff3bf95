"""The rated faces: pictures under licences that allow a fit, and how dark two raters named their
skin.

The pictures are not part of the project. FACES is a folder that holds

    sfhq/     the images folder of github.com/SelfishGene/SFHQ-dataset (MIT; faces of StyleGAN2)
    london/   the smiling photographs of the Face Research Lab London Set (CC BY 4.0), as NNN.jpg
    others/   pictures of other generators; others.csv beside the folder has the columns file, median, kind,
              licence and generator. Those whose licence is "none" are measured on and never fitted on
    sd21/     portraits of Stable Diffusion 2.1, and sd21.csv: measured on, never fitted on

`ratings.csv` holds the ratings of the first two,
by a vision-language model, not by people: two sittings for each face, on sheets with
the six swatches of ita6 above, in half steps from 1 (very light) to 6.5, asked which number matches the skin
as a careful observer would name it in ordinary neutral light, discounting gloss, deep shadow, make-up, beard
and coloured light. Their rank correlation is .95; with the medians of `others` and of 18 of the photographs,
on 58 faces that both had, it is .96, and they are .14 darker; the middle between both groups is fitted on.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from skin_tone.picture import RGB

_RATINGS = Path(__file__).with_name("ratings.csv")
_DARKER = 0.14
"""Classes by which these raters named 58 faces darker than those of the given sets did."""
PLAIN_KINDS = ("n", "c", "")
"""Kinds of picture that must be answered: plain, cut by the frame, not said; the rest has masks, sunglasses,
or is drawn.
"""


@dataclass(frozen=True)
class RatedFace:
    """One rated face.

    Attributes:
        name: unique.
        generator: what made the picture; "photograph" for none.
        tone: the raters' mean or median, 1 (very light) to 6.5.
        kind: see `PLAIN_KINDS`.
        fit: whether its licence allows a fit.
        path: the picture's file.
        box: (left, top, right, bottom) of its part of the file, or None for the whole.
    """

    name: str
    generator: str
    tone: float
    kind: str
    fit: bool
    path: Path
    box: tuple[int, int, int, int] | None = None

    def picture(self) -> RGB:
        """uint8 RGB, H x W x 3."""
        with Image.open(self.path) as image:
            whole = image.convert("RGB")
        return np.asarray(whole.crop(self.box) if self.box else whole)


def rated_faces(folder: Path) -> list[RatedFace]:
    """All rated faces whose pictures lie in ``folder``; sets that are absent are left out."""
    return [face for face in (*_own(folder), *_given(folder)) if face.path.exists()]


def _own(folder: Path) -> Iterator[RatedFace]:
    generators = {"sfhq": "StyleGAN2", "london": "photograph"}
    with _RATINGS.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            sides = [row[side] for side in ("left", "top", "right", "bottom")]
            left, top, right, bottom = (int(side or 0) for side in sides)
            yield RatedFace(
                name=f"{row['source']}/{row['file']}" + (f"/{left}-{top}" if sides[0] else ""),
                generator=generators[row["source"]],
                tone=(float(row["rating_1"]) + float(row["rating_2"])) / 2 - _DARKER / 2,
                kind="n",
                fit=True,
                path=folder / row["source"] / row["file"],
                box=(left, top, right, bottom) if sides[0] else None,
            )


def _given(folder: Path) -> Iterator[RatedFace]:
    for name in ("others", "sd21"):
        table = folder / f"{name}.csv"
        if not table.exists():
            continue
        with table.open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                licence = row.get("licence", "none")
                yield RatedFace(
                    name=f"{name}/{row['file']}",
                    generator=row.get("generator", "Stable Diffusion 2.1"),
                    tone=float(row["median"]),
                    kind=row["kind"],
                    fit=licence != "none",
                    path=folder / name / row["file"],
                )
