"""Finds faces in portraits and groups, upright or tilted, and lays a mesh of 468 landmarks on each.

Face mesh looks at the whole picture, and so does a full-range detector, for further faces. Where no face
fills a quarter of the picture, the detector also looks at overlapping tiles at three sizes; where there is
none at all, face mesh looks again with contrast raised. What only one of the two has found counts only if
the mesh can be laid on the cut-out, upright face. Where there is still none, but the detector is sure of a
head, a mesh is looked for on squares around it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from skimage.exposure import equalize_adapthist

from .graphs import Detection, Graphs
from .picture import RGB, copied, resampled
from .place import Box, Place

# Detection looks at no more than this: MediaPipe itself works at 128 px for the box and 192 px for the mesh
# of one face.
_LONG_SIDE = 1024
# Smaller pictures are enlarged smoothly, so that contrast can be raised
# without blocks.
_SMALL_SIDE = 256
_CLIP_LIMIT = 0.04
# Local contrast is slow on large pictures, and adds nothing there that this size does not show.
_LOCAL_SIDE = 384
# A face taller than this share of the picture makes it a portrait: it is not searched in tiles.
_PORTRAIT_SHARE = 0.25
# A tile shows a face of 40 px on a tenth of its side; neighbours overlap by more than such a face.
_TILE = 448
_TILE_STEP = 336
# A cut-out: this many times the detection's longer side, at this size in pixels.
_CUT_ROOM = 1.9
_CUT_SIDE = 256
_ROOM = 0.25
"""Of the picture's sides, on each side: room put around a picture in which no face was found, for faces that
its frame cuts; the detectors were trained on faces with something around them.
"""
_MESH_ROOM = 1.5
"""Side of the square on which the mesh is laid, in longer sides of the face: as MediaPipe's own."""
_LARGER = 1.5
"""By how much taller a face must be than one that the detector does not see to be the whole of it."""
_SAME_MESH = 0.1  # of the face's height: how far two meshes of one face lie apart at most, on average
_SURE = 0.7
"""Score from which on the detector's word alone is enough for a head; patterns reach .65."""
_TURNED = tuple((room, tilt) for room in (1.4, 1.2, 1.6) for tilt in (0.0, -0.15, 0.15, -0.3, 0.3))
"""Sides of squares, in longer sides of the detector's box, and their tilt in radians: where a mesh is looked
for on a head that is turned far away. Eyes seen from the side tell little of how a face is tilted.
"""
_ELSEWHERE = 0.25
"""From which share of its longer side on a face that is laid afresh is another one."""
_SAME = 0.3  # overlap (intersection over union) from which on two finds are one face


@dataclass(frozen=True, eq=False)
class Face:
    """One face.

    Attributes:
        box: (x0, y0, x1, y1) in pixels around the landmarks, cut to the picture; x1 and y1 are exclusive.
        landmarks: float64, shape (468, 2): x, y in pixels, in MediaPipe's numbering; may lie outside.
    """

    box: Box
    landmarks: NDArray[np.float64]

    @property
    def height(self) -> float:
        """From the top of the forehead to the chin, in pixels, along the face's own axis."""
        return float(np.linalg.norm(self.landmarks[152] - self.landmarks[10]))


