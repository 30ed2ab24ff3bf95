"""Procedural backgrounds, one for each context, drawn with Pillow and softened as by a wide lens. Never
tied to tone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

_S = 160  # canvas; the visible part is a random crop
Rng = np.random.Generator
Pen = ImageDraw.ImageDraw
_SCENES: dict[str, Callable[[Pen, Rng], None]] = {}


def _scene(f: Callable[[Pen, Rng], None]) -> Callable[[Pen, Rng], None]:
    _SCENES[f.__name__.lstrip("_")] = f
    return f


def _fill(d: Pen, colour: str) -> None:
    d.rectangle((0, 0, _S, _S), fill=colour)


def _fade(d: Pen, top: str, bottom: str, y0: int = 0, y1: int = _S) -> None:
    a, b = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (top, bottom))
    for y in range(y0, y1):
        t = (y - y0) / max(1, y1 - y0 - 1)
        d.line((0, y, _S, y), fill=tuple(int(v) for v in a + (b - a) * t))


@_scene
def _skyline(d: Pen, r: Rng) -> None:
    _fade(d, "#8cb8e4", "#e4eef6")
    for x in range(-5, _S, 18):
        top = int(r.integers(40, 105))
        d.rectangle((x, top, x + 14, _S), fill="#6c8098")
        for y in range(top + 4, _S, 8):
            for i in (3, 8):
                d.rectangle((x + i, y, x + i + 2, y + 3), fill="#d8e8f4")


@_scene
def _law_books(d: Pen, r: Rng) -> None:
    _fill(d, "#3a2012")
    for y in range(4, _S, 36):
        x = 0
        while x < _S:
            w = int(r.integers(5, 11))
            colour = ("#7c1c1c", "#1c4c2c", "#8c6420", "#5c3018")[int(r.integers(4))]
            d.rectangle((x, y + int(r.integers(6)), x + w - 1, y + 31), fill=colour)
            d.line((x + 1, y + 10, x + w - 2, y + 10), fill="#d8b450")
            x += w


@_scene
def _clinic(d: Pen, r: Rng) -> None:
    _fade(d, "#d8eee4", "#c0e0d0")
    x = int(r.integers(10, 40))
    d.rectangle((x, 20, x + 34, 54), fill="#ffffff")
    d.rectangle((x + 13, 24, x + 20, 50), fill="#d83838")
    d.rectangle((x + 4, 33, x + 30, 40), fill="#d83838")
    d.rectangle((_S - 44, 10, _S - 12, 90), fill="#e8f4fa", outline="#98b8b0")


@_scene
def _panels(d: Pen, r: Rng) -> None:
    _fill(d, "#5c3820")
    for x in range(int(r.integers(-20, 0)), _S, 40):
        d.rectangle((x + 4, 10, x + 36, 70), fill="#7c5030", outline="#3c2010")
        d.rectangle((x + 4, 80, x + 36, _S), fill="#7c5030", outline="#3c2010")


@_scene
def _chalkboard(d: Pen, r: Rng) -> None:
    _fill(d, "#24503c")
    for _ in range(26):
        x, y = r.integers(0, _S - 26), r.integers(4, _S - 10)
        d.line((x, y, x + int(r.integers(6, 24)), y + int(r.integers(-2, 3))), fill="#c8dcd0", width=2)
    d.rectangle((0, 0, _S, 6), fill="#8c6438")


@_scene
def _flasks(d: Pen, r: Rng) -> None:
    _fade(d, "#e4ecf8", "#c8d4e8")
    for y in (52, 110):
        d.rectangle((0, y, _S, y + 4), fill="#8894a4")
        for x in range(int(r.integers(4, 12)), _S, 20):
            c = ("#e83c8c", "#20b8a0", "#f0a020", "#7048d8")[int(r.integers(4))]
            d.polygon([(x, y), (x + 14, y), (x + 9, y - 18), (x + 5, y - 18)], fill=c)
            d.rectangle((x + 5, y - 28, x + 9, y - 17), fill="#ffffff")


@_scene
def _blueprint(d: Pen, r: Rng) -> None:
    _fill(d, "#2c5cac")
    for k in range(0, _S, 16):
        d.line((k, 0, k, _S), fill="#4478c4")
        d.line((0, k, _S, k), fill="#4478c4")
    for _ in range(5):
        x, y, w, h = r.integers(0, 100), r.integers(0, 100), r.integers(20, 60), r.integers(20, 60)
        d.rectangle((x, y, x + w, y + h), outline="#f0f6ff", width=2)


@_scene
def _cockpit(d: Pen, r: Rng) -> None:
    _fade(d, "#58a0e8", "#d0e8fc", 0, 90)
    d.rectangle((0, 88, _S, _S), fill="#24282e")
    d.polygon([(74, 0), (86, 0), (90, 90), (70, 90)], fill="#2c3036")
    for x in range(8, _S, 22):
        d.ellipse((x, 98, x + 14, 112), fill=("#40e070", "#f0c040")[int(r.integers(2))], outline="#e0e0e0")


@_scene
def _machines(d: Pen, r: Rng) -> None:
    _fade(d, "#a8b4bc", "#6c7880")
    for _ in range(6):
        x, y, q = int(r.integers(0, _S)), int(r.integers(0, _S)), int(r.integers(12, 28))
        d.ellipse((x - q, y - q, x + q, y + q), fill="#4c7488", outline="#24343c", width=4)
        d.ellipse((x - q // 3, y - q // 3, x + q // 3, y + q // 3), fill="#b8c8d0")


@_scene
def _flags(d: Pen, r: Rng) -> None:
    _fill(d, "#e8ecf4")
    for x in range(int(r.integers(-10, 6)), _S, 54):
        d.rectangle((x, 0, x + 16, _S), fill="#2038a0")
        d.rectangle((x + 16, 0, x + 32, _S), fill="#d02030")


@_scene
def _classroom(d: Pen, r: Rng) -> None:
    _fill(d, "#f4e8c0")
    for i in range(12):
        x, y = 6 + 40 * (i % 4) + int(r.integers(0, 8)), 6 + 48 * (i // 4) + int(r.integers(0, 8))
        c = ("#f06040", "#40a0e0", "#60c060", "#f0c030", "#b060d0")[int(r.integers(5))]
        d.rectangle((x, y, x + 24, y + 30), fill=c)


@_scene
def _ward(d: Pen, r: Rng) -> None:
    _fill(d, "#f0f4f6")
    for x in range(int(r.integers(-12, 0)), _S, 16):
        d.rectangle((x, 0, x + 8, _S), fill="#c8e8f0")
    d.rectangle((0, 118, _S, 124), fill="#98a8b0")


@_scene
def _blue_lights(d: Pen, r: Rng) -> None:
    _fade(d, "#101830", "#283c64")
    for x in (20, 130):
        y = int(r.integers(20, 60))
        c = "#3c70ff" if r.random() < 0.5 else "#ff3040"
        d.ellipse((x - 24, y - 24, x + 24, y + 24), fill=c)
        d.ellipse((x - 9, y - 9, x + 9, y + 9), fill="#ffffff")


@_scene
def _flames(d: Pen, r: Rng) -> None:
    _fade(d, "#2c1010", "#701808")
    for x in range(-10, _S, 13):
        h = int(r.integers(50, 120))
        d.polygon([(x, _S), (x + 24, _S), (x + 12 + int(r.integers(-8, 8)), _S - h)], fill="#f06010")
        d.polygon([(x + 5, _S), (x + 19, _S), (x + 12, _S - h // 2)], fill="#ffd030")


@_scene
def _kitchen(d: Pen, r: Rng) -> None:
    _fill(d, "#c8ccd0")
    d.rectangle((0, 20, _S, 25), fill="#585c60")
    for x in range(int(r.integers(2, 10)), _S, 26):
        d.line((x + 9, 24, x + 9, 40), fill="#383838", width=2)
        d.ellipse((x, 38, x + 18, 56), fill=("#c87838", "#484c50")[int(r.integers(2))])
    d.rectangle((0, 100, _S, _S), fill="#94683c")


@_scene
def _screens(d: Pen, r: Rng) -> None:
    _fill(d, "#181c24")
    for y in (8, 62, 116):
        for x in range(-6, _S, 56):
            c = ("#3888d0", "#d04848", "#48b0a0", "#d8d8d8")[int(r.integers(4))]
            d.rectangle((x, y, x + 48, y + 42), fill=c)
            d.rectangle((x, y + 34, x + 48, y + 42), fill="#f4f4f4")


@_scene
def _studio(d: Pen, r: Rng) -> None:
    _fade(d, "#90949a", "#505458")
    x = 10 if r.random() < 0.5 else 104
    d.rectangle((x, 10, x + 46, 66), fill="#ffffff", outline="#181818", width=4)
    d.line((x + 23, 66, x + 23, _S), fill="#181818", width=4)


@_scene
def _stage(d: Pen, r: Rng) -> None:
    _fade(d, "#240c38", "#501870")
    for x in (20, 80, 140):
        c = ("#f040c0", "#40d0f0", "#f0e060")[int(r.integers(3))]
        k = int(r.integers(-25, 25))
        d.polygon([(x - 4, 0), (x + 4, 0), (x + 24 + k, _S), (x - 24 + k, _S)], fill=c)


@_scene
def _track(d: Pen, r: Rng) -> None:
    _fade(d, "#70b8f0", "#c8e8f8", 0, 60)
    d.rectangle((0, 60, _S, 78), fill="#3c9c48")
    d.rectangle((0, 78, _S, _S), fill="#c85434")
    for y in (88, 104, 126, 150):
        d.line((0, y, _S, y + int(r.integers(-3, 4))), fill="#f8f0ec", width=3)


@_scene
def _fuse_boxes(d: Pen, r: Rng) -> None:
    _fill(d, "#b4b8b0")
    for x in range(int(r.integers(-8, 4)), _S, 44):
        d.rectangle((x, 10, x + 36, 96), fill="#707870", outline="#303430")
        for y in range(18, 92, 14):
            d.rectangle((x + 6, y, x + 30, y + 7), fill=("#f0c020", "#202420", "#e04030")[int(r.integers(3))])


@_scene
def _corridor(d: Pen, r: Rng) -> None:
    c = int(r.integers(64, 96))
    _fill(d, "#d8d0b0")
    d.polygon([(0, _S), (c - 14, 92), (c + 14, 92), (_S, _S)], fill="#a89878")
    d.polygon([(0, 0), (c - 14, 44), (c + 14, 44), (_S, 0)], fill="#ece8d8")
    d.rectangle((c - 14, 44, c + 14, 92), fill="#8c8468")


@_scene
def _scaffold(d: Pen, r: Rng) -> None:
    _fade(d, "#b0d0e8", "#e0d8c4")
    d.rectangle((0, 60, _S, _S), fill="#c8a474")
    for x in range(int(r.integers(0, 12)), _S, 36):
        d.line((x, 0, x, _S), fill="#787068", width=4)
        d.line((x, 0, x + 36, 60), fill="#787068", width=2)
    for y in (30, 84, 138):
        d.line((0, y, _S, y), fill="#8c5c30", width=5)


@_scene
def _field(d: Pen, r: Rng) -> None:
    h = int(r.integers(58, 84))
    _fade(d, "#68b0f0", "#d4ecfc", 0, h)
    d.rectangle((0, h, _S, _S), fill="#6ca030")
    for x in range(-160, 320, 26):
        d.line((_S // 2 + (x - 80) // 8, h, x, _S), fill="#b8a040", width=5)


@_scene
def _tiles(d: Pen, r: Rng) -> None:
    _fill(d, "#b8e0f0")
    k = int(r.integers(0, 20))
    for x in range(-k, _S, 20):
        d.line((x, 0, x, _S), fill="#f8fcff", width=3)
        d.line((0, x, _S, x), fill="#f8fcff", width=3)


@_scene
def _shop_shelves(d: Pen, r: Rng) -> None:
    _fill(d, "#f4f0e8")
    for y in range(4, _S, 38):
        d.rectangle((0, y + 30, _S, y + 34), fill="#989490")
        for x in range(2, _S, 12):
            c = ("#e83020", "#f0b010", "#2070d0", "#30a040", "#f06cb0")[int(r.integers(5))]
            d.rectangle((x, y + int(r.integers(4, 12)), x + 9, y + 29), fill=c)


@_scene
def _steel(d: Pen, r: Rng) -> None:
    _fade(d, "#8c98a0", "#c4d0d8")
    for y in (34, 84, 134):
        d.rectangle((0, y, _S, y + 4), fill="#5c666e")
        for x in range(int(r.integers(0, 10)), _S, 18):
            d.ellipse((x, y - 26, x + 15, y - 1), fill="#f4f6f8", outline="#98a4ac")


@_scene
def _gate(d: Pen, r: Rng) -> None:
    _fade(d, "#787c84", "#3c4048")
    for x in range(int(r.integers(-6, 4)), _S, 12):
        d.line((x, 0, x, _S), fill="#16181c", width=4)
    d.line((0, 20, _S, 20), fill="#16181c", width=6)


@_scene
def _taxi(d: Pen, r: Rng) -> None:
    _fill(d, "#f4c010")
    d.rectangle((0, 12, _S, 84), fill="#90b4c8")
    d.rectangle((0, 96, _S, 120), fill="#f8f8f8")
    for i, x in enumerate(range(int(r.integers(-10, 0)), _S, 12)):
        d.rectangle((x, 96 + 12 * (i % 2), x + 12, 108 + 12 * (i % 2)), fill="#101010")


@_scene
def _street(d: Pen, r: Rng) -> None:
    _fade(d, "#c0d8ec", "#e8eef0")
    x = -8
    while x < _S:
        w, top = int(r.integers(24, 44)), int(r.integers(10, 40))
        d.rectangle((x, top, x + w, 128), fill=("#b8583c", "#d8b088", "#8c9488")[int(r.integers(3))])
        for y in range(top + 6, 118, 20):
            d.rectangle((x + 6, y, x + w - 8, y + 9), fill="#e8f4fc")
        x += w
    d.rectangle((0, 128, _S, _S), fill="#585c60")


@_scene
def _bins(d: Pen, r: Rng) -> None:
    _fill(d, "#a89c8c")
    for y in range(0, 90, 12):
        for x in range(-12 + 6 * (y // 12 % 2), _S, 24):
            d.rectangle((x, y, x + 21, y + 9), fill="#9c5c44")
    for x in range(int(r.integers(-6, 6)), _S, 52):
        d.rectangle((x, 78, x + 40, _S), fill="#246c34")
        d.rectangle((x - 3, 70, x + 43, 80), fill="#184c24")


@_scene
def _balloons(d: Pen, r: Rng) -> None:
    _fade(d, "#fce4ec", "#e0f0fc")
    for _ in range(11):
        x, y = int(r.integers(0, _S)), int(r.integers(0, 130))
        c = ("#f04060", "#40b0f0", "#f8c020", "#60d060", "#b060f0")[int(r.integers(5))]
        d.ellipse((x - 13, y - 16, x + 13, y + 16), fill=c)


@_scene
def _flowers(d: Pen, r: Rng) -> None:
    _fade(d, "#f8f0f4", "#e8dce4")
    for _ in range(40):
        x, y, q = int(r.integers(0, _S)), int(r.integers(0, _S)), int(r.integers(6, 11))
        c = ("#ffffff", "#f4b0c4", "#f8d8e0", "#78a868")[int(r.integers(4))]
        d.ellipse((x - q, y - q, x + q, y + q), fill=c)


@_scene
def _park(d: Pen, r: Rng) -> None:
    _fade(d, "#88c8f4", "#d8f0fc")
    for _ in range(6):
        x, y, q = int(r.integers(0, _S)), int(r.integers(40, 80)), int(r.integers(20, 34))
        d.rectangle((x - 4, y, x + 4, 130), fill="#6c4828")
        d.ellipse((x - q, y - q, x + q, y + q), fill=("#2c7c30", "#48983c")[int(r.integers(2))])
    d.rectangle((0, 112, _S, _S), fill="#78c050")


@_scene
def _beach(d: Pen, r: Rng) -> None:
    _fade(d, "#58b8f8", "#c8ecfc", 0, 70)
    _fade(d, "#1c88c0", "#58c8d8", 70, 112)
    d.rectangle((0, 112, _S, _S), fill="#f0dca8")
    x = int(r.integers(6, 120))
    d.ellipse((x, 8, x + 24, 32), fill="#fff8d0")


@_scene
def _alley(d: Pen, r: Rng) -> None:
    _fill(d, "#4c4440")
    for y in range(0, _S, 12):
        for x in range(-12 + 12 * (y // 12 % 2), _S, 24):
            d.rectangle((x, y, x + 22, y + 10), fill=("#6c5850", "#5c4c46")[int(r.integers(2))])
    d.rectangle((0, 124, _S, _S), fill="#34302c")


@_scene
def _height_chart(d: Pen, r: Rng) -> None:
    _fill(d, "#d4d4cc")
    for y in range(int(r.integers(0, 16)), _S, 18):
        d.line((0, y, _S, y), fill="#2c2c30", width=2)
    for y in range(9, _S, 18):
        d.line((0, y, 30, y), fill="#8c8c88", width=1)


def background(name: str, size: int, rng: Rng) -> npt.NDArray[np.float64]:
    """A softened sRGB background, size x size x 3, 0-1.

    Raises:
        KeyError: for an unknown scene.
    """
    picture = Image.new("RGB", (_S, _S))
    _SCENES[name](ImageDraw.Draw(picture), rng)
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(1.2, 3.5))))
    side = float(rng.uniform(0.75, 1.0)) * _S
    x, y = rng.uniform(0, _S - side, 2)
    picture = picture.resize((size, size), Image.Resampling.BILINEAR, (x, y * 0.4, x + side, y * 0.4 + side))
    # Rooms are brighter on one side.
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    slope = np.clip(1 + x * rng.normal(0, 0.25) + y * rng.normal(0.1, 0.2), 0.5, 1.4)[..., None]
    return np.asarray(np.clip(np.asarray(picture, float) / 255 * slope, 0, 1))
