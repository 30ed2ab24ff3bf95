"""The rated faces: pictures under licences that allow a fit, and how dark two raters named their
skin.

The pictures are not part of the project. FACES is a folder that holds

    sfhq/     the images folder of github.com/SelfishGene/SFHQ-dataset (MIT; faces of StyleGAN2)
    london/   the smiling photographs of the Face Research Lab London Set (CC BY 4.0), as NNN.jpg
    t2i/      the figures folder of github.com/SelfishGene/SFHQ-T2I-dataset (MIT; faces of FLUX.1, SDXL and
              DALL-E 3, six to eight rows of ten in a figure)
    others/   pictures of other generators; others.csv beside the folder has the columns file, median, kind,
              licence and generator. Those whose licence is "none" are measured on and never fitted on
    sd21/     portraits of Stable Diffusion 2.1, and sd21.csv: measured on, never fitted on

`ratings.csv` holds the ratings of the first three, by a vision-language model, not by people: two sittings
for each face, on sheets with the six swatches of ita6 above, in half steps from 1 (very light) to 6.5, asked
which number matches the skin as a careful observer would name it in ordinary neutral light, discounting
gloss, deep shadow, make-up, beard and coloured light. Two sittings agree at a rank correlation of .95 in each
set. They were held against the given medians on faces that both had: 58 of `others` and of the photographs
for the first two sets (.96; .14 darker); for the third, 59 of `others` and `sd21`, mixed in unmarked (.93 on
`sd21`, .98 on `others`; .33 and .12 lighter). Each set is moved by a part of that difference (`_MOVED`).

Figures of t2i/ from which `others` has pictures are left out, and pictures that occur in them. Two fifths of
the other figures are kept aside (`KEPT_ASIDE`): nothing was fitted on them. docs/reader.md says what
their figures were looked at for.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image

from skin_tone.picture import RGB

_RATINGS = Path(__file__).with_name("ratings.csv")
_MOVED = {"sfhq": -0.07, "london": -0.07, "t2i": 0.22}
"""Classes that a set's ratings are moved by, towards those of the given sets."""
KEPT_ASIDE = "SFHQ-T2I, kept aside"
"""Generator of the faces that serve for measuring alone."""
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
    generators = {"sfhq": "StyleGAN2", "london": "photograph", "t2i": "SFHQ-T2I"}
    with _RATINGS.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            sides = [row[side] for side in ("left", "top", "right", "bottom")]
            left, top, right, bottom = (int(side or 0) for side in sides)
            aside = row["source"] == "t2i" and crc32(row["file"].encode()) % 5 < 2
            yield RatedFace(
                name=f"{row['source']}/{row['file']}" + (f"/{left}-{top}" if sides[0] else ""),
                generator=KEPT_ASIDE if aside else generators[row["source"]],
                tone=(float(row["rating_1"]) + float(row["rating_2"])) / 2 + _MOVED[row["source"]],
                kind="n",
                fit=not aside,
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
