"""Pictures of an audit inside its page: WebP thumbnails, as large as the page's size limit allows."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from fairgen.report.images import MISSING, SYNTHETIC_XMP, uri_of

Pictures = Literal["all", "thin", "none"]
"""all: every picture; thin: the first `THIN_PLACES` places of every set, nothing that was discarded; none."""

THIN_PLACES = 6
LIMIT_MB: dict[Pictures, float] = {"all": 25.0, "thin": 3.0, "none": 25.0}
"""Largest page, in megabytes (1,000,000 bytes), unless the user gives another."""

_SAMPLE = 32
_MARGIN = 1.08


@dataclass(frozen=True)
class Size:
    """Longest side in pixels, and WebP's quality (0-100)."""

    side: int
    quality: int


STEPS = tuple(
    Size(*step) for step in ((160, 80), (128, 78), (112, 76), (96, 74), (80, 70), (64, 66), (48, 60))
)
"""The sizes that a page may have its pictures in."""


@dataclass(frozen=True)
class Choice:
    """How many places of each set are shown, whether what was discarded is, and how large; None: hidden."""

    places: int
    of: int
    """Places of the largest set."""
    aside: bool
    size: Size | None

    @property
    def told(self) -> str:
        """The same in a sentence."""
        if self.size is None:
            return "The page holds no pictures."
        which = f"of the first {self.places} of {self.of} places of each set"
        if self.places >= self.of:
            which = "of every picture" if self.aside else "of every set, without what was discarded"
        return f"The page holds thumbnails {which}, at most {self.size.side} pixels wide."


def webp(image: Image.Image, size: Size) -> bytes:
    """A WebP that carries the mark of a synthetic picture, and nothing else; a picture that is smaller stays
    as large as it is.
    """
    small = image.convert("RGB")
    small.thumbnail((size.side, size.side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=size.quality, method=4, xmp=SYNTHETIC_XMP)
    return buffer.getvalue()


def thumbnail(path: Path, size: Size) -> str:
    """``data:`` URI of `webp` of a picture file; of one that is gone or cannot be opened, a grey square that
    says "not saved".
    """
    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * size.side, 2 * size.side))  # spares decoding a JPEG in full
            return uri_of("image/webp", webp(image, size))
    except (OSError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return MISSING


def choose(
    pictures: Pictures,
    places: int,
    shown: Sequence[str | None],
    aside: Sequence[str | None],
    length: Callable[[Sequence[str | None], Size], float],
    room: int,
) -> Choice:
    """The largest thumbnails that fit into ``room`` bytes; where none do, fewer places.

    Args:
        places: places of the largest set.
        shown: every picture of the sets, in order of places, so that a prefix is the first places.
        aside: pictures that were discarded or not read.
        length: the mean length of the URIs of these pictures in that size.
    """
    if pictures == "none" or not shown:
        return Choice(0, places, False, None)
    kept, with_aside = (places, True) if pictures == "all" else (min(places, THIN_PLACES), False)
    count = round(len(shown) * kept / places) + (len(aside) if with_aside else 0)
    step = max(1, len(shown) // _SAMPLE)
    sample = shown[: max(1, round(len(shown) * kept / places))][::step]
    for size in STEPS:
        if count * length(sample, size) * _MARGIN <= room:
            return Choice(kept, places, with_aside, size)
    size = STEPS[-1]
    one_place = len(shown) / places * length(sample, size) * _MARGIN
    fitting = int(room / one_place)
    return Choice(min(kept, fitting), places, False, size) if fitting > 0 else Choice(0, places, False, None)
