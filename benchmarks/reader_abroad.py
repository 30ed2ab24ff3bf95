"""The reader abroad: on pictures of real generators, held against what people see in them.

    python benchmarks/reader_abroad.py --faces FACES [--stone] [--out FILE] [--limit N]

FACES is the folder that `tools/reader/rated.py` describes. Compared are this reader, the colour as it sees
it, the plain mean of cheeks and forehead, the second reader and, with --stone, skin-tone-classifier 1.2.6.
Portraits of Stable Diffusion 2.1,
the pictures of unlicensed sources and those kept aside were never fitted on. What the
shipped observer was fitted on is measured by committees from which each face, with a fifth of the others, was
left out (`--committees`): for them the whole reader is not run again, only the observer's part of it is
replaced.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from page_tables import PAGE, put, table
from PIL import Image
from reader import Reading, Stone, naive
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import spearmanr

from skin_tone import SkinToneReader, ToneReading
from skin_tone.camera import Camera
from skin_tone.colour import srgb_to_linear
from skin_tone.observer import angle_of, degrees_per_class, tone_of
from skin_tone.picture import RGB
from skin_tone.scales import SCALES
from skin_tone.second import SecondReader
from tools.figures.stamp import READERS, write_figures
from tools.reader.rated import KEPT_ASIDE, PLAIN_KINDS, RatedFace, rated_faces

ITA6 = SCALES["ita6"]
THIRDS = {"light": (0.0, 2.67), "middle": (2.67, 4.33), "dark": (4.33, 9.0)}
"""Of the raters' scale, 1 to 6."""
console = Console()

Floats = NDArray[np.float64]
Change = Callable[[RGB, tuple[int, int, int, int]], RGB]


def figures(tones: Floats, angles: Floats, sigmas: Floats | None, sure: Floats | None) -> dict[str, Any]:
    """How near readings come to the raters' medians.

    Args:
        tones: the medians, 1 to 6.5. angles: what was read, ITA in degrees, NaN where nothing was. sigmas:
            standard errors in degrees, or None. sure: probability of the class that was named, or None.
    """
    answered = np.isfinite(angles)
    true, angle = tones[answered], angles[answered]
    read = tone_of(angle)
    error = read - true
    row: dict[str, Any] = {"faces": len(tones), "answered": float(answered.mean())}
    if len(true) < 3:
        return row
    row["rank_correlation"] = float(spearmanr(read, true)[0])
    row["rank_interval"] = _interval(read, true)
    row["mean_error"] = float(error.mean())
    row["within_half"] = float((np.abs(error) <= 0.5).mean())
    for name, (low, high) in THIRDS.items():
        here = (true >= low) & (true < high)
        row[f"mean_error[{name}]"] = float(error[here].mean()) if here.any() else None
        among = (tones >= low) & (tones < high)
        row[f"not_read[{name}]"] = float(1 - answered[among].mean()) if among.any() else None
    dark = true >= 4
    classes = [ITA6.classify(v) for v in angle[dark]]
    row["dark_called_very_light"] = classes.count("very_light") / max(1, len(classes))
    row["dark_called_light"] = classes.count("light") / max(1, len(classes))
    if sigmas is not None:
        low_tone = tone_of(angle + 1.6449 * sigmas[answered])
        high_tone = tone_of(angle - 1.6449 * sigmas[answered])
        row["cover_90"] = float(((true >= low_tone - 1e-9) & (true <= high_tone + 1e-9)).mean())
    if sure is not None:
        certain = sure[answered] >= 0.8
        row["certain"] = float(certain.mean())
        row["certain_within_half"] = float((np.abs(error[certain]) <= 0.5).mean()) if certain.any() else None
    return row


def _interval(read: Floats, true: Floats) -> tuple[float, float]:
    """95 % bootstrap interval of the rank correlation."""
    rng = np.random.default_rng(0)
    every = [
        float(spearmanr(read[rows], true[rows])[0]) for rows in rng.integers(0, len(read), (400, len(read)))
    ]
    low, high = np.percentile(every, (2.5, 97.5))
    return float(low), float(high)


