"""RGB colour profiles (ICC.1:2001, matrix and gamma), made from primaries; and pictures stored in their
spaces.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from skin_tone.colour import srgb_to_linear

# Linear RGB -> XYZ under D50 (adapted by Bradford), as such profiles hold them: columns are red, green, blue.
SPACES: dict[str, tuple[tuple[tuple[float, float, float], ...], float]] = {
    "Adobe RGB (1998)": (
        ((0.60974, 0.20528, 0.14919), (0.31111, 0.62567, 0.06322), (0.01947, 0.06087, 0.74457)), 2.19921875,
    ),
    "Display P3": (
        ((0.51512, 0.29198, 0.15710), (0.24120, 0.69225, 0.06657), (-0.00105, 0.04189, 0.78407)), 2.2,
    ),
    "ProPhoto RGB": (
        ((0.79767, 0.13519, 0.03135), (0.28804, 0.71188, 0.00009), (0.0, 0.0, 0.82491)), 1.8,
    ),
}  # fmt: skip
_SRGB_D50 = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])


def profile(name: str) -> bytes:
    """The profile of one of `SPACES`."""
    matrix, gamma = SPACES[name]
    tags = {b"desc": _description(name), b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz((0.9642, 1.0, 0.8249))}
    for column, channel in enumerate((b"r", b"g", b"b")):
        tags[channel + b"XYZ"] = _xyz(tuple(row[column] for row in matrix))
        tags[channel + b"TRC"] = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        data += bytes(-len(data) % 4)
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data
    header = bytearray(128)
    header[0:4] = struct.pack(">I", start + len(body))
    header[8:12] = b"\x02\x20\0\0"
    header[12:24] = b"mntrRGB XYZ "
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">3i", *(round(v * 65536) for v in (0.9642, 1.0, 0.8249)))
    return bytes(header) + table + body


def stored_in(rgb: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """The colours of an sRGB picture as that space stores them, uint8."""
    matrix, gamma = SPACES[name]
    light = srgb_to_linear(rgb) @ (np.linalg.inv(np.array(matrix)) @ _SRGB_D50).T
    return np.asarray(np.clip(light, 0, 1) ** (1 / gamma) * 255 + 0.5, dtype=np.uint8)


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def _description(name: str) -> bytes:
    text = name.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
