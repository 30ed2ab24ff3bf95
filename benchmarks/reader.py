"""The reader against a naive one and against stone, on renders of known albedo and on real photographs.

    python benchmarks/reader.py --shots SHOTS [--photos ../shared/faces/london_smiling] [--stone] [--out FILE]

SHOTS is the folder that `python -m tools.reader render --data SHOTS` fills; only its test split is used here.
With --stone, skin-tone-classifier 1.2.6 is installed into an environment of its own (.venv-stone).
"""

from __future__ import annotations

import io
import json
import statistics
import subprocess
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import page_tables
import typer
from PIL import Image, ImageFilter
from reader_home import home_table
from rich.console import Console
from rich.progress import track
from rich.table import Table
from skimage import data
from skimage.color import deltaE_ciede2000

from skin_tone import SCALES, SkinToneReader
from skin_tone.camera import Camera, careful, careless
from skin_tone.colour import hex_to_lab, ita, srgb_to_lab, srgb_to_linear
from skin_tone.faces import FaceFinder
from skin_tone.features import cut_out
from skin_tone.regions import patch_pixels
from tools.figures.stamp import READERS, write_figures
from tools.portraits.contexts import CONTEXTS
from tools.portraits.scenes import background
from tools.reader.shots import Shots

RGB = npt.NDArray[np.uint8]
ITA6, MONK = SCALES["ita6"], SCALES["monk10"]
_HERE = Path(__file__).resolve().parent
console = Console()


@dataclass(frozen=True)
class Reading:
    """What a reader said: ITA in degrees, its 90 % interval's half width, the monk10 class's number, the
    probability of its ita6 class. None in all of them: not read.
    """

    ita: float | None = None
    half: float | None = None
    monk: int | None = None
    sure: float | None = None

    @property
    def ita6(self) -> int | None:
        return None if self.ita is None else ITA6.classes.index(ITA6.classify(self.ita))


Reader = Callable[[list[RGB]], list[Reading]]


def ours() -> Reader:
    """`skin_tone.SkinToneReader`."""
    reader = SkinToneReader()

    def read(pictures: list[RGB]) -> list[Reading]:
        found = [reader.read(p)[0] for p in pictures]
        return [
            Reading()
            if r.ita is None or r.ita_sigma is None
            else Reading(
                r.ita,
                1.6449 * r.ita_sigma,
                MONK.classes.index(r.classes["monk10"]),
                r.probabilities["ita6"][r.classes["ita6"]],
            )
            for r in found
        ]

    return read


@cache
def _swatches() -> npt.NDArray[np.float64]:
    return np.array([hex_to_lab(MONK.swatches[key]) for key in MONK.classes])


def _nearest_monk(lab: npt.NDArray[np.float64]) -> int:
    return int(np.argmin(deltaE_ciede2000(_swatches(), np.tile(lab, (10, 1)))))  # type: ignore[no-untyped-call]


def naive() -> Reader:
    """Face mesh, mean colour of cheeks and forehead, class of its ITA, nearest Monk swatch."""
    finder = FaceFinder()

    def one(rgb: RGB) -> Reading:
        faces = finder.find(rgb)
        if not faces:
            return Reading()
        view = cut_out(rgb, faces[0])
        pixels, _ = patch_pixels(view.landmarks, *view.rgb.shape[:2])
        chosen = [pixels[n] for n in ("right_cheek", "left_cheek", "forehead") if n in pixels]
        at = np.concatenate(chosen)
        if len(at) == 0:
            return Reading()
        lab = srgb_to_lab(view.rgb[at[:, 0], at[:, 1]]).mean(axis=0)
        return Reading(ita(lab), None, _nearest_monk(lab))

    return lambda pictures: [one(p) for p in pictures]