def changes() -> dict[str, Change]:
    """What must not change a reading: crops, canvases, mirror, file formats; and exposure, which may a
    little.
    """

    def crop(share: float) -> Change:
        def change(rgb: RGB, box: tuple[int, int, int, int]) -> RGB:
            x0, y0, x1, y1 = box
            dx, dy = round((x1 - x0) * share / 2), round((y1 - y0) * share / 2)
            return np.ascontiguousarray(rgb[y0 + dy : y1 - dy, x0 + dx : x1 - dx])

        return change

    def canvas(ratio: float) -> Change:
        def change(rgb: RGB, box: tuple[int, int, int, int]) -> RGB:
            height, width = rgb.shape[:2]
            wide = round(height * ratio)
            left = max(0, (wide - width) // 2)
            return np.pad(rgb, ((0, 0), (left, left), (0, 0)), mode="edge")

        return change

    def jpeg(rgb: RGB, box: tuple[int, int, int, int]) -> RGB:
        held = io.BytesIO()
        Image.fromarray(rgb).save(held, "JPEG", quality=85)
        return np.asarray(Image.open(held))

    def resized(rgb: RGB, box: tuple[int, int, int, int]) -> RGB:
        image = Image.fromarray(rgb)
        factor = 512 / max(image.size)
        if factor == 1:
            factor = 0.75
        size = (round(image.width * factor), round(image.height * factor))
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS))

    def exposed(stops: float) -> Change:
        camera = Camera(stops=stops, shoulder=0.97, noise=0.0)
        return lambda rgb, box: camera.photograph(srgb_to_linear(rgb), np.random.default_rng(0))

    return {
        "face box": crop(0.0),
        "20 % tighter": crop(0.2),
        "mirrored": lambda rgb, box: np.ascontiguousarray(rgb[:, ::-1]),
        "4:3": canvas(4 / 3),
        "16:9": canvas(16 / 9),
        "JPEG 85": jpeg,
        "resized": resized,
        "+1/2 stop": exposed(0.5),
        "-1/2 stop": exposed(-0.5),
    }


def stability(reader: SkinToneReader, faces: list[RatedFace]) -> dict[str, dict[str, float]]:
    """Of faces that are answered: how often a change keeps the ita6 class, and the mean shift in degrees."""
    rows: dict[str, list[tuple[bool, float]]] = {name: [] for name in changes()}
    missing = dict.fromkeys(rows, 0)
    for face in track(faces, "Changing pictures", transient=True, console=console):
        rgb = face.picture()
        first = reader.read(rgb)[0]
        if first.ita is None or first.box is None:
            continue
        for name, change in changes().items():
            again = reader.read(change(rgb, first.box))[0]
            if again.ita is None:
                missing[name] += 1
            else:
                rows[name].append((again.classes["ita6"] == first.classes["ita6"], again.ita - first.ita))
    return {
        name: {
            "faces": len(row),
            "same_class": float(np.mean([same for same, _ in row])),
            "mean_shift": float(np.mean([shift for _, shift in row])),
            "mean_size_of_shift": float(np.mean([abs(shift) for _, shift in row])),
            "not_read": missing[name] / max(1, missing[name] + len(row)),
        }
        for name, row in rows.items()
        if row
    }


