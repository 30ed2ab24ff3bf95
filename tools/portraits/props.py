"""Hats and glasses as small meshes in the head's rest coordinates (decimetres; see heads.py)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .heads import Floats

Array = npt.NDArray[np.float64]
_HEAD = np.array([0.0, 7.55, 0.56])  # middle of the skull of the base mesh
RIM = 7.91  # height of a hat's rim, just above the brows
_HALF = np.array([0.90, 1.0, 1.05])  # half width and half depth of the skull with some hair


def _rows(points: Array, faces: npt.NDArray[np.int64], colour: Array, gloss: float) -> Floats:
    """Triangle rows (position, smooth normal, colour, gloss)."""
    tri = points[faces]
    flat = np.cross(tri[:, 1] - tri[:, 0], tri[:, 2] - tri[:, 0])
    normal = np.zeros_like(points)
    for i in range(3):
        np.add.at(normal, faces[:, i], flat)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    n = faces.size
    out = np.empty((n, 10), np.float32)
    out[:, :3], out[:, 3:6] = points[faces.ravel()], normal[faces.ravel()]
    out[:, 6:9], out[:, 9] = colour, gloss
    return out


def _grid_faces(rows: int, columns: int) -> npt.NDArray[np.int64]:
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)[None]).ravel()
    return np.concatenate(
        [np.stack([a, a + 1, a + columns], 1), np.stack([a + 1, a + columns + 1, a + columns], 1)]
    )


def _revolve(profile: list[tuple[float, float]], colour: Array, gloss: float, tilt: float = 0.10) -> Floats:
    """A surface of revolution fitted to the skull. ``profile``: (radius in skull radii, height above its
    middle).
    """
    turn = np.linspace(0, 2 * np.pi, 33)
    r, y = np.array(profile).T
    points = np.stack(
        [
            r[:, None] * _HALF[0] * np.sin(turn),
            np.broadcast_to(y[:, None], (len(r), 33)),
            r[:, None] * _HALF[2] * np.cos(turn),
        ],
        -1,
    ).reshape(-1, 3)
    points[:, 1] += tilt * points[:, 2]  # hats sit higher in front
    return _rows(points + _HEAD, _grid_faces(len(r), 33), colour, gloss)


def _visor(colour: Array, gloss: float, length: float, height: float, half_angle: float = 1.05) -> Floats:
    """A peak over the brow, ``length`` skull radii long."""
    turn = np.linspace(-half_angle, half_angle, 17)
    out = np.linspace(0, 1, 4)[:, None]
    reach = 1.0 + length * out * np.cos(turn * np.pi / 2 / half_angle) ** 0.5
    points = np.stack(
        [
            reach * _HALF[0] * np.sin(turn),
            height - 0.14 * out * np.ones_like(turn),
            reach * _HALF[2] * np.cos(turn),
        ],
        -1,
    ).reshape(-1, 3)
    points[:, 1] += 0.1 * points[:, 2]
    return _rows(points + _HEAD, _grid_faces(4, 17), colour, gloss)


def _dome(base: float, top: float, girth: float = 1.0) -> list[tuple[float, float]]:
    t = np.linspace(0, np.pi / 2, 8)
    return [(girth * float(np.cos(a)) ** 0.7, base + (top - base) * float(np.sin(a))) for a in t]


def hat(kind: str, colour: Array, trim: Array) -> Floats:
    """Triangle rows of a hat.

    Raises:
        KeyError: for an unknown ``kind``.
    """
    low = RIM - _HEAD[1]
    makers: dict[str, Callable[[], list[Floats]]] = {
        "hard_hat": lambda: [
            _revolve([(1.3, low - 0.05), (1.06, low + 0.02), *_dome(low + 0.02, 1.25, 1.06)], colour, 0.7),
            _visor(colour, 0.7, 0.35, low + 0.02),
        ],
        "fire_helmet": lambda: [
            _revolve([(1.5, low - 0.14), (1.08, low + 0.03), *_dome(low + 0.03, 1.32, 1.08)], colour, 0.6),
            _badge(trim, 0.85, 0.26),
        ],
        "cap": lambda: [_revolve(_dome(low, 1.12, 1.02), colour, 0.1), _visor(trim, 0.1, 0.5, low)],
        "peaked_cap": lambda: [
            _revolve([(1.0, low), (1.02, low + 0.2)], trim, 0.4),
            _revolve(
                [(1.02, low + 0.2), (1.28, low + 0.5), (1.1, low + 0.72), (0.0, low + 0.78)], colour, 0.2
            ),
            _visor(trim * 0.25, 0.8, 0.35, low),
            _badge(np.array([0.8, 0.6, 0.15]), 0.62, 0.13),
        ],
        "toque": lambda: [
            _revolve([(1.0, low), (1.0, low + 0.45)], colour, 0.1),
            _revolve(
                [(1.0, low + 0.45), (1.3, low + 0.9), (1.15, low + 1.25), (0.0, low + 1.35)], colour, 0.1
            ),
        ],
        "straw_hat": lambda: [
            _revolve([(1.95, low - 0.02), (1.5, low - 0.06), (1.02, low + 0.04)], colour, 0.1),
            _revolve([(1.03, low + 0.02), (1.03, low + 0.2)], trim, 0.1),
            _revolve(
                [(1.02, low + 0.2), (0.92, low + 0.75), (0.6, low + 0.85), (0.0, low + 0.86)], colour, 0.1
            ),
        ],
        "surgical_cap": lambda: [_revolve(_dome(low - 0.02, 1.15, 1.04), colour, 0.05)],
        "beanie": lambda: [
            _revolve([(1.06, low - 0.02), (1.06, low + 0.25)], trim, 0.05),
            _revolve(_dome(low + 0.2, 1.22, 1.04), colour, 0.05),
        ],
        "head_scarf": lambda: [_revolve(_dome(low - 0.04, 1.14, 1.05), colour, 0.1, tilt=0.3)],
        "beret": lambda: [
            _revolve([(1.0, low), (1.35, low + 0.35), (1.0, low + 0.62), (0.0, low + 0.7)], colour, 0.05)
        ],
        "headphones": lambda: _headphones(colour),
    }
    return np.concatenate(makers[kind]())


def _badge(colour: Array, height: float, half: float) -> Floats:
    x = np.array([-half, half, half, -half])
    y = np.array([-half, -half, half, half]) * 1.2
    z = np.full(4, _HALF[2] * 1.07) - 0.35 * np.maximum(y, -0.1)
    points = np.stack([x, height + y, z], 1) + _HEAD
    return _rows(points, np.array([[0, 1, 2], [0, 2, 3]]), colour, 0.7)


def _tube(path: Array, radius: float, colour: Array, gloss: float) -> Floats:
    """A round tube along ``path`` (P x 3)."""
    ahead = np.gradient(path, axis=0)
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    side = np.cross(ahead, [0.31, 0.2, 0.93])
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    over = np.cross(ahead, side)
    turn = np.linspace(0, 2 * np.pi, 7)
    ring = side[:, None] * np.cos(turn)[:, None] + over[:, None] * np.sin(turn)[:, None]
    points = (path[:, None] + radius * ring).reshape(-1, 3)
    return _rows(points, _grid_faces(len(path), 7), colour, gloss)


def _headphones(colour: Array) -> list[Floats]:
    turn = np.linspace(-np.pi / 2, np.pi / 2, 21)
    arc = np.stack([1.02 * _HALF[0] * np.sin(turn), 0.95 * np.cos(turn), np.zeros_like(turn)], 1) + _HEAD
    parts = [_tube(arc, 0.07, colour, 0.5)]
    for side in (-1, 1):
        cup = np.stack([np.linspace(0.86, 1.1, 3) * side, np.full(3, -0.2), np.full(3, -0.05)], 1) + _HEAD
        parts.append(_tube(cup, 0.3, colour, 0.5))
    return parts


def glasses(
    left: Floats, right: Floats, width: float, roundness: float, colour: Array, head: float = 1.0
) -> Floats:
    """Rims, bridge and temples around the two eye centres; ``head``: width of the head beside the rest
    mesh's.
    """
    turn = np.linspace(0, 2 * np.pi, 29)
    parts = []
    front = max(float(left[2]), float(right[2])) + 0.30
    for eye in (left, right):
        c, s = np.cos(turn), np.sin(turn)
        power = 1.0 if roundness > 0.5 else 0.72
        x = eye[0] + 0.26 * width * np.sign(c) * np.abs(c) ** power
        y = eye[1] - 0.03 + 0.19 * width * np.sign(s) * np.abs(s) ** power
        parts.append(_tube(np.stack([x, y, front - 0.22 * (x / 0.5) ** 2 * 0.5], 1), 0.021, colour, 0.6))
        sign = np.sign(eye[0])
        outer = eye[0] + sign * 0.26 * width
        hinge = sign * max(abs(outer) + 0.02, 0.70 * head)
        ends = np.array(
            [
                [outer, eye[1] + 0.05, front - 0.11 * (outer / 0.5) ** 2],
                [hinge, eye[1] + 0.05, front - 0.36],
                [sign * 0.78 * head, eye[1] + 0.03, 0.35],
            ]
        )
        parts.append(_tube(np.linspace(ends[0], ends[1], 3), 0.02, colour, 0.6))
        parts.append(_tube(np.linspace(ends[1], ends[2], 4), 0.017, colour, 0.6))
    inner = 0.26 * width
    bridge = np.linspace(
        [left[0] - inner, left[1], front - 0.01], [right[0] + inner, right[1], front - 0.01], 4
    )
    parts.append(_tube(bridge, 0.022, colour, 0.6))
    return np.concatenate(parts)


def moved(rows: Floats, transform: npt.NDArray[np.float64]) -> Floats:
    """The rows under a rigid or scaling 4 x 4 transform."""
    out = rows.copy()
    out[:, :3] = rows[:, :3] @ transform[:3, :3].T + transform[:3, 3]
    out[:, 3:6] = rows[:, 3:6] @ transform[:3, :3].T
    return out
