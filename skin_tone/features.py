"""What is measured around a face to tell skin from light: skin, and the things whose colour is known.

Skin alone cannot tell a dark tone in good light from a light one in bad. Eye whites, teeth, brows, pupils and
lips share the light of the cheeks next to them, and differ less between people than skin does; clothes, walls
and the brightest things in view say how the camera was set. Everything is a logarithm of linear light, so
that exposure and white balance, which multiply, are sums here. No feature is a rule about the colour of skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .colour import LUMINANCE, srgb_to_linear
from .faces import Face
from .picture import RGB
from .polygons import pixels_inside
from .regions import BROWS, EYES, INNER_MOUTH, LIPS, POLYGONS

FACE_SIDE = 224
"""Faces taller than this many pixels are scaled down to it before they are measured."""
_SCENE_SIDE = 64  # the whole picture is looked at no larger than this
_DARKEST = 1 / 512  # linear light; darker than 8-bit pictures tell apart

_PATCHES = tuple(POLYGONS)
_COLOUR = ("y", "rg", "bg")  # log luminance, log R/G, log B/G
NAMES: tuple[str, ...] = (
    *(f"skin_{c}" for c in _COLOUR),
    *(f"{p}_y" for p in _PATCHES),
    *(f"{p}_rg" for p in _PATCHES),
    *(f"{p}_there" for p in _PATCHES),
    "skin_gloss",
    "skin_shade",
    "skin_spread",
    *(f"eye_white_{c}" for c in _COLOUR),
    "eye_whites_differ",
    "pupil_y",
    "eye_opening",
    *(f"brow_{c}" for c in _COLOUR),
    *(f"lips_{c}" for c in _COLOUR),
    *(f"teeth_{c}" for c in _COLOUR),
    *(f"scene_y{q}" for q in (5, 25, 50, 75, 95, 99)),
    *(f"scene_mean_{c}" for c in _COLOUR),
    *(f"scene_bright_{c}" for c in _COLOUR),
    *(f"scene_edges_{c}" for c in _COLOUR[1:]),
    "scene_clipped",
    *(f"border_{c}" for c in _COLOUR),
    "border_spread",
    *(f"clothes_{c}" for c in _COLOUR),
    "face_height",
    "sharpness",
)
"""Names of the features, in order."""


@dataclass(frozen=True, eq=False)
class FaceView:
    """One face cut out of its picture, at most `FACE_SIDE` pixels tall, with room around it.

    Attributes:
        rgb: h x w x 3, uint8 sRGB.
        landmarks: (468, 2) x, y in pixels of ``rgb``.
    """

    rgb: RGB
    landmarks: NDArray[np.float64]

    @property
    def height(self) -> float:
        """Of the face, in pixels of ``rgb``."""
        return float(np.linalg.norm(self.landmarks[152] - self.landmarks[10]))


def cut_out(rgb: RGB, face: Face) -> FaceView:
    """The face with 15 % of its height around its box."""
    height, width = rgb.shape[:2]
    margin = round(0.15 * face.height) + 2
    x0, y0 = max(0, face.box[0] - margin), max(0, face.box[1] - margin)
    x1, y1 = min(width, face.box[2] + margin), min(height, face.box[3] + margin)
    piece = rgb[y0:y1, x0:x1]
    landmarks = face.landmarks - (x0, y0)
    scale = min(1.0, FACE_SIDE / face.height)
    if scale < 1:
        size = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
        # Pillow takes ten times as long for an array with gaps between its rows.
        whole = Image.fromarray(np.ascontiguousarray(piece))
        piece = np.asarray(whole.resize(size, Image.Resampling.BOX))
        landmarks = landmarks * (size[0] / (x1 - x0), size[1] / (y1 - y0))
    return FaceView(piece, landmarks)


def measure(
    rgb: RGB, face: Face, view: FaceView, patches: dict[str, NDArray[np.uint8]]
) -> NDArray[np.float64]:
    """The features of one face, in the order of `NAMES`; finite.

    Args:
        rgb: the whole picture. face, view: the face in it. patches: patch -> its unclipped pixels (n, 3),
            sRGB; patches that are not used are absent; at least one is there.
    """
    patch_light = {name: _log(srgb_to_linear(values)) for name, values in patches.items()}
    centres = {name: np.median(values, axis=0) for name, values in patch_light.items()}
    skin = np.median(np.stack(list(centres.values())), axis=0)
    everything = np.concatenate(list(patch_light.values()))[:, 0] - skin[0]
    row: list[float] = [*skin]
    row += [float(centres[p][0] - skin[0]) if p in centres else 0.0 for p in _PATCHES]
    row += [float(centres[p][1] - skin[1]) if p in centres else 0.0 for p in _PATCHES]
    row += [float(p in centres) for p in _PATCHES]
    gloss, shade = np.percentile(everything, (95, 5))
    row += [float(gloss), float(shade), float(everything.std())]
    row += _eyes(view, skin)
    for corners, share in ((BROWS, 25), ((LIPS,), 50), ((INNER_MOUTH,), 92)):
        row += _part(view, corners, skin, share)
    row += _scene(rgb, face)
    row += [float(np.log(face.height)), _sharpness(view.rgb)]
    return np.asarray(row, dtype=np.float64)


def _log(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 3) linear light -> log luminance, log R/G, log B/G."""
    floored = np.maximum(light, _DARKEST)
    logs = np.log(floored)
    y = np.log(floored @ LUMINANCE)
    return np.stack([y, logs[..., 0] - logs[..., 1], logs[..., 2] - logs[..., 1]], axis=-1)


