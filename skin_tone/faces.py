"""MediaPipe face mesh -> faces with 468 landmarks: the only file that knows MediaPipe; imports it late."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from skimage.exposure import equalize_adapthist

from .picture import RGB

LANDMARKS = 468
# Detection looks at no more than this: MediaPipe itself works at 128 px for the box and 192 px for the mesh
# of one face.
_LONG_SIDE = 1024
# Smaller pictures (the embedded model's are 128 px) are enlarged smoothly, so that contrast can be raised
# without blocks.
_SMALL_SIDE = 256
_CLIP_LIMIT = 0.04
# Local contrast is slow on large pictures, and adds nothing there that this size does not show.
_LOCAL_SIDE = 384
# Floors of the two scores in face mesh: that a box holds a face, and that the mesh laid on it is one. The
# detector is least sure of small, soft, low-contrast faces, and dark faces are those most often; the mesh
# score then sorts out.
_DETECTION_SCORE = 0.5
_PRESENCE_SCORE = 0.3

# What MediaPipe's C++ side prints on standard error whenever a mesh is set up or first used; nothing to act
# on.
_KNOWN_NOISE = re.compile(
    rb"XNNPACK delegate|before absl::InitializeLog|inference_feedback_manager\.cc"
    rb"|landmark_projection_calculator\.cc|gl_context(_egl)?\.cc|Initialized MediaPipe"
)


@dataclass(frozen=True, eq=False)
class Face:
    """One face.

    Attributes:
        box: (x0, y0, x1, y1) in pixels around the landmarks, cut to the picture; x1 and y1 are exclusive.
        landmarks: float64, shape (468, 2): x, y in pixels, in MediaPipe's numbering; may lie outside.
    """

    box: tuple[int, int, int, int]
    landmarks: NDArray[np.float64]

    @property
    def height(self) -> float:
        """From the top of the forehead to the chin, in pixels, along the face's own axis."""
        return float(np.linalg.norm(self.landmarks[152] - self.landmarks[10]))


class FaceFinder:
    """Finds faces, with one MediaPipe graph for its whole life. Thread-safe.

    Close it, or use it in a ``with`` block.

    Each picture is looked at on its own (no tracking), so the result depends on the picture alone.

    Args:
        max_faces: at most this many faces of a picture are returned, >= 1.
    """

    def __init__(self, max_faces: int = 8) -> None:
        if max_faces < 1:
            raise ValueError(f"max_faces must be at least 1, got {max_faces}")
        self._max_faces = max_faces
        self._lock = threading.Lock()
        self._mesh: Any = None
        self._settled = False
        self._closed = False

    def find(self, rgb: RGB) -> list[Face]:
        """The faces of an RGB picture (uint8, H x W x 3), largest first; empty if there is none.

        Raises RuntimeError after :meth:`close`, and ImportError if MediaPipe does not load on this machine.
        """
        height, width = rgb.shape[:2]
        with self._lock:
            if self._closed:
                raise RuntimeError("this FaceFinder is closed: make a new one")
            for view in _views(rgb):
                placed = (_face(points, width, height) for points in self._process(view))
                faces = [face for face in placed if face is not None]
                if faces:
                    return sorted(faces, key=lambda face: (-_area(face.box), face.box))
        return []

    def close(self) -> None:
        """Free the graph. May be called twice."""
        with self._lock:
            if self._mesh is not None:
                self._mesh.close()
                self._mesh = None
            self._closed = True

    def __enter__(self) -> FaceFinder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _process(self, view: RGB) -> list[NDArray[np.float64]]:
        """Landmarks per face as shares of the view's width and height."""
        if self._settled:
            return self._run(view)
        # The graph still has parts to open until it has laid its first mesh, and each says so on standard
        # error.
        with _without_known_noise():
            if self._mesh is None:
                self._mesh = _make_mesh(self._max_faces)
            found = self._run(view)
        self._settled = bool(found)
        return found

    def _run(self, view: RGB) -> list[NDArray[np.float64]]:
        meshes = self._mesh.process(view).multi_face_landmarks or []
        return [
            np.array([(p.x, p.y) for p in mesh.landmark[:LANDMARKS]], dtype=np.float64) for mesh in meshes
        ]


def _make_mesh(max_faces: int) -> Any:
    try:
        with warnings.catch_warnings():
            # protobuf 4, which MediaPipe asks for, on Python 3.12; as an error it would break the import
            warnings.filterwarnings("ignore", "Type google._upb._message", DeprecationWarning)
            import mediapipe
    except ImportError as error:
        raise ImportError(
            f"MediaPipe does not load ({error}): where libGL or libgthread is named, run apt-get install "
            "libgl1 libglib2.0-0, or put opencv-contrib-python-headless in place of opencv-contrib-python."
        ) from error

    return mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=True,
        max_num_faces=max_faces,
        refine_landmarks=False,
        min_detection_confidence=_DETECTION_SCORE,
        min_tracking_confidence=_PRESENCE_SCORE,
    )


def _views(rgb: RGB) -> Iterator[RGB]:
    """The picture as it is, then with its contrast raised overall, then locally.

    The later views cost time only where the earlier ones show no face: mostly soft faces of low contrast,
    and a dark face before a bright wall is one. Views are for finding only: colours are read elsewhere.
    """
    picture = Image.fromarray(rgb)
    width, height = picture.size
    factor = min(max(1.0, _SMALL_SIDE / min(width, height)), _LONG_SIDE / max(width, height))
    if factor != 1.0:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        picture = picture.resize(size, Image.Resampling.BICUBIC if factor > 1.0 else Image.Resampling.BOX)
    yield np.asarray(picture)
    yield np.asarray(ImageOps.autocontrast(picture, cutoff=1))
    picture.thumbnail((_LOCAL_SIDE, _LOCAL_SIDE), Image.Resampling.BOX)
    yield _local_contrast(np.asarray(picture))


def _local_contrast(rgb: RGB) -> RGB:
    """Contrast-limited adaptive histogram equalisation of brightness (Zuiderveld 1994), 4 x 4 tiles."""
    tile = (max(1, rgb.shape[0] // 4), max(1, rgb.shape[1] // 4))
    raised = equalize_adapthist(rgb, kernel_size=tile, clip_limit=_CLIP_LIMIT)
    return np.asarray(raised * 255.0 + 0.5, dtype=np.uint8)


def _face(points: NDArray[np.float64], width: int, height: int) -> Face | None:
    """A Face in pixels of the picture, or None if none of it lies inside."""
    landmarks = points * (width, height)
    low = np.floor(landmarks.min(axis=0)).astype(int)
    high = np.ceil(landmarks.max(axis=0)).astype(int)
    box = (max(0, int(low[0])), max(0, int(low[1])), min(width, int(high[0])), min(height, int(high[1])))
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    landmarks.flags.writeable = False
    return Face(box=box, landmarks=landmarks)


def _area(box: tuple[int, int, int, int]) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


@contextmanager
def _without_known_noise() -> Iterator[None]:
    """Hold back what is written to standard error's file descriptor, and pass on all but the known noise."""
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all: nothing to keep quiet
        yield
        return
    with tempfile.TemporaryFile() as held:
        with suppress(AttributeError, ValueError, OSError):  # sys.stderr may be None, closed or odd
            sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            rest = b"".join(line for line in held if not _KNOWN_NOISE.search(line))
            if rest:
                os.write(2, rest)
