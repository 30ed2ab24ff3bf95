"""Which class each reader names for faces that raters put into a class; writes skin_tone/confusion.json.

    python benchmarks/rated_confusion.py --faces FACES

FACES is the folder that `tools/reader/rated.py` describes. Counted are the portraits of Stable Diffusion 2.1,
on which nothing was fitted. The raters' median, in half steps from 1 to 6.5, counts as the truth: it is put
into the classes of each scale by way of its ITA.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from skin_tone import SkinToneReader
from skin_tone.observer import angle_of
from skin_tone.scales import SCALES
from skin_tone.second import SecondReader
from tools.figures.stamp import KEY, READERS, stamp
from tools.reader.rated import PLAIN_KINDS, rated_faces

GENERATOR = "Stable Diffusion 2.1"
_FILE = Path(__file__).resolve().parents[1] / "skin_tone" / "confusion.json"


def main(
    faces: Annotated[Path, typer.Option(help="Folder of rated faces; see tools/reader/rated.py.")],
) -> None:
    """Read all faces with both readers, count, and write the file."""
    rated = [f for f in rated_faces(faces) if f.generator == GENERATOR and f.kind in PLAIN_KINDS]
    counts: dict[str, dict[str, list[list[int]]]] = {}
    answered: dict[str, int] = {}
    for name, make in (("calibrated", SkinToneReader), ("second", SecondReader)):
        counts[name] = {s: [[0] * len(x.classes) for _ in x.classes] for s, x in SCALES.items()}
        answered[name] = 0
        with make() as reader:
            for face in track(rated, name):
                reading = reader.read(face.picture())[0]
                if reading.abstained is not None:
                    continue
                answered[name] += 1
                for s, scale in SCALES.items():
                    true = scale.classes.index(scale.classify(angle_of(face.tone)))
                    counts[name][s][true][scale.classes.index(reading.classes[s])] += 1
    said = {
        "command": "python benchmarks/rated_confusion.py --faces FACES",
        KEY: stamp([READERS]),
        "set": f"{len(rated)} portraits of {GENERATOR}, rated blind by two to five raters",
        "answered": answered,
    }
    tables = ",\n".join(f" {json.dumps(name)}: {json.dumps(table)}" for name, table in counts.items())
    text = json.dumps(said, indent=1)[:-2] + f',\n "counts": {{\n{tables}\n }}\n}}\n'
    _FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