def _inside(view: FaceView, corners: tuple[int, ...]) -> NDArray[np.float64]:
    """Linear light of the pixels (n, 3) in a polygon between landmarks."""
    height, width = view.rgb.shape[:2]
    return srgb_to_linear(view.rgb[pixels_inside(view.landmarks[list(corners)], (height, width))])


def _eyes(view: FaceView, skin: NDArray[np.float64]) -> list[float]:
    """Eye whites against skin, how far the two differ, the pupils, and how many pixels the eyes are open."""
    whites, pupils, openings = [], [], []
    for corners in EYES:
        values = _inside(view, corners)
        points = view.landmarks[list(corners)]
        openings.append(float(np.ptp(points[:, 1])))
        if len(values) < 6:
            continue
        logs = _log(values)
        # The brightest third, less the very brightest: glints on the cornea are the lamp, not the eye.
        low, high = np.percentile(logs[:, 0], (66, 95))
        whites.append(np.median(logs[(logs[:, 0] >= low) & (logs[:, 0] <= high)], axis=0))
        pupils.append(float(np.percentile(logs[:, 0], 4)))
    opening = float(np.log(max(0.5, max(openings))))
    if not whites:
        return [0.0, 0.0, 0.0, 0.0, 0.0, opening]
    white = np.mean(np.stack(whites), axis=0)
    differ = float(abs(whites[0][0] - whites[-1][0]))
    return [*(white - skin), differ, min(pupils) - float(skin[0]), opening]


def _part(
    view: FaceView, polygons: tuple[tuple[int, ...], ...], skin: NDArray[np.float64], share: float
) -> list[float]:
    """Colour of a part of the face against skin, at the ``share``-th percentile of its luminance."""
    logs = _log(np.concatenate([_inside(view, corners) for corners in polygons]))
    if len(logs) < 4:
        return [0.0, 0.0, 0.0]
    level = float(np.percentile(logs[:, 0], share))
    near = logs[np.argsort(np.abs(logs[:, 0] - level))[: max(3, len(logs) // 4)]]
    return [level - float(skin[0]), *(float(v) for v in np.median(near[:, 1:], axis=0) - skin[1:])]


def _scene(rgb: RGB, face: Face) -> list[float]:
    """The picture without this face: how bright, of which cast, how plain; its border; the clothes."""
    height, width = rgb.shape[:2]
    factor = min(1.0, _SCENE_SIDE / max(height, width))
    size = (max(4, round(width * factor)), max(4, round(height * factor)))
    step = max(1, max(height, width) // (2 * _SCENE_SIDE))
    small = np.asarray(
        Image.fromarray(np.ascontiguousarray(rgb[::step, ::step])).resize(size, Image.Resampling.BOX)
    )
    light = srgb_to_linear(small)
    logs = _log(light)
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    fx, fy = size[0] / width, size[1] / height
    x0, y0, x1, y1 = face.box
    centre = ((x0 + x1) / 2 * fx, (y0 + y1) / 2 * fy)
    radii = (max(1.0, 0.65 * (x1 - x0) * fx), max(1.0, 0.65 * (y1 - y0) * fy))
    outside = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 > 1
    rest = logs[outside] if outside.sum() >= 16 else logs.reshape(-1, 3)
    row = [float(v) for v in np.percentile(rest[:, 0], (5, 25, 50, 75, 95, 99))]
    shown = light[outside] if outside.sum() >= 16 else light.reshape(-1, 3)
    row += [float(v) for v in _log(shown.mean(axis=0))]
    bright = np.argsort(rest[:, 0])[-max(4, len(rest) // 12) :]
    row += [float(v) for v in np.median(rest[bright], axis=0)]
    edges = np.abs(np.diff(light, axis=0)).mean(axis=(0, 1)) + np.abs(np.diff(light, axis=1)).mean(
        axis=(0, 1)
    )
    edges = np.maximum(edges, 1e-4)  # grey edge (van de Weijer et al. 2007)
    row += [float(np.log(edges[0] / edges[1])), float(np.log(edges[2] / edges[1]))]
    row.append(float((small.max(axis=-1) >= 250).mean()))
    rim = max(1, size[0] // 20)
    upper = logs[: size[1] * 2 // 3]
    border = np.concatenate([upper[:, :rim], upper[:, -rim:]], axis=1).reshape(-1, 3)
    row += [float(v) for v in np.median(border, axis=0)]
    row.append(float(border[:, 0].std()))
    below = logs[min(size[1] - 2, int(min(height, y1 + 0.25 * (y1 - y0)) * fy)) :].reshape(-1, 3)
    row += [float(np.percentile(below[:, 0], 90)), *(float(v) for v in np.median(below[:, 1:], axis=0))]
    return row


def _sharpness(rgb: RGB) -> float:
    """Log of the share of fine detail in the face: neighbours' differences against the whole spread."""
    light = srgb_to_linear(rgb[::2])  # every second row tells as much
    y = np.log(np.maximum(light @ LUMINANCE, _DARKEST))
    fine = np.abs(np.diff(y, axis=1)).mean()
    return float(np.log((fine + 1e-4) / (y.std() + 1e-3)))
