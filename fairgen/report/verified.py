"""The report of pictures that some other generator made (``fairgen verify --out``)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL.Image import Image

from fairgen._version import __version__
from fairgen.common.files import disk_errors, work_folder, write_text
from fairgen.provenance.reading import mark_sentence
from fairgen.report import words
from fairgen.report.declaration import declaration
from fairgen.report.gallery import Gallery
from fairgen.report.images import THUMBNAIL, embedded
from fairgen.report.load import chance_and_axis, picture_view, tone_classes
from fairgen.report.paging import PAGES, Layout, page_name, put_in_place
from fairgen.report.render import page_environment, template_text, write_page, write_pieces
from fairgen.report.tables import csv_text, reading_columns
from fairgen.report.view import Arm, Report
from fairgen.report.write import Written
from fairgen.scoring.numbers import bars
from fairgen.scoring.verify import PictureResult, Verification
from skin_tone import PictureError
from skin_tone.files import open_picture

_COLUMNS = (
    "file", "measured", "certainty", "abstained", "unreadable", "lab_l", "lab_a", "lab_b", "ita", "faces",
    "source_type", "made_by", "seed", "prompt", "spec_hash", "credentials", "signer", "credentials_problem",
)  # fmt: skip
MOST_PICTURES = 1_000
"""Beyond it the report is a folder of pages unless one page is asked for."""
_PICTURES_A_PAGE = 200
_SIDE_IN_FOLDER = 192
"""Longest side of a picture on such a page, in pixels."""


class VerificationWriter:
    """Keeps pictures as they are read, and writes their report. Use through `verification_writer`.

    Attributes:
        pages: whether the report is an overview with pages of pictures beside it.
    """

    def __init__(self, folder: Path, made: Path, gallery: Gallery, *, pages: bool) -> None:
        self.folder = folder
        self.pages = pages
        self._made = made
        self._gallery = gallery

    def saw(self, file: Path, image: Image) -> None:
        """Take in a picture that was opened."""
        side = _SIDE_IN_FOLDER if self.pages else THUMBNAIL
        with disk_errors(self.folder):
            self._gallery.add([str(file)], *embedded(file, image, side))

    def write(self, done: Verification) -> Written:
        """Write report.html (and report-pages), pictures.csv and summary.json.

        Raises:
            UserError: the folder cannot be written.
        """
        report = verification_report(done, lambda file: self._gallery.uri(str(file)))
        number = _write_pages(report, self._made / PAGES) if self.pages else 0
        write_page([report], self._made / "report.html", number)
        write_text(self._made / "pictures.csv", csv_text(_COLUMNS, [_row(done, r) for r in done.results]))
        summary = json.dumps(done.to_json(), ensure_ascii=False, indent=2)
        write_text(self._made / "summary.json", summary + "\n")
        put_in_place(self._made, self.folder)
        out = self.folder
        return Written(out / "report.html", out / "pictures.csv", out / "summary.json", pages=number)


@contextmanager
def verification_writer(folder: Path, count: int, layout: Layout = "auto") -> Iterator[VerificationWriter]:
    """A `VerificationWriter` for about ``count`` pictures; ``folder`` is made, and goes again if it stays
    empty.

    Args:
        layout: "single": one page that holds everything; "folder": an overview, and pages of pictures beside
            it; "auto": a folder beyond `MOST_PICTURES`.

    Raises:
        UserError: the folder cannot be written.
    """
    pages = layout == "folder" or (layout == "auto" and count > MOST_PICTURES)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with (
            disk_errors(folder),
            work_folder(folder, "report") as made,
            Gallery(made / "pictures") as gallery,
        ):
            yield VerificationWriter(folder, made, gallery, pages=pages)
    finally:
        with suppress(OSError):
            folder.rmdir()


def _write_pages(report: Report, folder: Path) -> int:
    """The pages of pictures: those that are counted, then those that were not read; how many pages."""
    folder.mkdir()
    (arm,) = report.arms
    pictures = [*arm.kept, *arm.abstained]
    number = -(-len(pictures) // _PICTURES_A_PAGE)
    template = page_environment().get_template("report_part.html.j2")
    for page in range(1, number + 1):
        first = (page - 1) * _PICTURES_A_PAGE
        some = pictures[first : first + _PICTURES_A_PAGE]
        pieces = template.generate(
            css=Markup(template_text("report.css")),
            script_source="",
            pictures=some,
            label=arm.label,
            labels=report.labels,
            swatches=report.swatches,
            first=first + 1,
            last=first + len(some),
            whole=len(pictures),
            page=page,
            of=number,
        )
        write_pieces(folder / page_name(page), pieces)
    return number


def verification_report(done: Verification, image: Callable[[Path], str]) -> Report:
    """A `Report` with one arm: the pictures as they were found. ``image``: a file -> its data URI."""
    spec, counts, target = done.spec, done.counts, done.target
    classes = tone_classes(spec.scale, target)
    pictures = tuple(
        picture_view(
            image=partial(image, r.file),
            file=r.name,
            fate="kept" if r.measured else "abstained",
            scale=spec.scale,
            measured=r.measured,
            abstained=r.abstained,
            readings=list(r.readings),
        )
        for r in done.results
        if r.unreadable is None
    )
    figures = done.figures() if any(counts.values()) else None
    arms = (Arm("found", "As found", bars(counts), figures, pictures),)
    band, axis_max = chance_and_axis(arms, target)
    rows = [
        ("Files", f"{len(done.results)}, of which {len(done.unreadable)} could not be opened"),
        *declaration(spec.model_dump(mode="json"), spec.content_hash(), done.context),
        ("Reader", done.reader),
        ("What the pictures say about themselves", mark_sentence(done.mark_counts())),
        *(
            ("Changed after it was signed, or damaged", f"{r.name}: {r.marks.credentials.problem}")
            for r in done.tampered
        ),
        ("fairgen", __version__),
    ]
    return Report(
        prompt=done.prompt or "",
        spec_name=spec.name,
        scale=spec.scale,
        classes=classes,
        target=target,
        chance_band=band,
        arms=arms,
        headline=words.headline(arms),
        subline=words.subline(arms, classes, target, ""),
        strip=words.FOUND_STRIP,
        twins=(),
        sentences=words.sentences(arms),
        provenance=tuple((name, value) for name, value in rows if value),
        notes=(words.FOUND_NOTE, words.TARGET_NOTE, *done.notes),
        axis_max=axis_max,
        unreadable=tuple((r.name, r.unreadable or "") for r in done.unreadable),
    )


def write_verification(done: Verification, folder: Path) -> Written:
    """Write the report of pictures that are still there, as one page; raises `UserError` where it cannot be
    written.
    """
    with verification_writer(folder, len(done.results), "single") as writer:
        for result in done.results:
            if result.unreadable is None:
                with suppress(PictureError):
                    writer.saw(result.file, open_picture(result.file))
        return writer.write(done)


def _row(done: Verification, r: PictureResult) -> dict[str, Any]:
    """A line of pictures.csv."""
    own, credentials = r.marks.provenance, r.marks.credentials
    return {
        "file": r.name,
        "measured": r.measured,
        "abstained": r.abstained,
        "unreadable": r.unreadable,
        **reading_columns(r.readings, done.spec.scale, r.measured),
        "source_type": r.marks.source_type or credentials.source_type,
        "made_by": f"fairgen {own.fairgen}, {own.model}" if own else credentials.generator,
        "seed": own.seed if own else None,
        "prompt": own.prompt if own else None,
        "spec_hash": own.spec_hash if own else None,
        "credentials": None if r.unreadable else credentials.state,
        "signer": credentials.signer,
        "credentials_problem": credentials.problem,
    }
