"""Hair as ribbons that grow from the scalp, fall, curl and are combed; never tied to tone.

Works in the head's own coordinates (decimetres, see heads.py), before the head is turned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .heads import BODY, SCALP_LINE, Floats, Heads

Array = npt.NDArray[np.float64]
Rng = np.random.Generator
Ribbons = tuple[Floats, npt.NDArray[np.int32]]

_SKULL = np.array([0.0, 7.55, 0.56])
_SKULL_HALF = np.array([0.80, 0.97, 1.02])
_FACE_HALF_WIDTH = 0.70  # long hair is kept out of the face
_BROW = 7.58  # a fringe ends here


@dataclass(frozen=True)
class Style:
    """How hair grows and lies.

    Attributes:
        word: what captions call it. count: ribbons. length: decimetres, lowest and highest.
        width: half width of a ribbon, decimetres. rise: how far it stands off before it falls, 0-1.
        gravity, comb: pull downwards and sideways from the parting, each step. back: pull to the nape.
        curl: radius of the curls, decimetres. turns: curls a decimetre. fringe: whether the front falls
        over the forehead. spread: how much ribbons differ from each other.
        gathered: whether all are pulled to a knot at the back of the crown. hold: how closely the hair
        follows the head before it hangs free, 0-1.
    """

    word: str
    count: int
    length: tuple[float, float]
    width: float
    rise: float
    gravity: float = 0.0
    comb: float = 0.0
    back: float = 0.0
    curl: float = 0.0
    turns: float = 3.0
    fringe: bool = False
    spread: float = 0.25
    gathered: bool = False
    hold: float = 0.0

    @property
    def long(self) -> bool:
        """Whether it hangs below the ears."""
        return self.length[1] >= 1.0


STYLES: dict[str, Style] = {
    "bald": Style("a bald head", 0, (0, 0), 0, 0),
    "buzz": Style("very short hair", 3400, (0.04, 0.08), 0.016, 0.5, 1.0, back=-0.3, spread=0.4),
    "crop": Style("short hair", 3400, (0.12, 0.24), 0.017, 0.3, 4.0, back=-0.3, spread=0.25),
    "side": Style(
        "short hair", 3000, (0.3, 0.5), 0.018, 0.22, 4.0, comb=0.8, back=0.25, spread=0.15, hold=0.35
    ),
    "swept": Style("short hair", 3000, (0.35, 0.6), 0.018, 0.32, 2.5, back=0.9, spread=0.14, hold=0.3),
    "fringe": Style("short hair", 3000, (0.35, 0.5), 0.020, 0.2, 3.0, 0.15, -0.5, fringe=True, spread=0.18),
    "coils": Style("curly hair", 3600, (0.2, 0.4), 0.024, 0.9, 0.5, curl=0.05, turns=5.0, spread=0.5),
    "afro": Style("curly hair", 5200, (0.45, 0.75), 0.026, 1.0, curl=0.045, turns=6.0, spread=0.4),
    "bob": Style("straight hair", 2000, (1.2, 1.7), 0.030, 0.25, 5.0, comb=0.8, spread=0.08, hold=0.75),
    "bob_fringe": Style(
        "straight hair", 2200, (1.2, 1.6), 0.030, 0.2, 5.0, 0.7, fringe=True, spread=0.08, hold=0.75
    ),
    "long": Style("long hair", 2000, (2.4, 3.4), 0.032, 0.2, 5.0, comb=0.8, spread=0.1, hold=0.75),
    "wavy": Style(
        "long hair", 2000, (1.8, 3.0), 0.032, 0.3, 4.0, 0.8, curl=0.06, turns=0.6, spread=0.15, hold=0.65
    ),
    "curls": Style(
        "curly hair", 2300, (1.1, 1.9), 0.030, 0.6, 2.2, 0.7, curl=0.08, turns=1.7, spread=0.3, hold=0.4
    ),
    "braids": Style("braids", 340, (1.8, 2.8), 0.055, 0.2, 5.0, comb=0.8, spread=0.12, hold=0.7),
    "locs": Style("locs", 280, (0.9, 2.2), 0.075, 0.3, 3.5, comb=0.7, spread=0.25, hold=0.55),
    "knot": Style("hair in a bun", 1700, (1.5, 1.8), 0.028, 0.1, gathered=True, spread=0.04),
}
_STRANDED = ("braids", "locs")


@dataclass(frozen=True)
class Roots:
    """Where hair may grow: triangles of the scalp (indices of vertices) and their areas in the rest mesh."""

    triangles: npt.NDArray[np.int64]
    areas: Array
    height: Array  # of each triangle above the hairline, decimetres

    @classmethod
    def of(cls, heads: Heads) -> Roots:
        part = heads.corners[heads.corner_triangles[:, 0], 2]
        rest = heads.rest[heads.triangles].astype(float)
        middle = rest.mean(1)
        ear = np.zeros(len(heads.rest), bool)
        for name, offset in heads.targets.items():
            if name.startswith("ears/"):
                ear |= (np.abs(offset).max(1) > 0.02) & (np.abs(heads.rest[:, 0]) > 0.70)
        height = middle[:, 1] - np.interp(middle[:, 2], *SCALP_LINE)
        keep = (part == BODY) & (height > -0.12) & (middle[:, 1] > 6.3) & ~ear[heads.triangles].any(1)
        area = np.linalg.norm(np.cross(rest[:, 1] - rest[:, 0], rest[:, 2] - rest[:, 0]), axis=1) / 2
        return cls(heads.triangles[keep], area[keep], height[keep])


@dataclass
class _Scalp:
    """Roots of the ribbons on one head, n x 3 each, and the lengths (n, decimetres) that grow there.

    Attributes:
        points, normals: on the deformed head. rest: the same points on the rest mesh.
        centre, scale: middle of the skull, and its size beside the rest skull's.
    """

    points: Array
    normals: Array
    rest: Array
    length: Array
    centre: Array
    scale: Array

    def outside(self, points: Array, distance: float | Array, hold: float = 0.0) -> Array:
        """Points pushed out of the skull's ellipsoid (grown by ``distance``); those beyond it are drawn back
        by the share ``hold`` where the head still carries them.
        """
        d = (points - self.centre) / self._half(distance)
        r = np.maximum(np.linalg.norm(d, axis=-1, keepdims=True), 1e-6)
        carried = points[..., 1:2] > self.centre[1] - 0.25
        pushed = np.where(r < 1, 1.0, 1 + (1 - hold) * (r - 1))
        return np.where(carried, self.centre + d / r * pushed * self._half(distance), points)

    def off(self, points: Array, distance: Array) -> npt.NDArray[np.bool_]:
        """Which points no longer lie on the hair that covers the skull."""
        return np.asarray(np.linalg.norm((points - self.centre) / self._half(distance), axis=1) > 1)

    def _half(self, distance: float | Array) -> Array:
        return np.asarray((_SKULL_HALF + np.asarray(distance)[..., None]) * self.scale)


def _rooted(
    heads: Heads,
    roots: Roots,
    positions: Floats,
    style: Style,
    rng: Rng,
    *,
    fitted: Array,
    hairline: float,
    recede: float,
    rim: float | None,
) -> _Scalp:
    rest = heads.rest[roots.triangles].mean(1).astype(float)
    temple = np.exp(-(((np.abs(rest[:, 0]) - 0.42) / 0.2) ** 2)) * (rest[:, 2] > 0.5) * (rest[:, 1] > 7.6)
    crown = np.exp(-((rest[:, 0] / 0.45) ** 2 + ((rest[:, 2] - 0.35) / 0.5) ** 2)) * (rest[:, 1] > 8.0)
    above = roots.height - hairline - recede * (0.35 * temple + 0.12 * (rest[:, 2] > 0.9))
    weights = roots.areas * ((above > 0.0) & ~((recede > 0.75) & (crown > 0.45)))
    pick = rng.choice(len(weights), style.count, p=weights / weights.sum())
    share = rng.dirichlet([1, 1, 1], style.count)
    corners = roots.triangles[pick]

    def on(values: Floats) -> Array:
        return np.asarray(np.einsum("nk,nkd->nd", share, values[corners].astype(float)))

    normals = on(heads.normals(positions))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    spread = rng.uniform(1 - style.spread, 1 + style.spread * 0.4, style.count)
    rest, length = on(heads.rest), rng.uniform(*style.length) * spread
    if not style.long:  # clipped at the nape and about the ears
        length *= 0.35 + 0.65 * np.clip((rest[:, 1] - 7.1) / 0.8, 0, 1)
    keep = np.ones(style.count, bool)
    if rim is not None:
        keep = rest[:, 1] < rim - 0.02
        length = length if style.long else np.minimum(length, 0.07)
    return _Scalp(
        on(positions)[keep],
        normals[keep],
        rest[keep],
        length[keep],
        fitted[:3, :3] @ _SKULL + fitted[:3, 3],
        np.diag(fitted[:3, :3]),
    )


def _gathered(scalp: _Scalp, steps: int, lift: Array) -> Array:
    """Ribbons combed to a knot at the back of the crown, n x points x 3."""
    knot = scalp.centre + np.array([0.0, 0.55, -0.95]) * scalp.scale
    step = (scalp.length / steps)[:, None]
    path = [scalp.points + scalp.normals * 0.004]
    for _ in range(steps):
        towards = knot - path[-1]
        away = np.linalg.norm(towards, axis=1, keepdims=True)
        q = path[-1] + towards / np.maximum(away, 1e-6) * np.minimum(step, away)
        path.append(scalp.outside(q, 0.02 + 0.3 * lift))
    return np.stack(path, 1)


def _combed(scalp: _Scalp, style: Style, steps: int, lift: Array, rng: Rng) -> Array:
    """Ribbons that leave the scalp, are combed along it, and fall: n x points x 3."""
    p, n, centre = scalp.points, scalp.normals, scalp.centre
    brow = centre[1] + (_BROW - _SKULL[1]) * scalp.scale[1]
    half_face = _FACE_HALF_WIDTH * scalp.scale[0]
    parting = float(rng.choice([-1, 1]) * rng.uniform(0, 0.35))
    side = np.where(p[:, 0] > parting, 1.0, -1.0)
    fringed = np.full(len(p), style.fringe) & (scalp.rest[:, 2] > 0.75)
    fringed &= (scalp.rest[:, 1] > 7.7) & (np.abs(p[:, 0]) < 0.6)
    ends = np.maximum(p[:, 1] - brow, 0.1) + 0.12 * rng.random(len(p))
    step = np.where(fringed, np.minimum(scalp.length, ends), scalp.length) / steps
    jitter = rng.normal(0, 0.6 * style.spread, p.shape)
    comb = np.stack([side * style.comb, np.zeros_like(side), np.full_like(side, -style.back)], 1)
    comb[fringed] = [0, -0.3, 0.9]
    comb -= np.sum(comb * n, 1, keepdims=True) * n  # along the scalp
    heading = n * style.rise + comb + jitter * (0.3 if style.long else 0.5)
    heading[:, 1] -= 0.02 * style.gravity
    path = [p + n * 0.004]
    for _ in range(steps):
        heading = heading / np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-9)
        q = scalp.outside(path[-1] + heading * step[:, None], lift, style.hold)
        heading = (q - path[-1]) / np.maximum(step[:, None], 1e-6)  # it slides along the scalp
        free = scalp.off(q, lift + 0.04)
        on_top = (q[:, 1] > centre[1] + 0.15) & ~free
        before_face = (q[:, 2] > centre[2] + 0.25) & (np.abs(q[:, 0]) < half_face)
        before_face &= style.long & ~fringed
        heading += step[:, None] * (4 * np.where(on_top[:, None], comb, 0) + 0.8 * jitter)
        heading[:, 1] -= step * np.where(before_face, 0.15, 1.0) * style.gravity
        # Long hair is drawn aside over the forehead; once it hangs free, it hangs down.
        heading[:, 0] += np.where(before_face, 4 * step * side, 0)
        hangs = free | ~(on_top | before_face)
        heading[:, ::2] *= np.where(hangs, np.exp(-0.9 * style.gravity * step), 1)[:, None]
        fallen = before_face & (q[:, 1] < brow - 0.1)
        q[:, 0] = np.where(fallen, side * (half_face + lift), q[:, 0])
        q[:, 2] = np.where(fallen, np.minimum(q[:, 2], centre[2] + 0.45), q[:, 2])
        path.append(q)
    return np.stack(path, 1)


def _curled(line: Array, scalp: _Scalp, style: Style, rng: Rng) -> Array:
    """The same ribbons wound into spirals."""
    count, points, _ = line.shape
    along = np.linspace(0, 1, points) * scalp.length[:, None]
    winding = 2 * np.pi * style.turns * along * rng.uniform(0.8, 1.2, (count, 1))
    phase = rng.uniform(0, 2 * np.pi, (count, 1)) + winding
    radius = style.curl * np.minimum(1, along / 0.15) * rng.uniform(0.6, 1.2, (count, 1))
    across = np.cross(scalp.normals, [0.3, 0.2, 0.9])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    sideways = (radius * np.cos(phase))[..., None] * across[:, None]
    return np.asarray(line + sideways + (radius * np.sin(phase))[..., None] * scalp.normals[:, None])


def grow(
    heads: Heads,
    roots: Roots,
    positions: Floats,
    style: Style,
    colour: Array,
    rng: Rng,
    *,
    fitted: Array,
    hairline: float = 0.0,
    recede: float = 0.0,
    rim: float | None = None,
) -> Ribbons | None:
    """Rows (position, tangent, colour, minus openness) and triangles of the hair, or None for a bald head.

    Args:
        positions: the head in its neutral pose. fitted: 4 x 4, from the rest skull to this one.
        colour: linear RGB. hairline: decimetres above the usual one. recede: 0-1, at the temples.
        rim: height (rest coordinates) of a hat's rim: nothing grows above it.
    """
    if style.count == 0:
        return None
    scalp = _rooted(
        heads, roots, positions, style, rng, fitted=fitted, hairline=hairline, recede=recede, rim=rim
    )
    if len(scalp.points) == 0:
        return None
    steps = int(np.clip(style.length[1] * 6, 3, 12))
    if style.curl:
        steps = max(steps, int(min(20, style.length[1] * style.turns * 5)))
    lift = 0.03 + 0.10 * rng.random(len(scalp.points)) * np.minimum(1, scalp.length / 0.5)
    line = _gathered(scalp, steps, lift) if style.gathered else _combed(scalp, style, steps, lift, rng)
    if style.curl:
        line = _curled(line, scalp, style, rng)
    return _ribbons(line, scalp.centre, style, colour, scalp.length, rng)


def _ribbons(line: Array, centre: Array, style: Style, colour: Array, length: Array, rng: Rng) -> Ribbons:
    """Flat ribbons along ``line``, facing away from the head's middle."""
    count, points, _ = line.shape
    tangent = np.gradient(line, axis=1)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-9)
    outward = line - centre
    across = np.cross(tangent, outward)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-9)
    t = np.linspace(0, 1, points)
    stranded = style.word in _STRANDED
    taper = (1 - 0.3 * t**2) if stranded else (1 - 0.75 * t**3)
    half = style.width * rng.uniform(0.7, 1.3, (count, 1)) * taper
    a, b = line - across * half[..., None], line + across * half[..., None]
    shade = rng.uniform(0.7, 1.25, (count, 1)) * (0.8 + 0.35 * t)
    if stranded:  # plaits and locs swell and narrow
        shade = shade * (0.75 + 0.4 * np.sin(t * length[:, None] * 45 + rng.uniform(0, 6, (count, 1))) ** 2)
    open_ = 0.35 + 0.65 * np.minimum(1, t * length[:, None] / 0.12)
    rows = np.empty((count, points, 2, 10), np.float32)
    rows[..., :3] = np.stack([a, b], 2)
    rows[..., 3:6] = tangent[:, :, None]
    rows[..., 6:9] = np.clip(colour * shade[..., None], 0, 0.9)[:, :, None]
    rows[..., 9] = -np.clip(open_, 0.05, 1)[:, :, None]
    first = 2 * (points * np.arange(count)[:, None] + np.arange(points - 1)).reshape(-1, 1)
    triangles = np.concatenate([first + np.array(corner) for corner in ((0, 1, 2), (1, 3, 2))])
    return rows.reshape(-1, 10), triangles.astype(np.int32)