class FaceFinder:
    """Finds faces, with one set of MediaPipe graphs for its whole life. Thread-safe.

    Close it, or use it in a ``with`` block.

    Each picture is looked at on its own (no tracking), so the result depends on the picture alone.

    Args:
        max_faces: at most this many faces of a picture are returned, >= 1.
    """

    def __init__(self, max_faces: int = 64) -> None:
        if max_faces < 1:
            raise ValueError(f"max_faces must be at least 1, got {max_faces}")
        self._max_faces = max_faces
        self._lock = threading.Lock()
        self._graphs = Graphs(min(max_faces, 4))
        self._closed = False

    def find(self, rgb: RGB) -> list[Face]:
        """The faces of an RGB picture (uint8, H x W x 3), largest first; empty if there is none.

        Raises RuntimeError after :meth:`close`, and ImportError if MediaPipe does not load on this machine.
        """
        with self._lock:
            self._must_be_open()
            faces, seen = self._look(rgb)
            if not seen:
                faces = _larger(self._look_with_room(rgb), faces)
            if not faces:
                faces = self._turned(rgb)
            faces = [self._laid_again(rgb, face) if _cut(face, rgb) else face for face in faces]
        return sorted(faces, key=lambda face: (-_area(face.box), face.box))[: self._max_faces]

    def turned_away(self, rgb: RGB) -> Box | None:
        """The box of the likeliest face in a picture in which `find` finds none: a head that is turned so far
        away that no mesh comes to lie on it. None where there is none.

        Raises:
            RuntimeError: the finder is closed.
        """
        with self._lock:
            self._must_be_open()
            corners = self._sure(rgb)
        return None if corners is None else _clipped(corners[0], corners[1], rgb.shape[1], rgb.shape[0])

    def lay_anew(
        self, rgb: RGB, place: Place, room: float = _MESH_ROOM, tilt: float = 0.0
    ) -> NDArray[np.float64] | None:
        """A face's mesh laid afresh on a square around it.

        Args:
            rgb: the picture, H x W x 3, uint8. Beyond its edge its nearest pixel goes on.
            place: where the face lies.
            room: side of the square, as a multiple of the longer side of the landmarks' box.
            tilt: radians by which the square is turned clockwise against the line of the eyes.

        Returns:
            (468, 2) x, y in pixels of ``rgb``; None where no face is seen in the square, or one that lies
            elsewhere.

        Raises:
            RuntimeError: the finder is closed.
        """
        with self._lock:
            self._must_be_open()
            laid = self._graphs.mesh_in(rgb, (place.x, place.y), room * place.side, place.angle + tilt)
        if laid is None:
            return None
        there = Place.of(laid)
        apart = math.hypot(there.x - place.x, there.y - place.y)
        return laid if apart < _ELSEWHERE * place.side else None

    def close(self) -> None:
        """Free the graphs. May be called twice."""
        with self._lock:
            self._graphs.close()
            self._closed = True

    def __enter__(self) -> FaceFinder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _must_be_open(self) -> None:
        if self._closed:
            raise RuntimeError("this FaceFinder is closed: make a new one")

    def _look(self, rgb: RGB) -> tuple[list[Face], bool]:
        """The faces, and whether the detector sees one of them, too."""
        height, width = rgb.shape[:2]
        plain = _sized(rgb)
        faces = self._placed(plain, width, height)
        detections = self._graphs.detect(_halved(plain))
        both = [_detected(face, detections, width, height) for face in faces]
        faces = [face for face, sure in zip(faces, both, strict=True) if sure or self._lies_again(rgb, face)]
        alone = len(faces)
        self._add(faces, rgb, (0, 0, width, height), detections)
        tallest = max((face.height for face in faces), default=0.0)
        if tallest < _PORTRAIT_SHARE * height:
            self._search_tiles(faces, rgb)
        seen = any(both) or len(faces) > alone
        if not faces:
            for view in _raised(plain):
                size = (width / view.shape[1], height / view.shape[0])
                found = self._placed(view, view.shape[1], view.shape[0])
                faces = [_scaled(f, size, width, height) for f in found if self._lies_again(view, f)]
                if faces:
                    break
        return faces, seen

    def _look_with_room(self, rgb: RGB) -> list[Face]:
        """Faces in the picture with its edge repeated around it, moved back to the picture."""
        height, width = rgb.shape[:2]
        down, across = round(_ROOM * height), round(_ROOM * width)
        wide = np.pad(rgb, ((down, down), (across, across), (0, 0)), mode="edge")
        found, _ = self._look(wide)
        moved = (_face(face.landmarks - (across, down), width, height) for face in found)
        return [face for face in moved if face is not None]

    def _sure(self, rgb: RGB) -> NDArray[np.float64] | None:
        """The corners, 2 x 2 in pixels, of the likeliest face, if the detector is sure of it."""
        found = self._graphs.detect(_halved(_sized(rgb)))
        likeliest = max(found, key=lambda detection: detection.score, default=None)
        if likeliest is None or likeliest.score < _SURE:
            return None
        return np.array(likeliest.box, dtype=np.float64).reshape(2, 2) * (rgb.shape[1], rgb.shape[0])

    def _turned(self, rgb: RGB) -> list[Face]:
        """A face that only the detector sees, with the first mesh that comes to lie in it twice over."""
        corners = self._sure(rgb)
        if corners is None:
            return []
        (x, y), side = corners.mean(axis=0), float((corners[1] - corners[0]).max())
        found: list[Face] = []
        for room, tilt in _TURNED:
            laid = self._graphs.mesh_in(rgb, (x, y), room * side, tilt)
            face = None if laid is None else _face(laid, rgb.shape[1], rgb.shape[0])
            if face is None or _overlap(corners.ravel(), face.box) < _SAME:
                continue
            if any(_lie_together(face, other, _SAME_MESH) for other in found):
                return [face]
            found.append(face)
        return []

    def _laid_again(self, rgb: RGB, face: Face) -> Face:
        """A face that the frame cuts, its mesh laid on an upright cut-out with the picture's edge repeated:
        there it comes to lie as it does in the whole picture.
        """
        again = self._upright_mesh(rgb, *_box_and_eyes(face.landmarks))
        return face if again is None or not _lie_together(again, face, 2 * _SAME_MESH) else again

    def _lies_again(self, view: RGB, face: Face) -> bool:
        """Whether a mesh laid afresh on the cut-out, upright face comes to lie where the first one does.

        On a face it does; on a pattern that looks like one it lies elsewhere, or nowhere.
        """
        again = self._upright_mesh(view, *_box_and_eyes(face.landmarks))
        return again is not None and _lie_together(again, face, _SAME_MESH)

    def _search_tiles(self, faces: list[Face], rgb: RGB) -> None:
        """Tiles of the picture at a quarter of its size, at half, and as it is: large faces first."""
        height, width = rgb.shape[:2]
        for shrink in (4, 2, 1):
            if max(height, width) <= shrink * _TILE:
                continue
            level = np.asarray(Image.fromarray(rgb).reduce(shrink)) if shrink > 1 else rgb
            for x0, y0, x1, y1 in _tiles(level.shape[1], level.shape[0]):
                found = self._graphs.detect(np.ascontiguousarray(level[y0:y1, x0:x1]))
                self._add(faces, rgb, (x0 * shrink, y0 * shrink, x1 * shrink, y1 * shrink), found)

    def _placed(self, view: RGB, width: int, height: int) -> list[Face]:
        placed = (_face(points * (width, height), width, height) for points in self._graphs.meshes(view))
        return [face for face in placed if face is not None]

    def _add(self, faces: list[Face], rgb: RGB, tile: Box, detections: list[Detection]) -> None:
        """Put the faces of ``detections`` (in shares of ``tile``) that are not in ``faces`` yet into it."""
        x0, y0, x1, y1 = tile
        size = np.array([x1 - x0, y1 - y0])
        for found in sorted(detections, key=lambda d: -d.score):
            box = np.array(found.box).reshape(2, 2) * size + (x0, y0)
            if any(_overlap(box.ravel(), face.box) > _SAME or _within(box, face.box) for face in faces):
                continue
            eyes = np.array([found.right_eye, found.left_eye]) * size + (x0, y0)
            face = self._upright_mesh(rgb, box, eyes)
            if face is not None and all(_overlap(face.box, other.box) < _SAME for other in faces):
                faces.append(face)

    def _upright_mesh(self, rgb: RGB, box: NDArray[np.float64], eyes: NDArray[np.float64]) -> Face | None:
        """Cut the face out with its eyes level, lay the mesh on it, turn the landmarks back."""
        side = _CUT_ROOM * float((box[1] - box[0]).max())
        centre = box.mean(axis=0)
        dx, dy = eyes[1] - eyes[0]
        angle = float(np.arctan2(dy, dx))
        cosine, sine = np.cos(angle) * side / _CUT_SIDE, np.sin(angle) * side / _CUT_SIDE
        # Cut-out pixel -> picture pixel: turn, scale, shift.
        turn = np.array([[cosine, -sine], [sine, cosine]])
        shift = centre - turn @ np.array([_CUT_SIDE / 2, _CUT_SIDE / 2])
        # Pillow samples at points: a large face is made smaller first, or it would be all edges.
        step = max(1, int(side / _CUT_SIDE))
        cut = resampled(rgb, complex(cosine, sine), complex(*shift), (_CUT_SIDE, _CUT_SIDE), step)
        for points in self._graphs.mesh(cut):
            return _face(points * _CUT_SIDE @ turn.T + shift, rgb.shape[1], rgb.shape[0])
        return None


