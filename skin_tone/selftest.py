"""`python -m skin_tone.selftest`: what this installation reads on faces of known albedo, under known cameras.

The faces are renders of the calibration's *test* split (``selftest.webp``; CC0), four of each ita6 class;
their albedo is known, their light is neutral. Each is photographed again with one thing changed at a time:
exposure, the light's colour, blur, size, JPEG. Printed are the share read exactly, the share within one
class, and the share not read, by class of the truth; and the confusion matrix of everything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from .camera import Camera, illuminant_gains
from .colour import srgb_to_linear
from .reader import SkinToneReader
from .scales import SCALES

TILE = 192
SCALE = SCALES["ita6"]


@dataclass(frozen=True)
class Condition:
    """One thing changed: ``factor`` names it, ``value`` says how, ``camera`` does it."""

    factor: str
    value: str
    camera: Camera


@dataclass(frozen=True)
class Answer:
    """One picture: its condition, the true class's number in ita6, the number read, or None."""

    condition: Condition
    true: int
    read: int | None


def conditions() -> list[Condition]:
    """The grid, one factor at a time; the first is the picture as it is."""
    as_it_is = Camera(shoulder=0.97, noise=0.0)
    found = [Condition("none", "as it is", as_it_is)]
    for stops in (-2 / 3, -1 / 3, 1 / 3, 2 / 3):
        found.append(Condition("exposure", f"{stops:+.2f} stops", replace(as_it_is, stops=stops)))
    for kelvin in (3000, 4000, 5000, 8000, 9500):
        r, g, b = illuminant_gains(kelvin)
        gains = (float(r), float(g), float(b))
        found.append(Condition("light", f"{kelvin} K", replace(as_it_is, gains=gains)))
    for sigma in (1.0, 2.0):
        found.append(Condition("blur", f"sigma {sigma:.0f} px", replace(as_it_is, blur=sigma)))
    for size in (128, 96):
        found.append(Condition("size", f"{size} px", replace(as_it_is, size=size)))
    for quality in (70, 40):
        found.append(Condition("JPEG", f"quality {quality}", replace(as_it_is, quality=quality)))
    return found


def faces() -> tuple[list[npt.NDArray[np.uint8]], list[int]]:
    """The pictures (192 x 192, uint8 sRGB) and the number of each one's true ita6 class."""
    folder = files("skin_tone")
    with (folder / "selftest.webp").open("rb") as file, Image.open(file) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    truth = [float(v) for v in json.loads((folder / "selftest.json").read_text(encoding="utf-8"))["ita"]]
    columns = pixels.shape[1] // TILE
    tiles = [
        pixels[TILE * (k // columns) :][:TILE, TILE * (k % columns) :][:, :TILE] for k in range(len(truth))
    ]
    return tiles, [SCALE.classes.index(SCALE.classify(v)) for v in truth]


def run(reader: SkinToneReader, grid: Sequence[Condition], console: Console) -> list[Answer]:
    """Every face under every condition."""
    pictures, truth = faces()
    answers = []
    for condition in track(grid, "Reading", console=console, transient=True):
        for number, (picture, true) in enumerate(zip(pictures, truth, strict=True)):
            rng = np.random.default_rng(number)
            again = condition.camera.photograph(srgb_to_linear(picture), rng)
            reading = reader.read(again)[0]
            read = None if reading.abstained else SCALE.classes.index(reading.classes["ita6"])
            answers.append(Answer(condition, true, read))
    return answers


def main() -> None:
    """Run the grid and print what came out."""
    console, progress = Console(), Console(stderr=True)
    with SkinToneReader() as reader:
        answers = run(reader, conditions(), progress)
    labels = [SCALE.labels[key] for key in SCALE.classes]
    table = Table("changed", "to", "exact", "within one", "not read", title="By condition")
    for condition in dict.fromkeys(a.condition for a in answers):
        table.add_row(
            condition.factor, condition.value, *_shares([a for a in answers if a.condition == condition])
        )
    console.print(table)
    table = Table("true class", "exact", "within one", "not read", title="By tone")
    for k, label in enumerate(labels):
        table.add_row(label, *_shares([a for a in answers if a.true == k]))
    table.add_row("all", *_shares(answers))
    console.print(table)
    table = Table("true \\ read", *labels, "not read", title="Confusion, pictures")
    for k, label in enumerate(labels):
        row = [a.read for a in answers if a.true == k]
        table.add_row(label, *(str(row.count(j)) for j in range(len(labels))), str(row.count(None)))
    console.print(table)


def _shares(answers: list[Answer]) -> tuple[str, str, str]:
    read = [(a.true, a.read) for a in answers if a.read is not None]
    missing = f"{1 - len(read) / len(answers):.1%}"
    if not read:
        return "", "", missing
    exact = np.mean([t == r for t, r in read])
    near = np.mean([abs(t - r) <= 1 for t, r in read])
    return f"{exact:.1%}", f"{near:.1%}", missing


if __name__ == "__main__":
    main()
