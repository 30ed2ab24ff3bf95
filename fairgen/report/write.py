"""Writes the report's files: ``report.html``, ``pictures.csv`` and ``summary.json``."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairgen.report.load import reports_of
from fairgen.report.render import render
from fairgen.report.view import Report
from fairgen.runfile import Run, disk_errors, read_run

_COLUMNS = (
    "session",
    "index",
    "slot",
    "attempt",
    "round",
    "seed",
    "prompt",
    "wanted",
    "word",
    "strength",
    "measured",
    "certainty",
    "abstained",
    "decision",
    "in_set",
    "lab_l",
    "lab_a",
    "lab_b",
    "ita",
    "faces",
    "file",
    "seconds",
)


@dataclass(frozen=True)
class Written:
    """Where the files of one report lie."""

    html: Path
    csv: Path
    json: Path


def write_report(run_folder: str | Path, out: str | Path | None = None) -> Written:
    """Write report.html, pictures.csv and summary.json of a run into ``out`` (default: the run folder).

    Raises `fairgen.errors.UserError` where the folder holds no run, holds no session, or cannot be written.
    """
    from fairgen.errors import UserError

    run = read_run(run_folder)
    if not run.sessions:
        raise UserError(
            f"{run.folder} holds no pictures yet: its run file has no session; generate into it first."
        )
    folder = Path(out) if out is not None else run.folder
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    html = write_text(folder / "report.html", render(reports_of(run)))
    table = write_text(folder / "pictures.csv", _csv(run))
    return Written(html, table, write_text(folder / "summary.json", _json(run)))


def write_page(reports: list[Report], path: Path) -> Path:
    """Render reports that were built elsewhere (``fairgen verify``) to one HTML file."""
    return write_text(path, render(reports))


def write_text(path: Path, text: str) -> Path:
    """Write UTF-8 text to a temporary file in the same folder, then move it into place."""
    with disk_errors(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            Path(temporary).chmod(0o644)
            os.replace(temporary, path)  # noqa: PTH105 - atomic, and the house's word for it
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    return path


def csv_text(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    """Rows -> CSV. A text that a spreadsheet would run as a formula gets a leading apostrophe."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(row.get(key)) for key in columns})
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def _csv(run: Run) -> str:
    rows = []
    for session in run.sessions.values():
        inside = {p.index: p for p in session.final_set()}
        for made in session.pictures:
            picture = inside.get(made.index, made)
            reading = picture.readings[0] if picture.readings else {}
            chances = (reading.get("probabilities") or {}).get(session.record.scale) or {}
            lab = reading.get("lab") or (None, None, None)
            rows.append(
                picture.model_dump(mode="json", exclude={"readings", "steering"})
                | {
                    "strength": picture.steering.get("strength"),
                    "certainty": chances.get(picture.measured),
                    "in_set": picture.index in inside and picture.measured is not None,
                    "lab_l": lab[0],
                    "lab_a": lab[1],
                    "lab_b": lab[2],
                    "ita": reading.get("ita"),
                    "faces": sum(1 for r in picture.readings if r.get("box") is not None),
                }
            )
    return csv_text(_COLUMNS, rows)


def _json(run: Run) -> str:
    document = {
        "fairgen": run.record.fairgen,
        "created_at": run.record.created_at.isoformat(),
        "note": run.record.note,
        "problems": run.problems,
        "sessions": [
            s.summary.model_dump(mode="json") for s in run.sessions.values() if s.summary is not None
        ],
        "interrupted": [name for name, s in run.sessions.items() if s.summary is None],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
