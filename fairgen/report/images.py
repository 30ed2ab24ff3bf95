"""Pictures inside a page: small files as they are, larger ones as marked thumbnails, all as data URIs."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from fairgen.provenance.block import TRAINED_ALGORITHMIC_MEDIA

__all__ = ["MISSING", "SYNTHETIC_XMP", "THUMBNAIL", "embedded", "inside", "uri_of"]

THUMBNAIL = 384
"""Longest side of an embedded picture, in pixels."""

_BYTES_AS_THEY_ARE = 64 * 1024
_LONGEST_XMP = 16 * 1024
"""Bytes: longer XMP would outweigh the thumbnail, and a JPEG holds 65,502 at most."""
_NOT_SAVED = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">'
    '<rect width="128" height="128" fill="#999"/>'
    '<text x="64" y="68" font-family="sans-serif" font-size="13" text-anchor="middle" fill="#fff">'
    "not saved</text></svg>"
)
MISSING = "data:image/svg+xml;base64," + base64.b64encode(_NOT_SAVED.encode()).decode()
"""Stands for a picture that cannot be shown."""

SYNTHETIC_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    f'e:DigitalSourceType="{TRAINED_ALGORITHMIC_MEDIA}"/></rdf:RDF></x:xmpmeta>'
).encode()
"""XMP that says that a picture is synthetic, and nothing else."""


def inside(path: Path, root: Path) -> bool:
    """Whether a file lies under ``root`` once links and ``..`` are followed."""
    return path.resolve().is_relative_to(root.resolve())


def embedded(path: Path, pixels: Image.Image | None = None, side: int = THUMBNAIL) -> tuple[str, bytes]:
    """Media type and bytes of a picture for a page.

    A small PNG stays as it is, byte for byte, with the metadata that marks it as synthetic; anything else
    becomes a JPEG of at most ``side`` pixels that keeps the XMP of its source. XMP of more than 16 KiB is
    left out; where it says that the picture is synthetic, a short one that says so takes its place.

    Args:
        pixels: what the file shows, where it was decoded already.

    Raises:
        OSError, ValueError, PIL.Image.DecompressionBombError: it cannot be opened.
    """
    with Image.open(path) as image:
        if image.format == "PNG" and max(image.size) <= side and path.stat().st_size <= _BYTES_AS_THEY_ARE:
            return "image/png", path.read_bytes()
        xmp = _short(image.info.get("xmp") or image.info.get("XML:com.adobe.xmp"))
        small = (image if pixels is None else pixels).convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=88, optimize=True, **({} if xmp is None else {"xmp": xmp}))
    return "image/jpeg", buffer.getvalue()


def _short(xmp: object) -> bytes | None:
    """XMP as a thumbnail may carry it."""
    if isinstance(xmp, str):
        xmp = xmp.encode(errors="replace")
    if not isinstance(xmp, bytes) or len(xmp) <= _LONGEST_XMP:
        return xmp if isinstance(xmp, bytes) else None
    return SYNTHETIC_XMP if TRAINED_ALGORITHMIC_MEDIA.encode() in xmp else None


def uri_of(kind: str, data: bytes) -> str:
    """The ``data:`` URI of bytes of that media type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
