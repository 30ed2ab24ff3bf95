"""Reads the skin tones of pictures that any generator made, and holds them against a declared target."""

from __future__ import annotations

import math
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairgen.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

    from fairgen.report.view import Figures
    from fairgen.spec import FairnessSpec
    from skin_tone import SkinToneReader

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm"})
"""Endings by which pictures are found in a folder; a file that is named outright is tried whatever its
ending.
"""

MAX_PIXELS = 50_000_000
MAX_BYTES = 200_000_000
READ_AT = 2048
"""Longest side in pixels at which a picture is read; larger ones are scaled down first."""


class UnreadablePictureError(Exception):
    """This file cannot be read as a picture; the message says why in a few words."""


@dataclass(frozen=True)
class PictureResult:
    """One file: its readings as JSON (largest face first), or the reason why it could not be opened."""

    file: Path
    readings: tuple[dict[str, Any], ...] = ()
    measured: str | None = None
    abstained: str | None = None
    unreadable: str | None = None


@dataclass(frozen=True)
class Verification:
    """All files of one call, and the spec that they are held against."""

    spec: FairnessSpec
    results: tuple[PictureResult, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Class -> pictures whose largest face shows it; classes light to dark, zeros included."""
        counted = Counter(r.measured for r in self.results if r.measured is not None)
        return {key: counted[key] for key in self.spec.target}

    @property
    def abstentions(self) -> dict[str, int]:
        """Reason code -> pictures."""
        return dict(Counter(r.abstained for r in self.results if r.abstained is not None).most_common())

    @property
    def unreadable(self) -> tuple[PictureResult, ...]:
        """Files that could not be opened."""
        return tuple(r for r in self.results if r.unreadable is not None)

    def figures(self) -> Figures | None:
        """Distances and tests of the counted pictures; None where there is none."""
        from fairgen.report.numbers import arm_figures

        read = [r.readings[0]["probabilities"][self.spec.scale] for r in self.results if r.measured]
        return arm_figures(self.counts, self.spec.target, read, independent=True)

    def to_json(self) -> dict[str, Any]:
        """The object that ``fairgen verify --json`` prints (design section 7; null where a key has no
        meaning here).
        """
        from fairgen.report.numbers import intervals

        counts = self.counts
        figures = self.figures()
        return {
            "prompt": None,
            "model": None,
            "spec": self.spec.name,
            "spec_hash": self.spec.content_hash(),
            "scale": self.spec.scale,
            "classes": list(self.spec.target),
            "target": dict(self.spec.target),
            "requested": None,
            "first_pass": None,
            "measured": counts,
            "count": sum(counts.values()),
            "files": len(self.results),
            "abstained": sum(self.abstentions.values()),
            "abstentions": self.abstentions,
            "discarded": 0,
            "unreadable": {str(r.file): r.unreadable for r in self.unreadable},
            "several_faces": sum(
                1 for r in self.results if sum(x.get("box") is not None for x in r.readings) > 1
            ),
            "tv": figures.tv if figures else None,
            "alignment_error": figures.alignment_error if figures else None,
            "fd": figures.fd if figures else None,
            "kl": figures.kl if figures and math.isfinite(figures.kl) else None,
            "noise_floor_tv": figures.floor_tv if figures else None,
            "p_value": figures.p_value if figures else None,
            "p_meets_within_0.1": figures.p_meets if figures else None,
            "tv_reading_error": list(figures.tv_read) if figures else None,
            "intervals": {key: list(pair) for key, pair in intervals(counts).items()} if figures else None,
        }


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """Files and folders (searched all the way down, hidden entries left out) -> picture files, each once.

    Raises `UserError` where a path does not exist, cannot be listed, or nothing is found at all.
    """
    found: dict[Path, None] = {}
    asked = list(paths)
    for path in asked:
        if path.is_dir():
            for file in _walk(path):
                found.setdefault(file)
        elif path.is_file():
            found.setdefault(path)
        else:
            raise UserError(
                f"{path} does not exist (or is no file or folder): name pictures, or folders that hold some."
            )
    if not found:
        raise UserError(
            f"No pictures in {', '.join(map(str, asked))}: fairgen looks for {', '.join(sorted(SUFFIXES))}."
        )
    return list(found)


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise UserError(
            f"{error.filename} cannot be listed ({error.strerror}): mend its permissions."
        ) from error

    for where, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(where) / name


def open_picture(path: Path) -> Image.Image:
    """A file -> a loaded picture of at most `READ_AT` pixels on its longer side, upright.

    Bounded: files over `MAX_BYTES` and pictures over `MAX_PIXELS` are refused before their pixels are
    decoded. Raises `UnreadablePictureError`.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadablePictureError(f"the file is larger than {MAX_BYTES // 1_000_000} MB")
        with warnings.catch_warnings():
            # Pillow warns from 89 million pixels on and raises at twice that; our own bound is lower than
            # both.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnreadablePictureError(
                        f"{image.width}×{image.height} pixels are more than the {MAX_PIXELS // 1_000_000} "
                        f"million that are read"
                    )
                image.draft("RGB", (READ_AT, READ_AT))
                image.load()
                upright = ImageOps.exif_transpose(image)
    except Image.DecompressionBombError:
        raise UnreadablePictureError(
            f"it has more than the {MAX_PIXELS // 1_000_000} million pixels that are read"
        ) from None
    except UnidentifiedImageError:
        raise UnreadablePictureError("it is no picture, or a broken one") from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        TypeError,
        KeyError,
        OverflowError,
    ) as error:
        # Pillow's decoders answer broken files with any of these.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadablePictureError(
            f"it is broken or cut short ({' '.join(reason.split())[:120]})"
        ) from error
    upright.thumbnail((READ_AT, READ_AT), Image.Resampling.BOX)
    return upright


def verify_pictures(
    files: Iterable[Path], spec: FairnessSpec, reader: SkinToneReader
) -> Iterator[PictureResult]:
    """Read each file and yield its result, in order; a broken file is a result, not an error."""
    from skin_tone import PictureError

    for file in files:
        try:
            readings = reader.read(open_picture(file))
        except UnreadablePictureError as error:
            yield PictureResult(file, unreadable=str(error))
            continue
        except PictureError as error:
            yield PictureResult(file, unreadable=str(error))
            continue
        first = readings[0]
        yield PictureResult(
            file,
            readings=tuple(r.model_dump(mode="json") for r in readings),
            measured=first.classes.get(spec.scale),
            abstained=first.abstained,
        )
