"""Writes the report's files: the page, the tables, and the figures for machines."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairgen.common.files import disk_errors, write_text
from fairgen.report.audit_page import write_audit_page
from fairgen.report.load import reports_of
from fairgen.report.render import render
from fairgen.report.tables import PICTURES, csv_cell, picture_rows, set_columns, set_rows, table
from fairgen.report.thumbnails import Choice, Pictures
from fairgen.report.view import Report
from fairgen.runs import Run, RunReader, SessionRun, ShownPictures, read_run
from fairgen.scoring.collect import Collected, collect
from fairgen.scoring.numbers import set_figures

_PLAIN_PICTURES = 300
"""Most pictures of a page that shows each as it is, one set below the other."""


@dataclass(frozen=True)
class Written:
    """Where the files of one report lie.

    ``json`` is what machines read: ``report.json`` of a run, ``summary.json`` of a verification. ``tables``
    are the other tables. ``choice`` says how many pictures an audit's page holds; None: all, as they are.
    """

    html: Path
    csv: Path
    json: Path
    tables: tuple[Path, ...] = ()
    choice: Choice | None = None


def write_report(
    run_folder: str | Path,
    out: str | Path | None = None,
    *,
    pictures: Pictures | None = None,
    max_mb: float | None = None,
) -> Written:
    """Write the report of a run: report.html, report.json, and tables of pictures and sets (CSV, Parquet).

    A run of one prompt gets a simpler page, with its pictures in full size, and a summary.json. An audit gets
    the page for several prompts, and so does a run of one prompt if ``pictures`` or ``max_mb`` is given.

    Args:
        run_folder: the run folder, or the path of its run.jsonl.
        out: the folder to write to; default: the run folder.
        pictures: which pictures the page shows, "all", "thin" (the first six places of every set) or "none";
            default: all.
        max_mb: size limit of the page in megabytes; pictures are made smaller, then fewer, until it fits.

    Returns:
        The paths of what was written.

    Raises:
        UserError: the folder contains no run or no picture yet, its run file is damaged, or ``out`` cannot
            be written.
    """
    reader = RunReader(run_folder)
    folder = Path(out) if out is not None else reader.folder
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with table(folder, "pictures", PICTURES) as rows:

        def watch(session: SessionRun, arm: str, group: str | None) -> None:
            for row in picture_rows(session, arm, group):
                rows.write(row)

        shown = ShownPictures(reader.folder)
        done = collect(reader, watch, shown)
    with table(folder, "sets", set_columns(done.figures.prompts)) as rows:
        for row in set_rows(done.figures.prompts):
            rows.write(row)
    page, choice = folder / "report.html", None
    if pictures is None and max_mb is None and _is_plain(done):
        run = read_run(run_folder)
        run.sessions = {name: shown.of(session) for name, session in run.sessions.items()}
        run.problems = done.figures.problems
        write_text(page, render(reports_of(run)))
        write_text(folder / "summary.json", _json(run))
    else:
        choice = write_audit_page(done, page, pictures=pictures or "all", max_mb=max_mb)
    document = write_text(folder / "report.json", done.figures.model_dump_json(indent=1) + "\n")
    tables = tuple(folder / name for name in ("pictures.parquet", "sets.csv", "sets.parquet"))
    return Written(page, folder / "pictures.csv", document, tables, choice)


def _is_plain(done: Collected) -> bool:
    """Whether every picture can be shown as it is, one set below the other."""
    made = sum(s.generated for s in done.figures.sets)
    return done.figures.audit is None and len(done.figures.prompts) == 1 and made <= _PLAIN_PICTURES


def write_page(reports: list[Report], path: Path) -> Path:
    """Render reports that were built elsewhere (``fairgen verify``) to one HTML file."""
    return write_text(path, render(reports))


def csv_text(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    """Rows -> CSV. A text that a spreadsheet would run as a formula gets a leading apostrophe."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: csv_cell(row.get(key)) for key in columns})
    return buffer.getvalue()


def _json(run: Run) -> str:
    document = {
        "fairgen": run.record.fairgen,
        "created_at": run.record.created_at.isoformat(),
        "note": run.record.note,
        "problems": run.problems,
        "sessions": [
            # The figures are computed anew: an older version may have written others.
            s.summary.model_copy(update=dict(set_figures(s))).model_dump(mode="json")
            for s in run.sessions.values()
            if s.summary is not None
        ],
        "interrupted": [name for name, s in run.sessions.items() if s.summary is None],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
