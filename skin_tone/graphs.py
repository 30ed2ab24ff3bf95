"""MediaPipe's graphs: the only file that knows MediaPipe; imports it late."""

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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .picture import RGB

LANDMARKS = 468
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


_STDERR = threading.Lock()
"""The descriptor is the whole process's: two readers that start at once must not swap it in turn."""


@dataclass(frozen=True)
class Detection:
    """A box that may hold a face, all in shares of the picture's width and height.

    Attributes:
        box: x0, y0, x1, y1. right_eye, left_eye: (x, y), the person's own right and left. score: 0-1.
    """

    box: tuple[float, float, float, float]
    right_eye: tuple[float, float]
    left_eye: tuple[float, float]
    score: float


class Graphs:
    """Face mesh for a whole picture and for one cut-out face, and the full-range detector; made when first
    used. Not thread-safe. Each picture is looked at on its own (no tracking).
    """

    def __init__(self, max_faces: int) -> None:
        self._max_faces = max_faces
        self._made: dict[str, Any] = {}
        self._settled: set[str] = set()

    def meshes(self, view: RGB) -> list[NDArray[np.float64]]:
        """Landmarks (468, 2) of each face, as shares of the view's width and height."""
        return self._run("many", view)

    def mesh(self, view: RGB) -> list[NDArray[np.float64]]:
        """As `meshes`, at most one: for a view cut out around a face."""
        return self._run("one", view)

    def mesh_in(
        self, view: RGB, centre: tuple[float, float], side: float, angle: float
    ) -> NDArray[np.float64] | None:
        """As `mesh`, on a square that the caller names: no detector looks for the face.

        Args:
            view: H x W x 3, uint8. Where the square goes beyond it, its nearest pixel goes on.
            centre: of the square, x and y in pixels.
            side: of the square, in pixels.
            angle: by which the square, and the face in it, is turned clockwise, in radians.

        Returns:
            (468, 2) x, y in pixels of ``view``, or None where no face is seen.
        """
        height, width = view.shape[:2]
        if "within" not in self._made:
            _mediapipe()
        from mediapipe.framework.formats.rect_pb2 import NormalizedRect

        square = NormalizedRect(
            x_center=centre[0] / width,
            y_center=centre[1] / height,
            width=side / width,
            height=side / height,
            rotation=angle,
        )
        found = self._run("within", {"image": view, "roi": square})
        return found[0] * (width, height) if found else None

    def detect(self, view: RGB) -> list[Detection]:
        """Faces down to about a twentieth of the view."""
        return self._run("detector", view)

    def close(self) -> None:
        """Free the graphs. May be called twice."""
        for graph in self._made.values():
            graph.close()
        self._made.clear()

    def _run(self, name: str, view: RGB | dict[str, Any]) -> list[Any]:
        if name in self._settled:
            return self._read(name, view)
        # A graph still has parts to open until it has found its first face, and each says so on standard
        # error.
        with _STDERR, _without_known_noise():
            if name not in self._made:
                self._made[name] = self._make(name)
            found = self._read(name, view)
        if found:
            self._settled.add(name)
        return found

    def _make(self, name: str) -> Any:
        solutions = _mediapipe().solutions
        if name == "detector":
            return solutions.face_detection.FaceDetection(
                model_selection=1, min_detection_confidence=_DETECTION_SCORE
            )
        if name == "within":
            return _mesh_within()
        return solutions.face_mesh.FaceMesh(
            static_image_mode=True,
            max_num_faces=self._max_faces if name == "many" else 1,
            refine_landmarks=False,
            min_detection_confidence=_DETECTION_SCORE,
            min_tracking_confidence=_PRESENCE_SCORE,
        )

    def _read(self, name: str, view: RGB | dict[str, Any]) -> list[Any]:
        result = self._made[name].process(view)
        if name == "detector":
            return [_detection(raw) for raw in result.detections or []]
        if name == "within":
            return [] if result.landmarks is None else [_points(result.landmarks)]
        return [_points(mesh) for mesh in result.multi_face_landmarks or []]


def _mesh_within() -> Any:
    """The second half of face mesh alone: the mesh of the face in a square that is given."""
    from mediapipe.framework.calculator_pb2 import CalculatorGraphConfig
    from mediapipe.python.solution_base import SolutionBase

    mesh = CalculatorGraphConfig.Node(
        calculator="FaceLandmarkCpu",
        input_stream=["IMAGE:image", "ROI:roi"],
        input_side_packet=["WITH_ATTENTION:with_attention"],
        output_stream=["LANDMARKS:landmarks"],
    )
    graph = CalculatorGraphConfig(
        input_stream=["image", "roi"],
        input_side_packet=["with_attention"],
        output_stream=["landmarks"],
        node=[mesh],
    )
    return SolutionBase(
        graph_config=graph,
        calculator_params={"facelandmarkcpu__ThresholdingCalculator.threshold": _PRESENCE_SCORE},
        side_inputs={"with_attention": False},
        outputs=["landmarks"],
    )


def _points(mesh: Any) -> NDArray[np.float64]:
    return np.array([(p.x, p.y) for p in mesh.landmark[:LANDMARKS]], dtype=np.float64)


def _detection(raw: Any) -> Detection:
    data = raw.location_data
    box, keys = data.relative_bounding_box, data.relative_keypoints
    return Detection(
        (box.xmin, box.ymin, box.xmin + box.width, box.ymin + box.height),
        (keys[0].x, keys[0].y),
        (keys[1].x, keys[1].y),
        float(raw.score[0]),
    )


def _mediapipe() -> Any:
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
    return mediapipe


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
