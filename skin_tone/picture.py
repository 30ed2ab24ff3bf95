"""Any picture that a caller may hand over -> one form: a uint8 RGB array."""

from __future__ import annotations

import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps

from .place import Box

RGB = NDArray[np.uint8]
"""H x W x 3, sRGB, 0-255."""

# Pillow modes whose conversion to 8-bit RGB keeps the colours as they are seen.
_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}
_SIXTEEN_BITS = {"I;16", "I;16L", "I;16B", "I;16N"}
_REPEATED = 1.0
"""Mean difference, 0-255, up to which a line of pixels repeats another: JPEG changes even what is equal."""
_MOSTLY = 0.9


class PictureError(ValueError):
    """The picture handed over cannot be read; the message says why and how to mend it."""


class ColourProfileWarning(UserWarning):
    """A picture's embedded colour profile cannot be used; its colours are taken for sRGB."""


def flatten(image: Image.Image) -> Image.Image:
    """Any Pillow picture -> mode RGB in sRGB: an embedded colour profile (ICC.1) is honoured, 16-bit grey is
    brought to 8 bits, what is transparent is laid on white.

    Raises:
        PictureError: floating-point and 32-bit pictures, whose white is anybody's guess.
    """
    if image.mode in _SIXTEEN_BITS:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode not in _MODES:
        raise PictureError(
            f"pictures of Pillow mode {image.mode!r} are not read: convert it to 8-bit RGB first"
        )
    if image.info.get("icc_profile"):
        image = _in_srgb(image)
    if image.mode in _ALPHA or "transparency" in image.info:
        clear = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, (255, 255, 255, 255)), clear).convert(
            "RGB"
        )
    return image if image.mode == "RGB" else image.convert("RGB")


def _in_srgb(image: Image.Image) -> Image.Image:
    """A picture with an embedded profile -> its colours in sRGB, by relative colorimetric intent, without the
    profile.
    """
    plain = image.copy()
    profile = plain.info.pop("icc_profile")
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return plain
        # Palettes and alpha go through RGB; a profile of another kind of picture is an error below.
        opaque = plain if plain.mode in {"RGB", "CMYK", "L"} else plain.convert("RGB")
        target = ImageCms.createProfile("sRGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        found = ImageCms.profileToProfile(opaque, source, target, intent, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        warnings.warn(
            f"the picture's colour profile cannot be used ({error}): its colours are taken for sRGB",
            ColourProfileWarning,
            stacklevel=3,
        )
        return plain
    if found is None:  # only where it converts in place, which was not asked for
        return plain
    if plain.mode in _ALPHA:
        found.putalpha(plain.convert("RGBA").getchannel("A"))
    found.info.pop("icc_profile", None)
    return found


def resampled(rgb: RGB, turn: complex, shift: complex, size: tuple[int, int], step: int = 1) -> RGB:
    """The part of a picture that lies at ``turn`` g + ``shift`` for each place g = x + iy of a grid,
    bilinear.

    Beyond its edge a picture goes on with its nearest pixel: black there would pass for a dark surrounding.

    Args:
        rgb: H x W x 3, uint8.
        turn: scale and rotation, grid -> picture.
        shift: place of the grid's first cell, x + iy in pixels.
        size: width and height of the grid.
        step: whole factor by which the picture is reduced first, so that no pixel is passed over, >= 1.

    Returns:
        uint8, height x width x 3.
    """
    corners = np.array([turn * (x + 1j * y) + shift for x in (0, size[0]) for y in (0, size[1])])
    room = 2 * step
    x0, y0 = int(np.floor(corners.real.min())) - room, int(np.floor(corners.imag.min())) - room
    x0, y0 = x0 - x0 % step, y0 - y0 % step  # reduced in the same blocks wherever the part lies
    x1, y1 = int(np.ceil(corners.real.max())) + room, int(np.ceil(corners.imag.max())) + room
    height, width = rgb.shape[:2]
    columns, rows = np.clip(np.arange(x0, x1), 0, width - 1), np.clip(np.arange(y0, y1), 0, height - 1)
    inside = x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height
    # Columns, then rows: np.ix_ takes ten times as long.
    across = rgb[rows[0] : rows[-1] + 1]
    piece = rgb[y0:y1, x0:x1] if inside else across.take(columns, axis=1).take(rows - rows[0], axis=0)
    picture = Image.fromarray(np.ascontiguousarray(piece))
    if step > 1:
        picture = picture.reduce(step)
    a = turn / step
    b = (shift - complex(x0, y0) + 0.5 * (1 + 1j)) / step - 0.5 * (1 + 1j)
    inverse = (a.real, -a.imag, b.real, a.imag, a.real, b.imag)
    return np.asarray(picture.transform(size, Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR))


def copied(rgb: RGB) -> RGB:
    """A contiguous copy of a view of a picture that steps over columns or runs backwards: numpy copies such a
    one pixel by pixel, and its channels one by one in a quarter of the time.
    """
    copy = np.empty(rgb.shape, dtype=np.uint8)
    for channel in range(3):
        copy[..., channel] = rgb[..., channel]
    return copy


def bare_frame(rgb: RGB) -> Box:
    """Where the picture itself lies within what was put around it: plain bars, or its edge repeated, as
    letterboxes and wider canvases have them.

    Args:
        rgb: H x W x 3, uint8.

    Returns:
        x0, y0, x1, y1 in pixels; the whole picture where hardly anything else would be left.
    """
    height, width = rgb.shape[:2]
    left, right = _alike(rgb.swapaxes(0, 1)), _alike(rgb[:, ::-1].swapaxes(0, 1))
    top, bottom = _alike(rgb), _alike(rgb[::-1])
    if left + right > _MOSTLY * width or top + bottom > _MOSTLY * height:
        return 0, 0, width, height
    return left, top, width - right, height - bottom


def _alike(lines: RGB) -> int:
    """How many lines, from the first on, do nothing but repeat it; the last of them is the picture's own."""
    first = lines[0].astype(np.int16)
    for number, line in enumerate(lines):
        if np.abs(line - first).mean() > _REPEATED:
            return max(0, number - 1)
    return len(lines) - 1


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
