"""Pictures inside the page: small files as they are, larger ones as marked thumbnails, all as data URIs."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

THUMBNAIL = 384
"""Longest side of an embedded picture, in pixels."""

_BYTES_AS_THEY_ARE = 64 * 1024
_NOT_SAVED = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">'
    '<rect width="128" height="128" fill="#999"/>'
    '<text x="64" y="68" font-family="sans-serif" font-size="13" text-anchor="middle" fill="#fff">'
    "not saved</text></svg>"
)
MISSING = "data:image/svg+xml;base64," + base64.b64encode(_NOT_SAVED.encode()).decode()
"""Stands for a picture that cannot be shown."""


def inside(path: Path, root: Path) -> bool:
    """Whether a file lies under ``root`` once links and ``..`` are followed."""
    return path.resolve().is_relative_to(root.resolve())


def data_uri(path: Path | None, root: Path | None = None) -> str:
    """``data:`` URI of a picture file.

    A small PNG is embedded byte for byte (with the metadata that marks it as synthetic); anything else
    becomes a JPEG of at most `THUMBNAIL` pixels that keeps the XMP of its source. A file that is gone,
    cannot be opened, or lies outside ``root`` becomes a grey square that says "not saved": a run file is
    data, and must not make the report read other files.
    """
    if path is None or (root is not None and not inside(path, root)):
        return MISSING
    try:
        with Image.open(path) as image:
            if (
                image.format == "PNG"
                and max(image.size) <= THUMBNAIL
                and path.stat().st_size <= _BYTES_AS_THEY_ARE
            ):
                return _encode(path.read_bytes(), "image/png")
            xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
            small = image.convert("RGB")
            small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    except (OSError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return MISSING
    buffer = io.BytesIO()
    if isinstance(xmp, str):
        xmp = xmp.encode()
    if isinstance(xmp, bytes):
        small.save(buffer, "JPEG", quality=88, optimize=True, xmp=xmp)
    else:
        small.save(buffer, "JPEG", quality=88, optimize=True)
    return _encode(buffer.getvalue(), "image/jpeg")


def _encode(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
