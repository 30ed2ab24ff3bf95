"""``fairgen report RUN``: the HTML report, tables and JSON of a run folder, made again from its run file."""

from __future__ import annotations

from pathlib import Path

import typer

from fairgen.cli import common
from fairgen.cli.telling import telling


def report(
    run: Path = common.RUN,
    out: Path | None = typer.Option(None, "--out", help="Where to write; by default into the run folder."),
    pictures: common.Shown | None = typer.Option(
        None,
        "--pictures",
        help="Pictures in the page: all (the default), thin (the first six places of every set), or none.",
    ),
    max_mb: float | None = typer.Option(
        None,
        "--max-mb",
        help="Largest page, in megabytes; pictures are made smaller, then fewer, until it fits. By default "
        "25, with --pictures thin 3.",
    ),
    single: bool | None = common.SINGLE,
) -> None:
    """Write the self-contained HTML report of a run, and beside it its pictures and sets as CSV and Parquet
    and every figure as JSON.

    An audit of more than 5,000 pictures or 500 prompts becomes an overview and a folder of pages, unless
    --single-file or --max-mb is given.
    """
    from fairgen.report import write_report

    common.check_range("--max-mb", max_mb, 0.1, 10_000)
    with telling("Writing the report") as told:
        written = write_report(
            run,
            out,
            pictures=pictures.value if pictures else None,
            max_mb=max_mb,
            layout=common.layout(single),
            told=told,
        )
    typer.echo(f"Report: {written.html} ({written.html.stat().st_size / 1e6:.1f} MB)")
    common.echo_pages(written.pages, written.html)
    if written.choice is not None:
        typer.echo(written.choice.told)
    typer.echo(f"Tables: {', '.join(str(path) for path in (written.csv, *written.tables))}")
    typer.echo(f"Figures: {written.json}")
