"""A collected run -> one self-contained HTML page, written piece by piece."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fairgen.common.files import disk_errors, replacing
from fairgen.report import audit_words
from fairgen.report.audit_provenance import facts, kicker, notes, provenance, spec_parts, strip
from fairgen.report.audit_view import arm_styles, common_notes, landscape, prompt_views
from fairgen.report.gallery import Gallery
from fairgen.report.load import tone_classes
from fairgen.report.render import page_environment, template_text
from fairgen.report.thumbnails import LIMIT_MB, STEPS, THIN_PLACES, Choice, Pictures, Size, choose
from fairgen.report.view import ToneClass
from fairgen.scoring.collect import Collected
from fairgen.scoring.figures import ReportFigures

_MB = 1_000_000


def write_audit_page(
    done: Collected,
    path: Path,
    gallery: Gallery,
    threads: Executor,
    *,
    pictures: Pictures = "all",
    max_mb: float | None = None,
) -> Choice:
    """Write the page to ``path``, which takes the place of what was there only when it is whole.

    The pictures are as large as the limit allows, and the page is written again with smaller or fewer ones
    where it came out too large after all. Memory holds one picture at a time.

    Args:
        gallery: the pictures in the largest size (the first of `STEPS`).
        threads: to make them smaller.
        max_mb: size of the page in megabytes (1,000,000 bytes); default: `LIMIT_MB`. Its text is never cut:
            a page of very many prompts may be larger, and then has no pictures.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    limit = int((LIMIT_MB[pictures] if max_mb is None else max_mb) * _MB)
    sets = [found for prompt in done.sets for found in prompt.values()]
    places = max(len(found.inside) for found in sets)
    # Place by place over all sets, so that a sample and a prefix of places are of every prompt.
    shown = [s.inside[i].file for i in range(places) for s in sets if i < len(s.inside)]
    aside = [shot.file for s in sets for shot in s.outside]
    whole = pictures == "all"
    captions = Choice(places if whole else min(places, THIN_PLACES), places, whole, None)
    room = limit - sum(len(piece.encode()) for piece in _pieces(done, captions, gallery))

    def length(names: Sequence[str | None], size: Size) -> float:
        if size == STEPS[0]:
            return sum(map(gallery.length, names)) / len(names)
        with gallery.smaller(names, size, threads) as sample:
            return sum(map(sample.length, names)) / len(names)

    while True:
        choice = choose(pictures, places, shown, aside, length, room)
        held = gallery
        if choice.size is not None and choice.size != STEPS[0]:
            held = gallery.smaller([*shown, *aside], choice.size, threads)
        with disk_errors(path), replacing(path) as made:
            with made.open("w", encoding="utf-8", newline="") as file:
                file.writelines(_pieces(done, choice, held))
            over = made.stat().st_size - limit
        if held is not gallery:
            held.close()
        if over <= 0 or choice.size is None:
            return choice
        room -= over + _MB // 20


def _pieces(done: Collected, choice: Choice, gallery: Gallery) -> Any:
    template = page_environment().get_template("audit.html.j2")
    prompts = prompt_views(done, choice, gallery)
    return template.generate(**page_values(done, choice), prompts=prompts, parts=None)


def page_values(done: Collected, choice: Choice) -> dict[str, Any]:
    """What the template of an audit's page is given, but for its prompts."""
    figures = done.figures
    styles = arm_styles(figures)
    scales = {prompt.scale: tone_classes(prompt.scale, prompt.target) for prompt in figures.prompts}
    script = template_text("audit.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "css": page_style(scales),
        "script": Markup(script),
        "script_source": Markup(f"; script-src 'sha256-{digest}'"),
        "figures": figures,
        "styles": {style.arm: style for style in styles},
        "classes": scales,
        "plot": landscape(done, styles),
        "headline": audit_words.headline(figures),
        "conclusion": audit_words.conclusion(figures),
        "meanings": audit_words.meanings(figures),
        "incomplete": audit_words.incomplete(figures),
        "pictures_note": choice.told,
        "kicker": kicker(figures),
        "strip": strip(figures),
        "facts": facts(figures),
        "notes": [*notes(figures), *common_notes(figures)],
        "provenance": provenance(done),
        "specs": spec_parts(figures),
        "several_specs": several_specs(figures),
    }


def several_specs(figures: ReportFigures) -> bool:
    """Whether a prompt has to say which target it is held against."""
    return len({(p.spec_hash, p.context) for p in figures.prompts}) > 1


def page_style(scales: Mapping[str, Sequence[ToneClass]]) -> Markup:
    """The style sheet of a page that shows these classes."""
    colours = "".join(f".c-{c.key} {{ fill: {c.swatch}; }}\n" for classes in scales.values() for c in classes)
    # Our own files, not user text: they may go in as they are.
    return Markup(template_text("report.css") + template_text("audit.css") + colours)
