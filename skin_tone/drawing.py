"""A picture that shows what was read from each face: box, patches, colours, class probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.color import lab2rgb

from .abstain import REASONS
from .colour import Lab
from .picture import as_rgb
from .reader import ToneReading
from .scales import SCALES

_PANEL = (360, 300)  # width and height of the part beside a face, pixels
_FACE_SIDE = 300
_INK, _PAPER, _GRID = (26, 26, 26), (252, 251, 249), (214, 210, 204)
_USED, _SKIPPED = (255, 255, 255), (255, 96, 64)


def draw_readings(image: Image.Image | NDArray[np.uint8], readings: Sequence[ToneReading]) -> Image.Image:
    """One row per face: the face with its patches, and what was read from it.

    Args:
        image: the picture that was read. readings: what `SkinToneReader.read` gave for it.

    Returns:
        An RGB picture, 660 pixels wide, 300 pixels tall per face.
    """
    rgb = as_rgb(image)
    rows = [_row(rgb, reading, number) for number, reading in enumerate(readings, start=1)]
    sheet = Image.new("RGB", (_FACE_SIDE + _PANEL[0], _PANEL[1] * len(rows)), _PAPER)
    for number, row in enumerate(rows):
        sheet.paste(row, (0, number * _PANEL[1]))
    return sheet


def _row(rgb: NDArray[np.uint8], reading: ToneReading, number: int) -> Image.Image:
    row = Image.new("RGB", (_FACE_SIDE + _PANEL[0], _PANEL[1]), _PAPER)
    row.paste(_face(rgb, reading), (0, 0))
    pen = ImageDraw.Draw(row)
    left = _FACE_SIDE + 16
    if reading.abstained is not None or reading.lab is None or reading.seen is None:
        pen.text((left, 12), f"Face {number}: not read", _INK, _font(18))
        pen.text((left, 42), REASONS.get(str(reading.abstained), str(reading.abstained)), _INK, _font(14))
        return row
    best = SCALES["ita6"].labels[reading.classes["ita6"]]
    pen.text((left, 10), f"Face {number}: {best}", _INK, _font(18))
    pen.text(
        (left, 36), f"ITA {reading.ita:z.0f}° ± {reading.ita_sigma:.0f}° (as seen {reading.ita_seen:z.0f}°)",
        _INK, _font(13),
    )  # fmt: skip
    for x, title, lab in ((left, "as seen", reading.seen), (left + 108, "estimated", reading.lab)):
        pen.rectangle((x, 60, x + 96, 92), fill=_rgb(lab), outline=_GRID)
        pen.text((x, 95), title, _INK, _font(12))
    _bars(pen, left, 120, reading)
    return row


def _bars(pen: ImageDraw.ImageDraw, left: int, top: int, reading: ToneReading) -> None:
    """The probabilities of ita6, a bar per class, and the class on the other scales."""
    scale = SCALES["ita6"]
    for k, key in enumerate(scale.classes):
        y, share = top + 22 * k, reading.probabilities["ita6"][key]
        pen.rectangle((left, y + 3, left + 12, y + 15), fill=scale.swatches[key], outline=_GRID)
        pen.text((left + 20, y), scale.labels[key], _INK, _font(13))
        pen.rectangle((left + 120, y + 4, left + 270, y + 14), outline=_GRID)
        pen.rectangle((left + 120, y + 4, left + 120 + round(150 * share), y + 14), fill=(70, 70, 70))
        pen.text((left + 278, y), f"{share:.0%}", _INK, _font(13))
    others = "   ".join(
        f"{name}: {SCALES[name].labels[reading.classes[name]]}" for name in SCALES if name != "ita6"
    )
    pen.text((left, top + 22 * len(scale.classes) + 8), others, _INK, _font(13))


def _face(rgb: NDArray[np.uint8], reading: ToneReading) -> Image.Image:
    """The face, cut out, with its patches: used ones outlined in white, skipped ones in orange."""
    picture = Image.fromarray(rgb)
    if reading.box is None:
        x0, y0, side = 0, 0, max(picture.size)
    else:
        bx0, by0, bx1, by1 = reading.box
        side = round(1.3 * max(bx1 - bx0, by1 - by0))
        x0, y0 = (bx0 + bx1 - side) // 2, (by0 + by1 - side) // 2
    cut = picture.crop((x0, y0, x0 + side, y0 + side)).resize((_FACE_SIDE, _FACE_SIDE))
    pen = ImageDraw.Draw(cut)
    factor = _FACE_SIDE / side
    if reading.box is not None:
        a, b, c, d = ((v - o) * factor for v, o in zip(reading.box, (x0, y0, x0, y0), strict=True))
        pen.rectangle((a, b, c, d), outline=_USED)
    for name, corners in reading.outlines.items():
        colour = _SKIPPED if name in reading.skipped else _USED
        pen.polygon([((x - x0) * factor, (y - y0) * factor) for x, y in corners], outline=colour)
    return cut


def _rgb(lab: Lab) -> tuple[int, int, int]:
    r, g, b = np.clip(lab2rgb(np.asarray(lab)) * 255 + 0.5, 0, 255).astype(int)
    return int(r), int(g), int(b)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