def _box_and_eyes(landmarks: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The corners of the box around a mesh, and the outer corners of its eyes, each 2 x 2."""
    box = np.array([landmarks.min(axis=0), landmarks.max(axis=0)])
    return box, np.array([landmarks[33], landmarks[263]])


def _lie_together(again: Face, face: Face, near: float) -> bool:
    """Whether two meshes lie less than ``near`` of the face's height apart, on average."""
    apart = np.linalg.norm(again.landmarks - face.landmarks, axis=1).mean()
    return bool(apart < near * face.height)


def _cut(face: Face, rgb: RGB) -> bool:
    """Whether a part of the face lies outside the picture, or at its very edge."""
    low, high = face.landmarks.min(axis=0), face.landmarks.max(axis=0)
    return bool((low < 1).any() or (high > np.array([rgb.shape[1], rgb.shape[0]]) - 2).any())


def _larger(faces: list[Face], others: list[Face]) -> list[Face]:
    """``faces``, if the largest of them is so much taller than that of ``others`` that those are parts of it:
    nostrils and lips of a close-up can pass for eyes and mouth.
    """
    tallest = [max((face.height for face in some), default=0.0) for some in (faces, others)]
    return faces if tallest[0] > _LARGER * tallest[1] else others


def _scaled(face: Face, size: tuple[float, float], width: int, height: int) -> Face:
    found = _face(face.landmarks * size, width, height)
    return face if found is None else found


def _detected(face: Face, detections: list[Detection], width: int, height: int) -> bool:
    """Whether the detector, too, sees a face there."""
    sides = np.array([width, height, width, height], dtype=np.float64)
    return any(_overlap(np.array(d.box) * sides, face.box) > _SAME for d in detections)


def _sized(rgb: RGB) -> RGB:
    height, width = rgb.shape[:2]
    factor = min(max(1.0, _SMALL_SIDE / min(width, height)), _LONG_SIDE / max(width, height))
    if factor == 1.0:
        return rgb
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    way = Image.Resampling.BICUBIC if factor > 1.0 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(rgb).resize(size, way))


