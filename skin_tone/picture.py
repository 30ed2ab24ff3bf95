"""Any picture that a caller may hand over -> one form: a uint8 RGB array."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

RGB = NDArray[np.uint8]
"""H x W x 3, sRGB, 0-255."""

# Pillow modes whose conversion to 8-bit RGB keeps the colours as they are seen.
_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}
_SIXTEEN_BITS = {"I;16", "I;16L", "I;16B", "I;16N"}


class PictureError(ValueError):
    """The picture handed over cannot be read; the message says why and how to mend it."""


def flatten(image: Image.Image) -> Image.Image:
    """Any Pillow picture -> mode RGB: 16-bit grey is brought to 8 bits, what is transparent is laid on white.

    Raises:
        PictureError: floating-point and 32-bit pictures, whose white is anybody's guess.
    """
    if image.mode in _SIXTEEN_BITS:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode not in _MODES:
        raise PictureError(
            f"pictures of Pillow mode {image.mode!r} are not read: convert it to 8-bit RGB first"
        )
    if image.mode in _ALPHA or "transparency" in image.info:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, (255, 255, 255, 255)), clear).convert(
            "RGB"
        )
    return image if image.mode == "RGB" else image.convert("RGB")


def as_rgb(image: Image.Image | NDArray[np.uint8]) -> RGB:
    """Return ``image`` as a contiguous H x W x 3 uint8 sRGB array, EXIF rotation applied.

    Raises:
        PictureError: an array that is not uint8 H x W x 3, or a Pillow picture of floats or 32-bit integers.
    """
    if isinstance(image, Image.Image):
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
        upright = ImageOps.exif_transpose(image) if turned else image  # which copies even what is upright
        return np.ascontiguousarray(flatten(upright), dtype=np.uint8)
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise PictureError(
            f"an array of {array.dtype} is not read: scale it to 0-255 and convert it to uint8"
        )
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise PictureError(f"an array of shape {array.shape} is not read: give height x width x 3 (RGB)")
    return np.ascontiguousarray(array)
