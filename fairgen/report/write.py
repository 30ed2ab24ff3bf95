"""Writes the report's files: the page, the tables, and the figures for machines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fairgen.common.files import disk_errors, work_folder, write_text
from fairgen.errors import UserError
from fairgen.report.audit_folder import write_audit_folder
from fairgen.report.audit_page import write_audit_page
from fairgen.report.gallery import Gallery
from fairgen.report.images import embedded
from fairgen.report.load import reports_of
from fairgen.report.paging import Layout, put_in_place
from fairgen.report.render import write_page
from fairgen.report.tables import PICTURES, picture_rows, set_columns, set_rows, table
from fairgen.report.thumbnails import STEPS, THIN_PLACES, Choice, Pictures, webp
from fairgen.runs import Run, RunReader, SessionRun, ShownPictures, read_run
from fairgen.scoring.collect import Collected, collect
from fairgen.scoring.numbers import set_figures

_PLAIN_PICTURES = 300
"""Most pictures of a page that shows each as it is, one set below the other."""
MOST_PICTURES = 5_000
MOST_PROMPTS = 500
"""Beyond either, an audit's report is a folder of pages unless one page is asked for."""

Told = Callable[[str], None]
"""Is given what is being done, in a few words, again and again."""


@dataclass(frozen=True)
class Written:
    """Where the files of one report lie.

    ``json`` is what machines read: ``report.json`` of a run, ``summary.json`` of a verification. ``tables``
    are the other tables. ``choice`` says how many pictures an audit's page holds; None: all, as they are.
    ``pages`` is the number of pages beside ``html``, in the folder report-pages.
    """

    html: Path
    csv: Path
    json: Path
    tables: tuple[Path, ...] = ()
    choice: Choice | None = None
    pages: int = 0


def write_report(
    run_folder: str | Path,
    out: str | Path | None = None,
    *,
    pictures: Pictures | None = None,
    max_mb: float | None = None,
    layout: Layout = "auto",
    told: Told | None = None,
) -> Written:
    """Write the report of a run: report.html, report.json, and tables of pictures and sets (CSV, Parquet).

    A run of one prompt gets a simpler page, with its pictures in full size, and a summary.json. An audit gets
    the page for several prompts, and so does a run of one prompt if ``pictures`` or ``max_mb`` is given.
    Each picture is decoded once; memory holds a short value for each. The files are made in a hidden folder
    and moved to their places when they are whole.

    Args:
        run_folder: the run folder, or the path of its run.jsonl.
        out: the folder to write to; default: the run folder.
        pictures: which pictures the page shows, "all", "thin" (the first six places of every set) or "none";
            default: all.
        max_mb: size limit of the one page in megabytes; pictures are made smaller, then fewer, until it fits.
        layout: "single": one page that holds everything; "folder": an overview, and pages of pictures in
            report-pages beside it; "auto": a folder beyond `MOST_PICTURES` pictures or `MOST_PROMPTS`
            prompts, unless ``max_mb`` is given.
        told: is given progress in words.

    Returns:
        The paths of what was written.

    Raises:
        UserError: the folder contains no run or no picture yet, its run file is damaged, or ``out`` cannot
            be written.
    """
    if layout == "folder" and max_mb is not None:
        raise UserError("A size limit is for one page: leave out --max-mb, or --folder.")
    reader = RunReader(run_folder)
    folder = Path(out) if out is not None else reader.folder
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    which, tell = pictures or "all", told or (lambda _: None)
    places = {"all": None, "thin": THIN_PLACES, "none": 0}[which]
    is_plain = pictures is None and max_mb is None and layout != "folder" and _is_plain(reader)
    with (
        disk_errors(folder),
        work_folder(folder, "report") as made,
        ThreadPoolExecutor(min(16, os.cpu_count() or 1), "report") as threads,
        Gallery(made / "pictures") as gallery,
    ):
        if is_plain:
            watched = gallery.watch(reader.folder, embedded)
        else:
            size = STEPS[0]
            watched = gallery.watch(reader.folder, lambda _, image: ("image/webp", webp(image, size)), places)
        shown = ShownPictures(reader.folder, watched, threads)
        done = _collect(reader, shown, made, tell)
        choice, pages = None, 0
        if is_plain:
            _write_plain(run_folder, shown, gallery, done, made)
        elif _as_folder(done, layout, places, max_mb):
            choice, pages = write_audit_folder(
                done,
                made,
                gallery,
                pictures=which,
                told=lambda page, of: tell(f"writing page {page:,} of {of:,}"),
            )
        else:
            tell("writing the page")
            page = made / "report.html"
            choice = write_audit_page(done, page, gallery, threads, pictures=which, max_mb=max_mb)
        write_text(made / "report.json", done.figures.model_dump_json(indent=1) + "\n")
        put_in_place(made, folder)
    tables = tuple(folder / name for name in ("pictures.parquet", "sets.csv", "sets.parquet"))
    return Written(
        folder / "report.html", folder / "pictures.csv", folder / "report.json", tables, choice, pages
    )


def _collect(reader: RunReader, shown: ShownPictures, made: Path, told: Told) -> Collected:
    """Read the run, look at its pictures, and write the tables on the way."""
    looked_at = 0
    with table(made, "pictures", PICTURES) as rows:

        def watch(session: SessionRun, arm: str, group: str | None) -> None:
            nonlocal looked_at
            for row in picture_rows(session, arm, group):
                rows.write(row)
            looked_at += len(session.pictures)
            told(f"{looked_at:,} pictures looked at")

        done = collect(reader, watch, shown)
    with table(made, "sets", set_columns(done.figures.prompts)) as rows:
        for row in set_rows(done.figures.prompts):
            rows.write(row)
    return done


def _is_plain(reader: RunReader) -> bool:
    """Whether every picture can be shown as it is, one set below the other: a run of one prompt, no audit,
    and at most `_PLAIN_PICTURES` pictures.
    """
    if reader.audit is not None:
        return False
    made, prompts, arms = 0, set(), set()
    for session in RunReader(reader.path).sessions():
        if not session.pictures:
            continue
        record = session.record
        again = record.steering in arms
        made += len(session.pictures)
        prompts.add((record.prompt, record.spec_hash))
        arms.add(record.steering)
        if again or len(prompts) > 1 or made > _PLAIN_PICTURES:
            return False
    return True


def _as_folder(done: Collected, layout: Layout, places: int | None, max_mb: float | None) -> bool:
    if layout != "auto" or max_mb is not None:
        return layout == "folder"
    found = [one for sets in done.sets for one in sets.values()]
    shown = sum(len(one.inside[:places]) + (len(one.outside) if places is None else 0) for one in found)
    return shown > MOST_PICTURES or len(done.sets) > MOST_PROMPTS


def _write_plain(
    run_folder: str | Path, shown: ShownPictures, gallery: Gallery, done: Collected, made: Path
) -> None:
    run = read_run(run_folder)
    run.sessions = {name: shown.of(session) for name, session in run.sessions.items()}
    run.problems = done.figures.problems
    write_page(reports_of(run, gallery.uri), made / "report.html")
    write_text(made / "summary.json", _json(run))


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
