"""What both readers read of the self-test's faces: the record that holds `skin_tone.identity.METHOD`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from skin_tone import SkinToneReader
from skin_tone.camera import Camera
from skin_tone.colour import srgb_to_linear
from skin_tone.reader import ToneReading
from skin_tone.second import SecondReader
from skin_tone.selftest import faces

_PLAIN = Camera(shoulder=0.97, noise=0.0)
_CAMERAS = (
    _PLAIN,
    replace(_PLAIN, stops=2 / 3),
    replace(_PLAIN, gains=(1.25, 1.0, 0.7)),
    replace(_PLAIN, quality=40),
)
"""As it is, overexposed, in warm light, and as a poor JPEG; by turns, one for each face."""

Row = list[float | str | None]


def readings() -> dict[str, list[Row]]:
    """Reader -> for each face: angle seen, angle estimated and its standard error (degrees of ITA), the class
    on ita6, and the reason for no answer.
    """
    pictures, _ = faces()
    shots = [
        _CAMERAS[k % len(_CAMERAS)].photograph(srgb_to_linear(picture), np.random.default_rng(k))
        for k, picture in enumerate(pictures)
    ]
    with SkinToneReader() as first, SecondReader() as second:
        return {
            "first": [_row(first.read(shot)[0]) for shot in shots],
            "second": [_row(second.read(shot)[0]) for shot in shots],
        }


def _row(reading: ToneReading) -> Row:
    angles = [reading.ita_seen, reading.ita, reading.ita_sigma]
    rounded: Row = [None if angle is None else round(angle, 2) for angle in angles]
    return [*rounded, reading.classes.get("ita6"), reading.abstained]
