"""The report of pictures that some other generator made (``fairgen verify --out``)."""

from __future__ import annotations

import json
from pathlib import Path

from fairgen._version import __version__
from fairgen.common.files import disk_errors, write_text
from fairgen.provenance.reading import mark_sentence
from fairgen.report import words
from fairgen.report.declaration import declaration
from fairgen.report.images import data_uri
from fairgen.report.load import axis_end, picture_view, tone_classes
from fairgen.report.view import Arm, Report
from fairgen.report.write import Written, csv_text, write_page
from fairgen.scoring.numbers import bars, chance_band
from fairgen.scoring.verify import Verification

_COLUMNS = (
    "file",
    "measured",
    "certainty",
    "abstained",
    "unreadable",
    "lab_l",
    "lab_a",
    "lab_b",
    "ita",
    "faces",
    "source_type",
    "made_by",
    "seed",
    "prompt",
    "spec_hash",
    "credentials",
    "signer",
    "credentials_problem",
)


def verification_report(done: Verification) -> Report:
    """A `Report` with one arm: the pictures as they were found."""
    spec, counts, target = done.spec, done.counts, done.target
    classes = tone_classes(spec.scale, target)
    pictures = tuple(
        picture_view(
            image=data_uri(r.file),
            file=str(r.file),
            fate="kept" if r.measured else "abstained",
            scale=spec.scale,
            measured=r.measured,
            abstained=r.abstained,
            readings=list(r.readings),
        )
        for r in done.results
        if r.unreadable is None
    )
    arms = (Arm("found", "As found", bars(counts), done.figures(), pictures),)
    n = sum(counts.values())
    band = chance_band(target, n) if n else {}
    rows = [
        ("Files", f"{len(done.results)}, of which {len(done.unreadable)} could not be opened"),
        *declaration(spec.model_dump(mode="json"), spec.content_hash(), done.context),
        ("Reader", done.reader),
        ("What the pictures say about themselves", mark_sentence(done.mark_counts())),
        *(
            ("Changed after it was signed, or damaged", f"{r.file}: {r.marks.credentials.problem}")
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
        axis_max=axis_end(
            [
                *(b.share for b in arms[0].bars.values()),
                *target.values(),
                *(high for _, high in band.values()),
            ]
        ),
        unreadable=tuple((str(r.file), r.unreadable or "") for r in done.unreadable),
    )


def write_verification(done: Verification, folder: Path) -> Written:
    """Write report.html, pictures.csv and summary.json into ``folder``; raises `UserError` where it cannot
    be written.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for r in done.results:
        first = r.readings[0] if r.readings else {}
        lab = first.get("lab") or (None, None, None)
        chances = (first.get("probabilities") or {}).get(done.spec.scale) or {}
        own, credentials = r.marks.provenance, r.marks.credentials
        rows.append(
            {
                "file": str(r.file),
                "measured": r.measured,
                "certainty": chances.get(r.measured),
                "abstained": r.abstained,
                "unreadable": r.unreadable,
                "lab_l": lab[0],
                "lab_a": lab[1],
                "lab_b": lab[2],
                "ita": first.get("ita"),
                "faces": sum(1 for x in r.readings if x.get("box") is not None),
                "source_type": r.marks.source_type or credentials.source_type,
                "made_by": f"fairgen {own.fairgen}, {own.model}" if own else credentials.generator,
                "seed": own.seed if own else None,
                "prompt": own.prompt if own else None,
                "spec_hash": own.spec_hash if own else None,
                "credentials": None if r.unreadable else credentials.state,
                "signer": credentials.signer,
                "credentials_problem": credentials.problem,
            }
        )
    html = write_page([verification_report(done)], folder / "report.html")
    table = write_text(folder / "pictures.csv", csv_text(_COLUMNS, rows))
    summary = write_text(
        folder / "summary.json", json.dumps(done.to_json(), ensure_ascii=False, indent=2) + "\n"
    )
    return Written(html, table, summary)
