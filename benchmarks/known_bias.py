"""The known-bias bench on the embedded model, and its figures in docs/known-bias.md.

python benchmarks/known_bias.py run      # all of it, by `fairgen bench`; goes on where it stopped
python benchmarks/known_bias.py tables   # the page's tables anew, from the files in the repository
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import page_tables
import typer

from fairgen import cli
from fairgen.bench import MeasuredBias, bias_table
from fairgen.bench.tables import bias_sentences
from fairgen.cli import bench
from fairgen.common.documents import read_document

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)
_HERE = Path(__file__).resolve().parent
_RESULTS = _HERE / "known_bias"
_BIAS = _HERE / "known_bias.json"
_PAGE = _HERE.parent / "docs" / "known-bias.md"


@app.command()
def run(
    work: Annotated[Path, typer.Option(help="Folder for finished sets.")] = Path("runs/known-bias"),
) -> None:
    """Measure the bias and the methods that ship, and put the tables into the page."""
    for command in (["bias", "--out", str(_BIAS)], ["run", "--out", str(_RESULTS)]):
        if code := cli.run(["bench", *command, "--work", str(work)]):
            raise typer.Exit(code)
    tables()


@app.command()
def tables() -> None:
    """Put the figures of the repository's result files into docs/known-bias.md."""
    page_tables.put("leaderboard", bench.boards(sorted(_RESULTS.glob("*.json"))), _PAGE)
    measured = read_document(_BIAS, MeasuredBias, "measured bias")
    text = f"{bias_table(measured).markdown()}\n\n" + "\n- ".join(bias_sentences(measured))
    page_tables.put("bias", text, _PAGE)


if __name__ == "__main__":
    sys.exit(cli.run(command=app, name="known_bias"))
