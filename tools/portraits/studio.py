"""Where sitter, camera and lights stand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .heads import Floats
from .renderer import look_at, perspective


@dataclass(frozen=True)
class Rig:
    """How the key, fill and rim lights stand; angles in radians, levels as shares of the key light."""

    azimuth: float = 0.5  # standard deviation, from the camera's axis
    elevation: float = 0.5  # mean
    fill: tuple[float, float] = (0.15, 0.45)
    rim: tuple[float, float] = (0.3, 1.1)
    ambient: tuple[float, float] = (0.3, 0.6)


@dataclass(frozen=True)
class Pose:
    """How sitter and camera stand; standard deviations, angles in radians, lengths in decimetres.

    Attributes:
        turn: of the head about the vertical, the ear-to-ear and the nose axis.
        yaw, pitch, roll: of the camera. height: of what the picture shows, lowest and highest.
        aside, up: shift of the face in the picture.
    """

    turn: tuple[float, float, float] = (0.06, 0.035, 0.03)
    yaw: float = 0.09
    pitch: float = 0.05
    roll: float = 0.015
    height: tuple[float, float] = (2.65, 2.95)
    aside: float = 0.03
    up: float = 0.03


PORTRAIT_RIG = Rig()
#: A portrait photographer's sitting: little movement, so that a small model can spend itself on faces.
PORTRAIT_POSE = Pose()
#: Snapshots, for calibrating a reader of faces.
SNAPSHOT_POSE = Pose((0.10, 0.05, 0.05), 0.15, 0.07, 0.03, (2.75, 3.35), 0.06, 0.05)


def rotation(axis: int, angle: float) -> npt.NDArray[np.float64]:
    """About axis 0-2 by ``angle`` radians, 3 x 3."""
    c, s = math.cos(angle), math.sin(angle)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    m = np.eye(3)
    m[i, i] = m[j, j] = c
    m[i, j], m[j, i] = -s, s
    return m


def camera(eyes: Floats, pose: Pose, rng: np.random.Generator) -> tuple[Any, ...]:
    """World to clip space (4 x 4), where the camera stands, its upward axis, its axes (3 x 3), its target."""
    height = rng.uniform(*pose.height)  # decimetres from the lower to the upper edge
    fov = math.radians(rng.uniform(14, 24))
    distance = height / 2 / math.tan(fov / 2)
    target = eyes + np.array(
        [rng.normal(0, pose.aside), -0.28 - 0.2 * (height - 2.75) + rng.normal(0, pose.up), -0.5]
    )
    yaw, pitch = (float(np.clip(rng.normal(0, sd), -2.7 * sd, 2.7 * sd)) for sd in (pose.yaw, pose.pitch))
    eye = target + rotation(1, yaw) @ rotation(0, -pitch) @ np.array([0, 0, distance])
    up = rotation(2, rng.normal(0, pose.roll)) @ np.array([0, 1.0, 0])
    view = look_at(eye, target, up)
    return (
        perspective(fov, max(0.5, distance - 6), distance + 8) @ view,
        eye,
        view[1, :3],
        view[:3, :3],
        target,
    )


def light(
    axes: npt.NDArray[np.float64], rng: np.random.Generator, rig: Rig
) -> tuple[Floats, Floats, dict[str, Any]]:
    """Key, fill and rim light placed relative to the camera, near-white; the same for every tone."""

    def towards(azimuth: float, elevation: float) -> npt.NDArray[np.float64]:
        flat = math.cos(elevation)
        d = [math.sin(azimuth) * flat, math.sin(elevation), math.cos(azimuth) * flat]
        return np.asarray(axes.T @ np.array(d))

    azimuth = float(np.clip(rng.normal(0, rig.azimuth), -1.1, 1.1))
    side = -1.0 if azimuth > 0 else 1.0
    direction = np.stack(
        [
            towards(azimuth, float(np.clip(rng.normal(rig.elevation, 0.2), 0.1, 1.0))),
            towards(side * rng.uniform(0.4, 1.0), rng.uniform(0, 0.4)),
            towards(float(rng.choice([-1, 1])) * rng.uniform(2.0, 2.6), rng.uniform(0.2, 0.7)),
        ]
    )
    # Key near neutral, as a camera balances it; fill, rim and surroundings warmer or cooler.
    tint = [np.exp(k * rng.normal(0, [0.02, 0.008, 0.025])) for k in (1.0, 1.5, 3.0, 1.5)]
    colour = np.stack([tint[0], tint[1] * rng.uniform(*rig.fill), tint[2] * rng.uniform(*rig.rim)])
    level = rng.uniform(*rig.ambient)
    ambient = {"sky": tuple(tint[3] * level), "ground": tuple(tint[3] * level * rng.uniform(0.5, 0.9))}
    return direction.astype(np.float32), colour.astype(np.float32), ambient