def main(
    faces: Annotated[Path, typer.Option(help="Folder of rated faces; see tools/reader/rated.py.")],
    stone: Annotated[bool, typer.Option("--stone/--no-stone", help="Also measure stone.")] = False,
    committees: Annotated[
        Path | None,
        typer.Option(help="Tones by committees that left a face out: `tools.reader observe` writes them."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures here as JSON.")] = None,
    changed: Annotated[int, typer.Option(help="Pictures of each set that are changed, about.")] = 160,
    limit: Annotated[int | None, typer.Option(help="Only so many faces of each set.")] = None,
) -> None:
    """Measure and print."""
    sets: dict[str, list[RatedFace]] = {"sd21": [], "others": [], "london": [], "aside": []}
    for face in rated_faces(faces):
        name = "aside" if face.generator == KEPT_ASIDE else face.path.parent.name
        if name in sets and face.kind in PLAIN_KINDS:
            sets[name].append(face)
    sets = {name: chosen[:limit] for name, chosen in sets.items()}
    other = Stone() if stone else None
    said: dict[str, tuple[float, float]] = (
        json.loads(committees.read_text(encoding="utf-8")) if committees else {}
    )
    plain = naive()
    result: dict[str, Any] = {"command": "python benchmarks/reader_abroad.py --faces FACES --committees FILE"}
    with SkinToneReader() as first, SecondReader() as second:
        for name, chosen in sets.items():
            if not chosen:
                continue
            pictures = [face.picture() for face in chosen]
            read = [
                first.read(p)[0]
                for p in track(pictures, f"{name}, skin_tone", transient=True, console=console)
            ]
            _put_committees(read, chosen, said)
            by: dict[str, list[Reading | ToneReading]] = {
                "skin_tone": list(read),
                "second": [second.read(p)[0] for p in track(pictures, f"{name}, second", transient=True)],
                "naive": list(plain(pictures)),
            }
            if other is not None:
                by["stone"] = list(other(pictures))
            tones = np.array([face.tone for face in chosen])
            rows = {key: figures(tones, *_columns(found)) for key, found in by.items()}
            rows["as seen"] = figures(tones, _numbers([r.ita_seen for r in read]), None, None)
            rows["skin_tone"]["found"] = float(np.mean([r.box is not None for r in read]))
            rows["skin_tone"]["refused"] = _counted([r.abstained for r in read if r.abstained])
            result[name] = rows
            generators = sorted({face.generator for face in chosen})
            if len(generators) > 1:
                result[f"{name} by generator"] = {
                    generator: figures(
                        tones[[face.generator == generator for face in chosen]],
                        *_columns(
                            [r for r, face in zip(read, chosen, strict=True) if face.generator == generator]
                        ),
                    )
                    for generator in generators
                }
            _print(name, rows)
        for name in ("sd21", "london"):
            if sets[name]:
                step = max(1, len(sets[name]) // changed)
                result[f"{name} changed"] = stability(first, sets[name][::step])
                _print(f"{name}, changed", result[f"{name} changed"])
    if out is not None:
        write_figures(out, result, [READERS])
        if limit is None and {"sd21", "others", "aside"} <= result.keys():
            put("abroad", page(result), PAGE.with_name("reader.md"))


def _put_committees(
    read: list[ToneReading], faces: list[RatedFace], said: dict[str, tuple[float, float]]
) -> None:
    """Replace what the shipped observer says of a face that it was fitted on by what a committee without it
    says.
    """
    for k, (reading, face) in enumerate(zip(read, faces, strict=True)):
        if face.name in said and reading.ita is not None and reading.like_renders == 0:
            tone, classes = said[face.name]
            angle, sigma = angle_of(tone), classes * degrees_per_class(tone)
            read[k] = reading.model_copy(
                update={
                    "ita": angle,
                    "ita_sigma": sigma,
                    "classes": {name: scale.classify(angle) for name, scale in SCALES.items()},
                    "probabilities": {
                        name: scale.probabilities(angle, sigma) for name, scale in SCALES.items()
                    },
                }
            )


def page(result: dict[str, Any]) -> str:
    """The figures as a Markdown table, for docs/reader.md."""
    names = {
        "skin_tone": "skin_tone",
        "as seen": "as seen",
        "naive": "plain mean",
        "second": "second",
        "stone": "stone",
    }
    lines = (
        ("rank_correlation", "rank correlation with the raters", "≥ .75 / .85"),
        ("mean_error", "mean error, classes", "within ±.25"),
        ("mean_error[light]", "... light third", "within ±.5"),
        ("mean_error[middle]", "... middle third", "within ±.5"),
        ("mean_error[dark]", "... dark third", "within ±.5"),
        ("within_half", "within half a class", "1.5 × plain mean"),
        ("dark_called_very_light", "of those rated 4 or darker, called very light", "0"),
        ("dark_called_light", "... called light", "≤ .05"),
        ("cover_90", "90 % intervals hold", ".85 to .95"),
        ("certain", "readings that state a certainty of 80 % and more", ""),
        ("certain_within_half", "... within half a class", "≥ .80"),
        ("answered", "answered", "≥ .95"),
        ("not_read[light]", "not answered, light third", "differ by ≤ .03"),
        ("not_read[middle]", "... middle third", ""),
        ("not_read[dark]", "... dark third", ""),
        ("found", "faces found", "≥ .995"),
    )
    tables = []
    titles = {
        "sd21": "Stable Diffusion 2.1",
        "others": "FLUX, SDXL, SD 1.4, SD 1.5, Kolors, DALL-E 2, gpt-image-1",
        "aside": "FLUX, SDXL and DALL-E 3, montages that nothing was fitted on",
    }
    for name, title in titles.items():
        rows = result[name]
        shown = [key for key in names if key in rows]
        body = [
            [label, *(_figure(rows[key].get(line)) for key in shown), wanted] for line, label, wanted in lines
        ]
        low, high = rows["skin_tone"]["rank_interval"]
        interval = f"95 % interval of the rank correlation: {_figure(low)} to {_figure(high)}."
        heading = f"**{title}**, {rows['skin_tone']['faces']} faces. {interval}"
        tables += [heading, "", table(["", *(names[key] for key in shown), "wanted"], body), ""]
    changed = {"sd21 changed": "Stable Diffusion 2.1", "london changed": "studio photographs"}
    for name, title in changed.items():
        rows = result[name]
        body = [
            [
                key,
                *(
                    _figure(row[value])
                    for value in ("same_class", "mean_shift", "mean_size_of_shift", "not_read")
                ),
            ]
            for key, row in rows.items()
        ]
        columns = [
            f"{title}, changed",
            "same class",
            "mean shift, degrees",
            "mean size of the shift",
            "not answered",
        ]
        tables += [table(columns, body), ""]
    return "\n".join(tables).rstrip()


def _figure(value: float | None) -> str:
    if value is None or not np.isfinite(value):
        return ""
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"


def _columns(found: list[Any]) -> tuple[Floats, Floats | None, Floats | None]:
    angles = _numbers([r.ita for r in found])
    if not isinstance(found[0], ToneReading):
        return angles, None, None
    sure = [max(r.probabilities["ita6"].values()) if r.probabilities else None for r in found]
    return angles, _numbers([r.ita_sigma for r in found]), _numbers(sure)


def _numbers(values: list[float | None]) -> Floats:
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def _counted(names: list[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}


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
