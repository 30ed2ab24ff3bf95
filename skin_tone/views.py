"""One face seen several times over, and what these views have in common.

A mesh shifts by a pixel or two with what lies around the face, and everything that is measured through it
shifts too. So the mesh is laid again and again on nothing but the face, with its edge repeated around it, and
as often on the mirror image; the numbers that are measured are averaged. A reading then hardly depends on how
a picture was cropped, or which way a face looks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .appearance import describe
from .faces import Face, FaceFinder
from .picture import RGB, bare_frame, copied
from .place import Box, Place
from .upright import Mask, upright_pixels, with_regions

_ROUNDS = 2
"""How often the mesh is laid anew before it counts: the first box is of a mesh that was laid with other
things around the face.
"""
_SQUARES = ((1.6, 0.04), (1.4, -0.04))
"""Room around the face, as a multiple of its longer side, and tilt in radians, of the squares on which the
mesh is laid.
"""


class View(NamedTuple):
    """A face on the upright grid, as `skin_tone.upright.upright_pixels` lays it.

    Attributes:
        pixels: `HEIGHT` x `WIDTH` x 3, uint8 sRGB.
        inside: which of them lie in the picture.
        landmarks: (468, 2) x, y on the grid.
        mirrored: whether it is of the mirror image.
    """

    pixels: RGB
    inside: Mask
    landmarks: NDArray[np.float64]
    mirrored: bool


_Meshes = tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]


def views(rgb: RGB, face: Face, finder: FaceFinder) -> list[View]:
    """The face on the upright grid, once for each square and once for its mirror image.

    Args:
        rgb: the picture, H x W x 3, uint8 sRGB.
        face: one of its faces.
        finder: lays the meshes.

    Returns:
        Up to four views; the face as it was found where no mesh can be laid again.
    """
    frame, place = bare_frame(rgb), Place.of(face.landmarks)
    for _ in range(_ROUNDS):
        box = _within(frame, place)
        if box is None:
            break
        both, here = _both_ways(rgb, box), place.moved(-box[0], -box[1])
        place = _settled(both, here, finder).moved(box[0], box[1])
    found: list[View] = []
    box = _within(frame, place)
    if box is not None:
        both, here = _both_ways(rgb, box), place.moved(-box[0], -box[1])
        for square in _SQUARES:
            pairs = zip(both, _meshes(both, here, finder, *square), (False, True), strict=True)
            found += [
                View(*upright_pixels(of, mesh), flipped) for of, mesh, flipped in pairs if mesh is not None
            ]
    return found or [as_found(rgb, face)]


def as_found(rgb: RGB, face: Face) -> View:
    """The face on the upright grid, by the mesh with which it was found."""
    return View(*upright_pixels(rgb, face.landmarks), mirrored=False)


def describe_views(seen: list[View]) -> NDArray[np.float64] | None:
    """The mean of the numbers of `skin_tone.appearance.NAMES` over views; None where none of them shows
    enough skin.
    """
    faces = (with_regions(view.pixels, view.inside, view.landmarks) for view in seen)
    numbers = [numbers for face in faces if (numbers := describe(face)) is not None]
    return np.mean(numbers, axis=0) if numbers else None


def _settled(both: tuple[RGB, RGB], place: Place, finder: FaceFinder) -> Place:
    """Where the face lies by meshes laid anew, on both sides alike; as before where none can be laid."""
    plain, mirrored = _meshes(both, place, finder)
    places = [] if plain is None else [Place.of(plain)]
    if mirrored is not None:
        places.append(Place.of(mirrored).mirrored(both[0].shape[1]))
    return Place.between(places) if places else place


def _meshes(both: tuple[RGB, RGB], place: Place, finder: FaceFinder, *square: float) -> _Meshes:
    """The mesh in a picture, and that in its mirror image; ``square`` as in `_SQUARES`."""
    there = place.mirrored(both[0].shape[1])
    return finder.lay_anew(both[0], place, *square), finder.lay_anew(both[1], there, *square)


def _within(frame: Box, place: Place) -> Box | None:
    """A face's box, as far as it lies in the frame; None where nothing of it does."""
    across, down = place.width / 2, place.height / 2
    x0, y0 = max(frame[0], math.floor(place.x - across)), max(frame[1], math.floor(place.y - down))
    x1, y1 = min(frame[2], math.ceil(place.x + across)), min(frame[3], math.ceil(place.y + down))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _both_ways(rgb: RGB, box: Box) -> tuple[RGB, RGB]:
    """What lies in a box, and its mirror image."""
    x0, y0, x1, y1 = box
    cut = np.ascontiguousarray(rgb[y0:y1, x0:x1])
    return cut, copied(cut[:, ::-1])