def _raised(rgb: RGB) -> Iterator[RGB]:
    """The picture with its contrast raised overall, then locally, for soft faces of low contrast.

    A dark face before a bright wall is one. For finding only: colours are read elsewhere.
    """
    picture = Image.fromarray(rgb)
    yield np.asarray(ImageOps.autocontrast(picture, cutoff=1))
    picture.thumbnail((_LOCAL_SIDE, _LOCAL_SIDE), Image.Resampling.BOX)
    yield _local_contrast(np.asarray(picture))


def _tiles(width: int, height: int) -> Iterator[Box]:
    for y in _starts(height):
        for x in _starts(width):
            yield x, y, min(width, x + _TILE), min(height, y + _TILE)


def _starts(length: int) -> range | list[int]:
    if length <= _TILE:
        return [0]
    steps = -(-(length - _TILE) // _TILE_STEP)
    return [round(k * (length - _TILE) / steps) for k in range(steps + 1)]


def _local_contrast(rgb: RGB) -> RGB:
    """Contrast-limited adaptive histogram equalisation of brightness (Zuiderveld 1994), 4 x 4 tiles."""
    tile = (max(1, rgb.shape[0] // 4), max(1, rgb.shape[1] // 4))
    raised = equalize_adapthist(rgb, kernel_size=tile, clip_limit=_CLIP_LIMIT)
    return np.asarray(raised * 255.0 + 0.5, dtype=np.uint8)


def _face(landmarks: NDArray[np.float64], width: int, height: int) -> Face | None:
    """A Face from landmarks in pixels of the picture, or None if none of it lies inside."""
    box = _clipped(landmarks.min(axis=0), landmarks.max(axis=0), width, height)
    if box is None:
        return None
    landmarks.flags.writeable = False
    return Face(box=box, landmarks=landmarks)


def _clipped(low: NDArray[np.float64], high: NDArray[np.float64], width: int, height: int) -> Box | None:
    """The box with these corners as far as it lies in the picture, or None if none of it does."""
    x0, y0 = (max(0, int(np.floor(v))) for v in low)
    x1, y1 = min(width, int(np.ceil(high[0]))), min(height, int(np.ceil(high[1])))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _halved(view: RGB) -> RGB:
    """What the detector is shown: it works at 192 px, so half of the pixels are enough, and quicker."""
    return copied(view[::2, ::2]) if max(view.shape) > _TILE else view


def _overlap(a: NDArray[np.float64] | tuple[int, ...], b: tuple[int, ...]) -> float:
    """Intersection over union of two boxes."""
    wide = min(a[2], b[2]) - max(a[0], b[0])
    tall = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or tall <= 0:
        return 0.0
    shared = float(wide * tall)
    return shared / (float((a[2] - a[0]) * (a[3] - a[1])) + _area(b) - shared)


def _within(box: NDArray[np.float64], face: tuple[int, ...]) -> bool:
    """Whether the middle of ``box`` (2 x 2 corners) lies in ``face``."""
    x, y = box.mean(axis=0)
    return bool(face[0] <= x <= face[2] and face[1] <= y <= face[3])


def _area(box: tuple[int, ...]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
