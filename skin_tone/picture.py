"""Any picture that a caller may hand over -> one form: a uint8 RGB array."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

RGB = NDArray[np.uint8]
"""H x W x 3, sRGB, 0-255."""

# Pillow modes whose conversion to 8-bit RGB keeps the colours as they are seen.
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}


class PictureError(ValueError):
    """The picture handed over cannot be read; the message says why and how to mend it."""


def as_rgb(image: Image.Image | NDArray[np.uint8]) -> RGB:
    """Return ``image`` as a contiguous H x W x 3 uint8 sRGB array, EXIF rotation applied.

    Raises:
        PictureError: an array that is not uint8 H x W x 3, or a Pillow picture of more than 8 bits a channel.
    """
    if isinstance(image, Image.Image):
        if image.mode not in _MODES:
            raise PictureError(
                f"pictures of Pillow mode {image.mode!r} are not read: convert it to 8-bit RGB first"
            )
        upright = ImageOps.exif_transpose(image)
        return np.ascontiguousarray(upright.convert("RGB"), dtype=np.uint8)
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise PictureError(
            f"an array of {array.dtype} is not read: scale it to 0-255 and convert it to uint8"
        )
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise PictureError(f"an array of shape {array.shape} is not read: give height x width x 3 (RGB)")
    return np.ascontiguousarray(array)
