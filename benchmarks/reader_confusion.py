"""What the reader calls renders of known albedo, class by class and light by light, and where it abstains.

    python benchmarks/reader_confusion.py --shots SHOTS --out benchmarks/reader_confusion.json

SHOTS and the two lights are those of benchmarks/reader.py. The figures go into evidence packs, so they name
the reader that they are of.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track

from fairgen.evidence.identity import reader_identity
from skin_tone import SCALES, SkinToneReader
from skin_tone.camera import careful, careless
from tools.figures.stamp import READERS, write_figures
from tools.reader.shots import Shots

NOT_READ = "not read"


def main(
    shots: Annotated[Path, typer.Option(help="Folder of rendered shots.")],
    out: Annotated[Path, typer.Option(help="Write the counts here as JSON.")],
    limit: int | None = None,
) -> None:
    """Read every render of the test split in both lights, and count."""
    test = Shots(shots, "test", limit=limit)
    reader = SkinToneReader()
    lights: dict[str, Any] = {}
    for light, camera in (("neutral", careful), ("careless", careless)):
        counts: dict[str, dict[str, Counter[str]]] = {
            name: {key: Counter() for key in SCALES[name].classes} for name in ("ita6", "monk10")
        }
        for i in track(range(len(test)), light, transient=True):
            rng = np.random.default_rng([i, light == "neutral"])
            reading = reader.read(camera(rng).photograph(test.light(i), rng))[0]
            for name, rows in counts.items():
                true = SCALES[name].classify(test.records[i].ita)
                rows[true][NOT_READ if reading.ita is None else reading.classes[name]] += 1
        lights[light] = {
            name: {
                true: {key: row[key] for key in (*SCALES[name].classes, NOT_READ)}
                for true, row in rows.items()
            }
            for name, rows in counts.items()
        }
    document = {
        "command": "python benchmarks/reader_confusion.py --shots SHOTS --out FILE",
        "pictures": f"{len(test)} renders of known albedo, of heads that nothing was fitted on",
        "lights": {
            "neutral": "white balance and exposure as a careful photographer sets them",
            "careless": "3,000 to 9,500 K uncorrected, up to two thirds of a stop off, blur, compression",
        },
        "reader": reader_identity().model_dump(),
        "called": lights,
    }
    write_figures(out, document, [READERS])


if __name__ == "__main__":
    typer.run(main)
