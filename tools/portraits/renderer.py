"""Rasterises one head with hair, clothes and props through OpenGL (EGL; Mesa's llvmpipe does it on a CPU)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moderngl
import numpy as np
import numpy.typing as npt
from PIL import Image

from .heads import BODY, EYE_LEFT, EYE_RIGHT, LASHES, SCALP_LINE, Floats, Heads

Matrix = npt.NDArray[np.float64]
_SHADERS = Path(__file__).parent / "shaders"
_SHADOW = 384
_LAYERS = {"skin": 0, "scalp": 1, "torso": 2, "details": 3}  # draws of the body and their LAYER in body.frag
_CLOTH_AWAY = 0.055  # decimetres between skin and clothes


def look_at(eye: npt.ArrayLike, at: npt.ArrayLike, up: npt.ArrayLike) -> Matrix:
    """World to camera, 4 x 4."""
    eye, at, up = (np.asarray(x, float) for x in (eye, at, up))
    forward = (at - eye) / np.linalg.norm(at - eye)
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    m = np.eye(4)
    m[0, :3], m[1, :3], m[2, :3] = right, np.cross(right, forward), -forward
    m[:3, 3] = -m[:3, :3] @ eye
    return m


def perspective(vertical_fov: float, near: float, far: float) -> Matrix:
    """OpenGL projection of a square picture; angle in radians."""
    t = 1 / math.tan(vertical_fov / 2)
    m = np.zeros((4, 4))
    m[0, 0] = m[1, 1] = t
    m[2, 2], m[2, 3], m[3, 2] = (far + near) / (near - far), 2 * far * near / (near - far), -1
    return m


def orthographic(radius: float, near: float, far: float) -> Matrix:
    m = np.eye(4)
    m[0, 0] = m[1, 1] = 1 / radius
    m[2, 2], m[2, 3] = -2 / (far - near), -(far + near) / (far - near)
    return m


@dataclass(frozen=True)
class Prop:
    """Coloured triangles in world coordinates: rows of (x, y, z, nx, ny, nz, r, g, b, gloss).

    ``triangles`` (t x 3) are indices of rows; without them, every three rows are one. Hair has its tangents
    in place of normals, and minus its openness in place of gloss.
    """

    vertices: Floats
    triangles: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Scene:
    """What one call of the renderer draws. Colours are linear; ``uniforms`` are those of body.frag and
    lighting.glsl.
    """

    positions: Floats
    camera: Matrix
    light_target: npt.NDArray[np.float64]
    light_dir: Floats
    light_col: Floats
    uniforms: dict[str, Any]
    hair_shells: int
    props: tuple[Prop, ...]


class Renderer:
    """Draws scenes at ``size`` x ``size`` px with ``factor`` x ``factor`` supersampling."""

    def __init__(self, heads: Heads, size: int = 128, factor: int = 2) -> None:
        self.heads, self.size, self.factor = heads, size, factor
        gl = self.gl = moderngl.create_context(standalone=True, backend="egl")
        full = size * factor
        self._targets = [gl.texture((full, full), 4, dtype="f2") for _ in range(2)]
        self._canvas = gl.framebuffer(self._targets, gl.depth_texture((full, full)))
        self._shadow = gl.depth_texture((_SHADOW, _SHADOW))
        self._shadow.compare_func = "<="
        self._shadow.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self._shadow_canvas = gl.framebuffer([], self._shadow)
        self._small = gl.framebuffer([gl.texture((size, size), 4, dtype="f4") for _ in range(2)])

        def text(name: str) -> str:
            return (_SHADERS / name).read_text()

        lit = "#version 330\n" + text("lighting.glsl")
        self._body = {}
        for name, layer in _LAYERS.items():
            define = f"#define LAYER {layer}\n"
            vertex = f"#version 330\n{define}" + text("body.vert")
            self._body[name] = gl.program(vertex, lit + define + text("body.frag"))
        self._prop = gl.program(text("prop.vert"), lit + text("prop.frag"))
        self._depth = gl.program(text("shadow.vert"), text("shadow.frag"))
        self._resolve = gl.program(text("resolve.vert"), text("resolve.frag"))
        self._resolve_va = gl.vertex_array(self._resolve, [])
        masks = [
            np.asarray(Image.open(heads.texture_dir / f"mpfb_{n}.jpg").convert("L").resize((1024, 1024)))
            for n in ("lips", "eyelids", "face")
        ]
        self._masks = gl.texture((1024, 1024), 3, np.stack(masks, -1).tobytes())
        self._noise = gl.texture3d(
            (32, 32, 32), 4, np.random.default_rng(0).integers(0, 256, (32, 32, 32, 4), np.uint8).tobytes()
        )
        for texture in (self._masks, self._noise):
            texture.filter = (moderngl.LINEAR, moderngl.LINEAR)
        self._make_buffers()

    def _make_buffers(self) -> None:
        gl, h = self.gl, self.heads
        self._dynamic = gl.buffer(reserve=len(h.corners) * 24, dynamic=True)
        part = h.corner_part[:, None]
        tri_part = h.corners[h.corner_triangles[:, 0], 2]
        rest = h.rest[h.triangles]
        line = np.interp(h.rest[:, 2], *SCALP_LINE)
        scalp = (h.rest[:, 1] > line - 0.3)[h.triangles].any(1) & (rest[..., 1].min(1) > 6.2)
        groups = {
            "skin": np.flatnonzero(tri_part == BODY),
            "details": _lashes_last(tri_part),
            "solid": np.flatnonzero(np.isin(tri_part, (BODY, EYE_LEFT, EYE_RIGHT))),
            "scalp": np.flatnonzero((tri_part == BODY) & scalp),
            "torso": np.flatnonzero((tri_part == BODY) & (rest[..., 1].min(1) < 6.2)),
        }
        index = {k: gl.buffer(h.corner_triangles[v].astype("i4").tobytes()) for k, v in groups.items()}
        self._solid_depth = gl.vertex_array(self._depth, [(self._dynamic, "3f 3x4", "pos")], index["solid"])
        openness = self._bake_openness()
        static = gl.buffer(
            np.concatenate([h.rest[h.corners[:, 0]], h.uv, part, openness[h.corners[:, 0], None]], 1)
            .astype("f4")
            .tobytes()
        )
        self._arrays = {
            name: gl.vertex_array(
                program,
                [
                    _layout(program, self._dynamic, {"pos": 3, "nrm": 3}),
                    _layout(program, static, {"rest": 3, "uv": 2, "part": 1, "open": 1}),
                ],
                index[name],
            )
            for name, program in self._body.items()
        }

    def _upload(self, positions: Floats) -> None:
        normals = self.heads.normals(positions)
        vertex = self.heads.corners[:, 0]
        self._dynamic.write(np.concatenate([positions[vertex], normals[vertex]], 1).astype("f4").tobytes())

    def _bake_openness(self, directions: int = 96) -> Floats:
        """How much of the sky each vertex of the rest mesh sees (cosine-weighted), 0-1."""
        rest, normals = self.heads.rest, self.heads.normals(self.heads.rest)
        self._upload(rest)
        i = np.arange(directions) + 0.5
        polar, turn = np.arccos(1 - 2 * i / directions), np.pi * (1 + 5**0.5) * i  # Fibonacci sphere
        seen, weight = np.zeros(len(rest)), np.full(len(rest), 1e-6)
        centre = np.array([0, 6.3, 0.4])
        for d in np.stack([np.cos(turn) * np.sin(polar), np.cos(polar), np.sin(turn) * np.sin(polar)], 1):
            m = orthographic(4, 0.1, 16) @ look_at(centre + d * 8, centre, [0, 1, 0.01])
            self._draw_shadow(m, ())
            depth = np.frombuffer(self._shadow.read(), np.float32).reshape(_SHADOW, _SHADOW)
            q = (np.c_[rest + normals * 0.02, np.ones(len(rest))] @ m.T)[:, :3] * 0.5 + 0.5
            px = np.clip((q[:, :2] * _SHADOW).astype(int), 0, _SHADOW - 1)
            cosine = np.maximum(normals @ d, 0)
            seen += (q[:, 2] - 0.0015 < depth[px[:, 1], px[:, 0]]) * cosine
            weight += cosine
        return np.asarray(seen / weight, np.float32)

    def _draw_shadow(self, matrix: Matrix, props: tuple[Any, ...]) -> None:
        self._shadow_canvas.use()
        self._shadow_canvas.clear(depth=1.0)
        self.gl.enable(moderngl.DEPTH_TEST)
        self.gl.depth_func = "<="
        self._depth["light_mvp"].write(_gl_bytes(matrix))
        self._solid_depth.render()
        for prop in props:
            prop.render()

    @staticmethod
    def _set(program: moderngl.Program, values: dict[str, Any]) -> None:
        for name, value in values.items():
            member = program.get(name, None)
            if isinstance(member, moderngl.Uniform):
                member.value = value

    def render(self, scene: Scene) -> tuple[Floats, Floats]:
        """Premultiplied linear RGBA and (irradiance RGB, share of bare skin), each size x size x 4, top
        row first.
        """
        self._upload(scene.positions)
        light = orthographic(2.6, 0.1, 16) @ look_at(
            scene.light_target + scene.light_dir[0] * 8, scene.light_target, [0, 1, 0.01]
        )
        buffers = [self.gl.buffer(p.vertices.astype("f4").tobytes()) for p in scene.props]
        corners = [p.triangles if p.triangles is None else self.gl.buffer(p.triangles) for p in scene.props]
        prop_arrays = [
            self.gl.vertex_array(self._prop, [(b, "3f 3f 3f 1f", "pos", "nrm", "colour", "gloss")], index)
            for b, index in zip(buffers, corners, strict=True)
        ]
        prop_depth = [
            self.gl.vertex_array(self._depth, [(b, "3f 7x4", "pos")], index)
            for b, index in zip(buffers, corners, strict=True)
        ]
        self._draw_shadow(light, tuple(prop_depth))
        self._canvas.use()
        self._canvas.clear(0, 0, 0, 0, depth=1.0)
        self._masks.use(0)
        self._shadow.use(1)
        self._noise.use(2)
        common = {**scene.uniforms, "masks": 0, "shadow_map": 1, "noise_tex": 2}
        for program in (*self._body.values(), self._prop):
            program["mvp"].write(_gl_bytes(scene.camera))
            program["light_mvp"].write(_gl_bytes(light))
            program["light_dir"].write(scene.light_dir.astype("f4").tobytes())
            program["light_col"].write(scene.light_col.astype("f4").tobytes())
            self._set(program, common)
        for name in ("skin", "details", "torso"):
            self._set(self._body[name], {"inflate": _CLOTH_AWAY if name == "torso" else 0.0})
            self._arrays[name].render()
        for k in range(scene.hair_shells, 0, -1):
            self._set(self._body["scalp"], {"inflate": k / scene.hair_shells})
            self._arrays["scalp"].render()
        for array in prop_arrays:
            array.render()
        self._small.use()
        self.gl.disable(moderngl.DEPTH_TEST)
        for unit, texture in enumerate(self._targets):
            texture.use(3 + unit)
        self._set(self._resolve, {"colour": 3, "irradiance": 4, "factor": self.factor})
        self._resolve_va.render(moderngl.TRIANGLES, 3)
        for item in (*prop_arrays, *prop_depth, *buffers, *(c for c in corners if c is not None)):
            item.release()
        colour, irradiance = (
            np.frombuffer(t.read(), np.float32).reshape(self.size, self.size, 4)[::-1]
            for t in self._small.color_attachments
        )
        return colour, irradiance


def _layout(program: moderngl.Program, buffer: moderngl.Buffer, members: dict[str, int]) -> tuple[Any, ...]:
    """A buffer of floats as moderngl wants it; what the compiled program does without is skipped."""
    used = [name for name in members if name in program]
    shape = " ".join(f"{n}f" if name in used else f"{n}x4" for name, n in members.items())
    return (buffer, shape, *used)


def _lashes_last(part: Floats) -> npt.NDArray[np.int64]:
    """Triangles of eyes, mouth and lashes; the lashes let the lid shine through."""
    details = np.flatnonzero(part != BODY)
    return np.asarray(details[np.argsort(part[details] == LASHES, kind="stable")])


def _gl_bytes(m: Matrix) -> bytes:
    return np.ascontiguousarray(m.T, np.float32).tobytes()
