"""`make figures`: measure every figure that README and docs state and that is not of what ships."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tools.figures.index import ROOT, Piece, load_index
from tools.figures.measure import Failed, measure
from tools.figures.measure import retire as retire_piece

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
console = Console()

_Names = Annotated[list[str] | None, typer.Argument(help="Pieces; by default all.", show_default=False)]
_Given = Annotated[Path | None, typer.Option(show_default=False)]


@app.command("list")
def list_pieces() -> None:
    """Show every piece: whether its figures are of what ships, and how long it takes."""
    table = Table("piece", "what", "minutes", "needs", "state")
    for name, piece in load_index().pieces.items():
        table.add_row(name, piece.title, f"{piece.minutes:.0f}", " ".join(piece.needs), state(piece))
    console.print(table)


@app.command()
def run(
    names: _Names = None,
    work: Annotated[Path, typer.Option(help="Folder for what is half done.")] = Path("runs/figures"),
    shots: _Given = None,
    photos: _Given = None,
    faces: _Given = None,
    committees: _Given = None,
    again: Annotated[bool, typer.Option("--again", help="Also what is measured already.")] = False,
) -> None:
    """Measure what is missing or stale, piece by piece; run it again to continue after Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing goes on behind it
    pieces = _chosen(names)
    folders = {"shots": shots, "photos": photos, "faces": faces, "committees": committees}
    given = {key: str(path.resolve()) for key, path in folders.items() if path is not None}
    given["work"] = str(work.resolve())
    due = {name: piece for name, piece in pieces.items() if again or names or state(piece) != "measured"}
    left = []
    for number, (name, piece) in enumerate(due.items(), 1):
        missing = [f"--{need}" for need in piece.needs if need not in given]
        if missing:
            left.append(f"{name}: give {' and '.join(missing)} (docs/reader.md says what it is)")
            continue
        console.rule(f"{number} of {len(due)}: {name} ({piece.title}), about {piece.minutes:.0f} min")
        try:
            seconds = measure(name, piece, given, ROOT)
        except Failed as failed:
            left.append(f"{name}: {failed}")
            continue
        except KeyboardInterrupt:
            console.print(f"\nStopped in {name}. What is measured is kept; run it again to continue.")
            sys.exit(130)
        console.print(f"{name} took {seconds / 60:.1f} min")
    for line in left:
        console.print(line, markup=False)
    sys.exit(1 if left else 0)


@app.command()
def retire(names: Annotated[list[str], typer.Argument(help="Pieces.")]) -> None:
    """Take figures out of the pages that are no longer of what ships; say which sentences state them."""
    for name, piece in _chosen(names).items():
        for line in retire_piece(name, piece, ROOT):
            console.print(f"still stated in {line}", markup=False)


def state(piece: Piece) -> str:
    """``measured``, ``not measured``, ``stale`` (of another model or reader), or ``to be continued``."""
    if not piece.written(ROOT):
        return "not measured"
    if piece.stale(ROOT):
        return "stale"
    return "to be continued" if piece.unfinished(ROOT) else "measured"


def _chosen(names: list[str] | None) -> dict[str, Piece]:
    pieces = load_index().pieces
    unknown = set(names or ()) - set(pieces)
    if unknown:
        console.print(f"There is no piece {', '.join(sorted(unknown))}: choose from {', '.join(pieces)}.")
        sys.exit(2)
    return {name: piece for name, piece in pieces.items() if not names or name in names}


if __name__ == "__main__":
    app()
