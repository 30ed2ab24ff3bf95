"""One face seen several times over, and what these views have in common.

A mesh shifts by a pixel or two with what lies around the face, and everything that is measured through it
shifts too. So the mesh is laid on nothing but the face's box, with the box's edge repeated around it, as it
would be in a picture cropped to the face; several times, also on the mirror image; and the numbers that are
measured are averaged. A reading then hardly depends on how a picture was cropped, or which way it faces.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .appearance import describe
from .faces import Face, FaceFinder
from .picture import RGB
from .upright import Mask, upright_pixels, with_regions

_SQUARES = ((1.6, 0.04), (1.4, -0.04))
"""Room around the face, as a multiple of its longer side, and tilt in radians, of the squares on which the
mesh is laid.
"""

View = tuple[RGB, Mask, NDArray[np.float64]]
"""As `skin_tone.upright.upright_pixels` gives it: pixels, which of them lie in the picture, landmarks."""


def views(rgb: RGB, face: Face, finder: FaceFinder) -> list[View]:
    """The face on the upright grid, once for each square on its box and on the box's mirror image.

    Args:
        rgb: the picture, H x W x 3, uint8 sRGB.
        face: one of its faces.
        finder: lays the meshes.

    Returns:
        Up to four views; the face as it was found where no mesh can be laid again.
    """
    box, here = _cropped(rgb, face)
    # Once more: the first box is of a mesh that was laid with other things around the face.
    box, here = _cropped(box, finder.lay_anew(box, here) or here)
    found = []
    for view, there in ((box, here), (np.ascontiguousarray(box[:, ::-1]), _mirrored(here, box.shape[1]))):
        for room, tilt in _SQUARES:
            again = finder.lay_anew(view, there, room, tilt)
            if again is not None:
                found.append(upright_pixels(view, again.landmarks))
    return found or [upright_pixels(rgb, face.landmarks)]


def describe_views(seen: list[View]) -> NDArray[np.float64] | None:
    """The mean of the numbers of `skin_tone.appearance.NAMES` over views of one face; None where none of them
    shows enough skin.
    """
    numbers = [numbers for view in seen if (numbers := describe(with_regions(*view))) is not None]
    return np.mean(numbers, axis=0) if numbers else None


def _cropped(rgb: RGB, face: Face) -> tuple[RGB, Face]:
    """The picture within a face's box, and the face in it."""
    x0, y0, x1, y1 = face.box
    landmarks = face.landmarks - np.array([x0, y0])
    return np.ascontiguousarray(rgb[y0:y1, x0:x1]), Face((0, 0, x1 - x0, y1 - y0), landmarks)


def _mirrored(face: Face, width: int) -> Face:
    """The face in the mirror image of a picture of ``width`` pixels. Landmarks keep their numbers but for the
    outer corners of the eyes, which tell which way is up.
    """
    x0, y0, x1, y1 = face.box
    landmarks = face.landmarks * (-1, 1) + (width - 1, 0)
    landmarks[[33, 263]] = landmarks[[263, 33]]
    return replace(face, box=(width - x1, y0, width - x0, y1), landmarks=landmarks)
