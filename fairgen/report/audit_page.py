"""A collected run -> one self-contained HTML page, written piece by piece."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from fairgen.common.files import disk_errors, replacing
from fairgen.report import audit_words
from fairgen.report.audit_provenance import facts, kicker, notes, provenance, spec_parts, strip
from fairgen.report.audit_view import arm_styles, common_notes, landscape, prompt_views
from fairgen.report.load import tone_classes
from fairgen.report.render import page_environment, template_text
from fairgen.report.thumbnails import LIMIT_MB, THIN_PLACES, Choice, Pictures, choose
from fairgen.report.view import ToneClass
from fairgen.scoring.collect import Collected

_MB = 1_000_000


def write_audit_page(
    done: Collected, path: Path, *, pictures: Pictures = "all", max_mb: float | None = None
) -> Choice:
    """Write the page to ``path``, which takes the place of what was there only when it is whole.

    The pictures are as large as the limit allows, and the page is written again with smaller or fewer ones
    where it came out too large after all. Memory holds one prompt's pictures at a time.

    Args:
        max_mb: size of the page in megabytes (1,000,000 bytes); default: `LIMIT_MB`. Its text is never cut:
            a page of very many prompts may be larger, and then has no pictures.

    Raises:
        UserError: the folder cannot be written, or the disk is full.
    """
    limit = int((LIMIT_MB[pictures] if max_mb is None else max_mb) * _MB)
    sets = [found for prompt in done.sets for found in prompt.values()]
    places = max(len(found.inside) for found in sets)
    # Place by place over all sets, so that a sample and a prefix of places are of every prompt.
    shown = [_file(done, s.inside[i].file) for i in range(places) for s in sets if i < len(s.inside)]
    aside = [_file(done, shot.file) for s in sets for shot in s.outside]
    whole = pictures == "all"
    captions = Choice(places if whole else min(places, THIN_PLACES), places, whole, None)
    room = limit - sum(len(piece.encode()) for piece in _pieces(done, captions))
    while True:
        choice = choose(pictures, places, shown, aside, done.folder, room)
        with disk_errors(path), replacing(path) as made:
            with made.open("w", encoding="utf-8", newline="") as file:
                file.writelines(_pieces(done, choice))
            over = made.stat().st_size - limit
        if over <= 0 or choice.size is None:
            return choice
        room -= over + _MB // 20


def _file(done: Collected, file: str | None) -> Path | None:
    return None if file is None else done.folder / file


def _pieces(done: Collected, choice: Choice) -> Iterator[str]:
    figures = done.figures
    arms = [arm.arm for arm in figures.arms]
    styles = arm_styles(arms)
    scales = {prompt.scale: tone_classes(prompt.scale, prompt.target) for prompt in figures.prompts}
    script = template_text("audit.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        page_environment()
        .get_template("audit.html.j2")
        .generate(
            # Our own files, not user text: they may go in as they are.
            css=Markup(template_text("report.css") + template_text("audit.css") + _class_colours(scales)),
            script=Markup(script),
            script_source=Markup(f"; script-src 'sha256-{digest}'"),
            figures=figures,
            styles={style.arm: style for style in styles},
            classes=scales,
            plot=landscape(done, styles),
            prompts=prompt_views(done, styles, choice),
            headline=audit_words.headline(figures),
            conclusion=audit_words.conclusion(figures),
            meanings=audit_words.meanings(figures),
            incomplete=audit_words.incomplete(figures),
            pictures_note=choice.told,
            kicker=kicker(figures),
            strip=strip(figures),
            facts=facts(figures),
            notes=[*notes(figures), *common_notes(figures)],
            provenance=provenance(done),
            specs=spec_parts(figures),
            several_specs=len({(p.spec_hash, p.context) for p in figures.prompts}) > 1,
        )
    )


def _class_colours(scales: Mapping[str, Sequence[ToneClass]]) -> str:
    return "".join(f".c-{c.key} {{ fill: {c.swatch}; }}\n" for classes in scales.values() for c in classes)
