"""``fairgen report RUN``: the HTML report, CSV and JSON of a run folder, made anew from its run file."""

from __future__ import annotations

from pathlib import Path

import typer


def report(
    run: Path = typer.Argument(help="The run folder (or its run.jsonl).", show_default=False),
    out: Path | None = typer.Option(
        None, "--out", help="Where to write; by default into the run folder.", show_default=False
    ),
) -> None:
    """Write the self-contained HTML report of a run, with a CSV of its pictures and a JSON summary beside
    it.
    """
    from fairgen.report import write_report

    written = write_report(run, out)
    typer.echo(f"Report: {written.html}")
    typer.echo(f"Tables: {written.csv}, {written.json}")
