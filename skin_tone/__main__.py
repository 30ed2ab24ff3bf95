"""`python -m skin_tone PATH...`: read the skin tones of pictures, on the terminal or as JSON lines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from .abstain import REASONS
from .files import SUFFIXES, open_picture, pictures_in
from .picture import PictureError
from .reader import SkinToneReader, ToneReading
from .scales import SCALES

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    paths: Annotated[list[Path], typer.Argument(help="Pictures, or folders that hold some.")],
    scale: Annotated[str, typer.Option(help=f"Scale of the table: {', '.join(SCALES)}.")] = "ita6",
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object per face and line.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A CSV row per face, with a header.")] = False,
    pictures: Annotated[
        Path | None, typer.Option(help="Write a picture per file here that shows what was read.")
    ] = None,
) -> None:
    """Read the apparent skin tones of the faces in pictures. Files that cannot be read are named and passed
    over.
    """
    if scale not in SCALES:
        _stop(f"{scale!r} is no scale: use {', '.join(SCALES)}.")
    if as_json and as_csv:
        _stop("--json and --csv exclude each other: choose one.")
    files = _files(paths)
    rows = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        rows.writerow(CSV_COLUMNS)
    warn, table = Console(stderr=True), Table("file", "face", "class", "ITA", "as seen", "sure")
    bad = 0
    with SkinToneReader() as reader:
        for file in track(files, "Reading", console=warn, transient=True, disable=not warn.is_terminal):
            try:
                image = open_picture(file)
                readings = reader.read(image)
            except PictureError as error:
                bad += 1
                warn.print(f"not opened: {file}: {error}", markup=False, soft_wrap=True)
                continue
            for number, reading in enumerate(readings, start=1):
                if as_json:
                    line = {"file": str(file), "face": number, **reading.model_dump(mode="json")}
                    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
                elif as_csv:
                    rows.writerow(_row(file, number, reading, scale))
                else:
                    table.add_row(file.name, str(number), *_cells(reading, scale))
            if pictures is not None:
                _save(image, readings, pictures, file)
    if table.row_count:
        Console().print(table)
    if bad == len(files):
        _stop(f"None of the {bad} files could be opened as a picture.")


def _files(paths: list[Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for path in paths:
        try:
            if path.is_dir():
                found.update(dict.fromkeys(pictures_in(path)))
            elif path.exists():
                found[path] = None
            else:
                _stop(f"{path} does not exist: name pictures, or folders that hold some.")
        except OSError as error:
            _stop(f"{error.filename} cannot be listed ({error.strerror}): check its permissions.")
    if not found:
        _stop(f"No pictures there: looked for {', '.join(sorted(SUFFIXES))}.")
    return list(found)


CSV_COLUMNS = (
    "file", "face", "left", "top", "right", "bottom", "not_read", "class", "certainty", "ita", "ita_sigma",
    "ita_seen", "L", "a", "b", "like_renders", "nearness",
)  # fmt: skip
"""Of ``--csv``; class and certainty are of ``--scale``."""


def _row(file: Path, number: int, reading: ToneReading, scale: str) -> list[object]:
    """The values of `CSV_COLUMNS`; what does not apply is empty."""
    best = reading.classes.get(scale)
    lab: Sequence[float | None] = reading.lab or (None, None, None)
    numbers = (
        None if best is None else reading.probabilities[scale][best],
        reading.ita, reading.ita_sigma, reading.ita_seen, *lab, reading.like_renders, reading.nearness,
    )  # fmt: skip
    box: Sequence[int | None] = reading.box or (None,) * 4
    written = ["" if v is None else f"{v:.6g}" for v in numbers]
    return [str(file), number, *box, reading.abstained, best, *written]


def _cells(reading: ToneReading, scale: str) -> tuple[str, ...]:
    if reading.abstained is not None:
        return (f"not read: {REASONS[reading.abstained]}", "", "", "")
    best = reading.classes[scale]
    sure = reading.probabilities[scale][best]
    return (
        SCALES[scale].labels[best],
        f"{reading.ita:z.0f}° ± {reading.ita_sigma:.0f}°",
        f"{reading.ita_seen:z.0f}°",
        f"{sure:.0%}",
    )


def _save(image: Image.Image, readings: list[ToneReading], folder: Path, file: Path) -> None:
    from .drawing import draw_readings

    try:
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{file.stem}.reading.png"
        number = 1
        while target.exists():
            number += 1
            target = folder / f"{file.stem}.reading-{number}.png"
        temporary = target.with_suffix(".part")
        draw_readings(image, readings).save(temporary, "PNG")
        temporary.replace(target)
    except OSError as error:
        _stop(f"{folder} cannot be written to ({error.strerror}): choose another folder for --pictures.")


def _stop(sentence: str) -> NoReturn:
    Console(stderr=True).print(sentence, markup=False, soft_wrap=True)
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
