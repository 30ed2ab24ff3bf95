"""Pictures of an audit inside its page: WebP thumbnails, as large as the page's size limit allows."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from fairgen.provenance.block import TRAINED_ALGORITHMIC_MEDIA
from fairgen.report.images import MISSING, inside

Pictures = Literal["all", "thin", "none"]
"""all: every picture; thin: the first `THIN_PLACES` places of every set, nothing that was discarded; none."""

THIN_PLACES = 6
LIMIT_MB: dict[Pictures, float] = {"all": 25.0, "thin": 3.0, "none": 25.0}
"""Largest page, in megabytes (1,000,000 bytes), unless the user gives another."""

_STEPS = ((160, 80), (128, 78), (112, 76), (96, 74), (80, 70), (64, 66), (48, 60))
_SAMPLE = 32
_MARGIN = 1.08
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'e:DigitalSourceType="{TRAINED_ALGORITHMIC_MEDIA}"/></rdf:RDF></x:xmpmeta>'
).encode()


@dataclass(frozen=True)
class Size:
    """Longest side in pixels, and WebP's quality (0-100)."""

    side: int
    quality: int


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


def thumbnail(path: Path | None, root: Path, size: Size) -> str:
    """``data:`` URI of a WebP that carries the mark of a synthetic picture, and nothing else.

    A picture that is smaller stays as large as it is. A file that is gone, cannot be opened, or lies outside
    ``root`` becomes a grey square that says "not saved".
    """
    if path is None or not inside(path, root):
        return MISSING
    try:
        with Image.open(path) as image:
            image.draft("RGB", (2 * size.side, 2 * size.side))  # spares decoding a JPEG in full
            small = image.convert("RGB")
            small.thumbnail((size.side, size.side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    except (OSError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return MISSING
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=size.quality, method=4, xmp=_XMP)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def thumbnails(paths: Sequence[Path | None], root: Path, size: Size) -> list[str]:
    """`thumbnail` of each path, on all cores: decoding and encoding let other threads run."""
    with ThreadPoolExecutor(max_workers=min(16, os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda path: thumbnail(path, root, size), paths))


def choose(
    pictures: Pictures,
    places: int,
    shown: Sequence[Path | None],
    aside: Sequence[Path | None],
    root: Path,
    room: int,
) -> Choice:
    """The largest thumbnails that fit into ``room`` bytes; where none do, fewer places.

    Args:
        places: places of the largest set.
        shown: every picture of the sets, in order of places, so that a prefix is the first places.
        aside: pictures that were discarded or not read.
    """
    if pictures == "none" or not shown:
        return Choice(0, places, False, None)
    kept, with_aside = (places, True) if pictures == "all" else (min(places, THIN_PLACES), False)
    count = round(len(shown) * kept / places) + (len(aside) if with_aside else 0)
    for side, quality in _STEPS:
        size = Size(side, quality)
        if count * _mean_length(shown, root, size) * _MARGIN <= room:
            return Choice(kept, places, with_aside, size)
    size = Size(*_STEPS[-1])
    one_place = len(shown) / places * _mean_length(shown, root, size) * _MARGIN
    fitting = int(room / one_place)
    return Choice(min(kept, fitting), places, False, size) if fitting > 0 else Choice(0, places, False, None)


def _mean_length(paths: Sequence[Path | None], root: Path, size: Size) -> float:
    """Mean length of a data URI, from pictures spread evenly over the list."""
    step = max(1, len(paths) // _SAMPLE)
    lengths = [len(uri) for uri in thumbnails(paths[::step], root, size)]
    return sum(lengths) / len(lengths)
