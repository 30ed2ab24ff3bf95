"""Picture files of any kind -> loaded pictures, bounded in size; and the pictures of a folder."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from .picture import PictureError, flatten

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".avif"})
"""Endings by which pictures are found in a folder; a file that is named outright is tried whatever its
ending.
"""

MAX_PIXELS = 50_000_000
MAX_BYTES = 200_000_000
READ_AT = 4096
"""Longest side in pixels at which a picture is read; larger ones are scaled down first."""

# Pillow's decoders answer broken files with any of these.
_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, KeyError, OverflowError, RuntimeError,
    struct.error,
)  # fmt: skip


def open_picture(path: Path) -> Image.Image:
    """A file -> a loaded picture in mode RGB, of at most `READ_AT` pixels on its longer side, upright.

    The first frame of an animation; 16-bit grey is brought to 8 bits; what is transparent is laid on white.
    Files over `MAX_BYTES` and pictures over `MAX_PIXELS` are refused before their pixels are decoded.

    Raises:
        PictureError: the file cannot be read as a picture; the message says why in a few words.
    """
    try:
        if path.is_dir():
            raise PictureError("it is a folder")
        if path.exists() and not path.is_file():
            raise PictureError("it is a pipe, a socket or a device")  # to open it may wait for ever
        if path.stat().st_size > MAX_BYTES:
            raise PictureError(f"the file is larger than {MAX_BYTES // 1_000_000} MB")
        with warnings.catch_warnings():
            # Pillow warns from 89 million pixels on and raises at twice that; our own bound is lower than
            # both.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise PictureError(
                        f"{image.width}×{image.height} pixels are more than the {MAX_PIXELS // 1_000_000} "
                        f"million that are read"
                    )
                image.draft("RGB", (READ_AT, READ_AT))
                image.load()
                upright = flatten(ImageOps.exif_transpose(image))
        upright.thumbnail((READ_AT, READ_AT), Image.Resampling.BOX)
        return upright
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise PictureError(
            f"it has more than the {MAX_PIXELS // 1_000_000} million pixels that are read"
        ) from None
    except UnidentifiedImageError:
        if path.suffix.lower() in (".heic", ".heif"):
            raise PictureError("HEIC is not read: save it as JPEG or PNG") from None
        raise PictureError("it is no picture, or a broken one") from None
    except _BROKEN as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise PictureError(f"it is broken or cut short ({' '.join(reason.split())[:120]})") from error


def pictures_in(folder: Path) -> Iterator[Path]:
    """Picture files of a folder and the folders in it, sorted; hidden entries are left out.

    Raises OSError where a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise error

    for where, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(where) / name