class Stone:
    """skin-tone-classifier 1.2.6, in its own process and environment."""

    def __init__(self) -> None:
        home = _HERE.parent / ".venv-stone"
        python = home / "bin" / "python"
        if not (home / "ready").exists():
            console.print("Installing stone into .venv-stone ...")
            venv.create(home, with_pip=True, clear=True)
            wanted = ["skin-tone-classifier==1.2.6", "opencv-python<4.13"]
            subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
            (home / "ready").touch()
        self._process = subprocess.Popen(
            [python, _HERE / "stone_worker.py", ",".join(MONK.swatches[key] for key in MONK.classes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._folder = tempfile.TemporaryDirectory()
        self.seconds: list[float] = []

    def __call__(self, pictures: list[RGB]) -> list[Reading]:
        return [self._one(p) for p in pictures]

    def _one(self, rgb: RGB) -> Reading:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        path = Path(self._folder.name) / "picture.png"
        Image.fromarray(rgb).save(path, compress_level=1)
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = {}
        while "path" not in answer:  # it also prints notes of its own
            line = self._process.stdout.readline()
            if not line:
                raise RuntimeError("stone's process ended")
            answer = json.loads(line) if line.startswith("{") else {}
        self.seconds.append(answer["seconds"])
        if not answer["skin"]:
            return Reading()
        return Reading(ita(hex_to_lab(answer["skin"])), None, int(answer["monk"]))


def score(true_ita: npt.NDArray[np.float64], readings: list[Reading]) -> dict[str, Any]:
    """Shares among the answered, by class of the truth and overall; intervals and calibration."""
    true = np.array([ITA6.classes.index(ITA6.classify(v)) for v in true_ita])
    monk = np.array([MONK.classes.index(MONK.classify(v)) for v in true_ita])
    answered = np.array([r.ita is not None for r in readings])
    got = [
        (t, m, v, r) for t, m, v, r in zip(true, monk, true_ita, readings, strict=True) if r.ita is not None
    ]
    steps = np.array([abs(t - r.ita6) for t, _, _, r in got if r.ita6 is not None])
    monk_steps = np.array([abs(m - r.monk) for _, m, _, r in got if r.monk is not None])
    row: dict[str, Any] = {
        "n": len(readings),
        "not_read": float(1 - answered.mean()),
        "exact": float((steps == 0).mean()),
        "within_one": float((steps <= 1).mean()),
        "monk_exact": float((monk_steps == 0).mean()),
        "monk_within_one": float((monk_steps <= 1).mean()),
        "ita_rms": float(np.sqrt(np.mean([(v - r.ita) ** 2 for _, _, v, r in got if r.ita is not None]))),
    }
    for name, k in ((key, k) for k, key in enumerate(ITA6.classes)):
        mine = [abs(t - r.ita6) for t, _, _, r in got if t == k and r.ita6 is not None]
        row[f"exact[{name}]"] = float(np.mean([s == 0 for s in mine])) if mine else None
        row[f"within_one[{name}]"] = float(np.mean([s <= 1 for s in mine])) if mine else None
        row[f"not_read[{name}]"] = float(1 - answered[true == k].mean())
    if got and got[0][3].half is not None:
        inside = [abs(v - r.ita) <= r.half for _, _, v, r in got if r.ita is not None and r.half is not None]
        row["cover_90"] = float(np.mean(inside))
        row["ece"] = _calibration_error(
            np.array([r.sure for _, _, _, r in got], dtype=float), np.array(steps == 0, dtype=float)
        )
    return row


def _calibration_error(sure: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float:
    """Expected calibration error of the top class over ten even bins (Guo et al., arXiv 1706.04599)."""
    which = np.minimum((sure * 10).astype(int), 9)
    return float(
        sum(
            (which == k).mean() * abs(sure[which == k].mean() - right[which == k].mean())
            for k in np.unique(which)
        )
    )


def perturbations() -> dict[str, Callable[[RGB], RGB]]:
    """The changes that a real photograph must bear."""

    def light(stops: float = 0, gains: tuple[float, float, float] = (1, 1, 1)) -> Callable[[RGB], RGB]:
        camera = Camera(stops=stops, gains=gains, shoulder=0.97, noise=0.0)
        return lambda rgb: camera.photograph(srgb_to_linear(rgb), np.random.default_rng(0))

    def jpeg(rgb: RGB) -> RGB:
        held = io.BytesIO()
        Image.fromarray(rgb).save(held, "JPEG", quality=40)
        return np.asarray(Image.open(held))

    def small(rgb: RGB) -> RGB:
        return np.asarray(Image.fromarray(rgb).resize((96, 96), Image.Resampling.LANCZOS))

    def blurred(rgb: RGB) -> RGB:
        return np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(2)))

    return {
        "+1/2 stop": light(0.5),
        "-1/2 stop": light(-0.5),
        "red +15 %": light(gains=(1.15, 1, 1)),
        "red -15 %": light(gains=(0.85, 1, 1)),
        "blue +15 %": light(gains=(1, 1, 1.15)),
        "blue -15 %": light(gains=(1, 1, 0.85)),
        "blur 2 px": blurred,
        "96 px": small,
        "JPEG 40": jpeg,
    }


def photographs(read: Reader, photos: list[RGB]) -> dict[str, Any]:
    """How often a change of the photograph changes its ita6 class, among answered; faces found."""
    first = read(photos)
    row: dict[str, Any] = {"read": sum(r.ita is not None for r in first)}
    every: list[int] = []
    missing = total = 0
    for name, change in perturbations().items():
        again = read([change(p) for p in photos])
        pairs = [(a.ita6, b.ita6) for a, b in zip(first, again, strict=True) if a.ita6 is not None]
        steps = [abs(a - b) for a, b in pairs if b is not None]
        row[f"same[{name}]"] = float(np.mean([s == 0 for s in steps])) if steps else None
        every += steps
        missing += sum(b is None for _, b in pairs)
        total += len(pairs)
    row["same"] = float(np.mean([s == 0 for s in every])) if every else None
    row["within_one"] = float(np.mean([s <= 1 for s in every])) if every else None
    row["not_read"] = missing / max(1, total)
    return row


_WITHOUT_PEOPLE = ("chelsea", "coffee", "rocket", "brick", "grass", "gravel", "coins", "moon", "clock")


def face_free() -> list[RGB]:
    """300 pictures without a face: renders' backgrounds, scikit-image's photographs, noise and stripes."""
    rng = np.random.default_rng(0)
    pictures: list[RGB] = []
    for name in _WITHOUT_PEOPLE:
        picture = np.asarray(getattr(data, name)(), dtype=np.uint8)
        pictures.append(picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2))
    while len(pictures) < 40:
        coarse = rng.integers(0, 256, (int(rng.integers(3, 40)), int(rng.integers(3, 40)), 3), np.uint8)
        pictures.append(np.asarray(Image.fromarray(coarse).resize((256, 256), Image.Resampling.BICUBIC)))
    scenes = sorted({context.scene for context in CONTEXTS})
    while len(pictures) < 300:
        scene = scenes[len(pictures) % len(scenes)]
        pictures.append((background(scene, 256, rng) * 255).astype(np.uint8))
    return [np.ascontiguousarray(p) for p in pictures]


def speed(photos: list[RGB], stone: Stone | None) -> dict[str, float]:
    """Median milliseconds for a 768 px portrait, the readers taking turns."""
    large = [np.asarray(Image.fromarray(p).resize((768, 768), Image.Resampling.BICUBIC)) for p in photos[:30]]
    reader = ours()
    reader(large[:2])
    mine, theirs = [], []
    for picture in large:
        begun = time.perf_counter()
        reader([picture])
        mine.append(time.perf_counter() - begun)
        if stone is not None:
            stone([picture])
            theirs.append(stone.seconds[-1])
    row = {"ours_ms": 1000 * statistics.median(mine)}
    if theirs:
        row["stone_ms"] = 1000 * statistics.median(theirs)
        row["ratio"] = row["stone_ms"] / row["ours_ms"]
    return row


def main(
    shots: Annotated[Path, typer.Option(help="Folder of rendered shots.")],
    photos: Annotated[Path | None, typer.Option(help="Folder of real photographs.")] = None,
    stone: Annotated[bool, typer.Option("--stone/--no-stone", help="Also measure stone.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the figures here as JSON.")] = None,
    limit: int | None = None,
) -> None:
    """Measure and print."""
    test = Shots(shots, "test", limit=limit)
    other = Stone() if stone else None
    readers: dict[str, Reader] = {"skin_tone": ours(), "naive": naive()}
    if other is not None:
        readers["stone"] = other
    truth = np.array([r.ita for r in test.records])
    command = "python benchmarks/reader.py --shots SHOTS --photos PHOTOS --stone"
    result: dict[str, Any] = {"command": command, "shots": len(test)}
    both: dict[str, list[Reading]] = {name: [] for name in readers}
    for light, camera in (("neutral", careful), ("careless", careless)):
        pictures = []
        for i in range(len(test)):
            rng = np.random.default_rng([i, light == "neutral"])
            pictures.append(camera(rng).photograph(test.light(i), rng))
        for name, read in readers.items():
            found = [read([p])[0] for p in track(pictures, f"{light}, {name}", transient=True)]
            result[f"{light} {name}"] = score(truth, found)
            both[name] += found
    # What an interval or a probability promises can only hold over a stated mixture of lights.
    result["both skin_tone"] = score(np.concatenate([truth, truth]), both["skin_tone"])
    _print("Renders of known albedo", {k: v for k, v in result.items() if isinstance(v, dict)})
    finder = FaceFinder()
    free = face_free()
    wrong = [len(finder.find(p)) for p in track(free, "face-free pictures", transient=True)]
    result["false_faces"] = {"pictures": len(free), "with_a_face": sum(n > 0 for n in wrong)}
    console.print(result["false_faces"])
    if photos is not None:
        real = [np.asarray(Image.open(p).convert("RGB")) for p in sorted(photos.glob("*.jpg"))]
        rows = {name: photographs(read, real) for name, read in readers.items()}
        result["photographs"] = rows
        _print(f"{len(real)} real photographs, changed", rows)
        result["speed"] = speed(real, other)
        console.print(result["speed"])
    if out is not None:
        write_figures(out, result, [READERS])
        if limit is None and photos is not None:
            page_tables.put("home", home_table(result), page_tables.PAGE.with_name("reader.md"))


def _print(title: str, rows: dict[str, dict[str, Any]]) -> None:
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    table = Table("", *rows, title=title)
    for key in keys:
        values = [row.get(key) for row in rows.values()]
        table.add_row(
            key, *("" if v is None else f"{v:.3f}" if isinstance(v, float) else str(v) for v in values)
        )
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
