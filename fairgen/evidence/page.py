"""``index.html``: the page on top of a pack. No script, no network; it links to files of the pack."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from fairgen.evidence.approvals import SpecStatement
from fairgen.evidence.crosswalk import CrosswalkRow
from fairgen.evidence.facts import RunFacts, models_of
from fairgen.evidence.identity import ReaderIdentity
from fairgen.evidence.inputs import ABROAD, IDENTITY, RENDERS, Inputs
from fairgen.report.audit_words import headline, percent
from fairgen.report.render import escaping_environment, template_text
from fairgen.steering.registry import label
from skin_tone.scales import SCALES

__all__ = ["Confusion", "confusions", "index_page"]

_NOT_READ = "not read"
_ABROAD_SETS = {
    "sd21": "Stable Diffusion 2.1",
    "others": "FLUX, SDXL, SD 1.4 and 1.5, Kolors, DALL-E 2",
    "aside": "FLUX, SDXL and DALL-E 3, kept aside",
}
_SHOWN_PICTURES = 12


@dataclass(frozen=True)
class Confusion:
    """What the reader called renders of each class, in one light; shares from 0 to 1."""

    light: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[float, ...]], ...]
    """Class, renders of it, and the share of each column."""
    exact: float
    """Among those that were read."""


def confusions(document: dict[str, Any], scale: str) -> list[Confusion]:
    """The reader's confusion on a scale, light by light; empty where it was not measured on that scale."""
    found = []
    for light, scales in document["called"].items():
        if scale not in scales:
            continue
        counts = scales[scale]
        columns = (*counts, _NOT_READ)
        rows = []
        for true, called in counts.items():
            total = sum(called.values())
            rows.append((true, total, tuple(called[key] / total if total else 0.0 for key in columns)))
        right = sum(called[true] for true, called in counts.items())
        read = sum(n for called in counts.values() for key, n in called.items() if key != _NOT_READ)
        found.append(
            Confusion(light, document["lights"][light], columns, tuple(rows), right / read if read else 0.0)
        )
    return found


@cache
def _environment() -> Environment:
    environment = escaping_environment("fairgen.evidence")
    environment.filters["percent"] = percent
    environment.filters["arm"] = label
    return environment


def index_page(
    inputs: Inputs,
    facts: list[RunFacts],
    specs: list[SpecStatement],
    rows: list[CrosswalkRow],
    known_limits: list[str],
) -> str:
    """The page as HTML."""
    page = _environment().get_template("index.html.j2")
    renders = inputs.documents[RENDERS]
    scales = list(dict.fromkeys(p.scale for one in facts for p in one.figures.prompts))
    measured = ReaderIdentity.model_validate(renders["reader"])
    installed = ReaderIdentity.model_validate(inputs.documents[IDENTITY])
    abroad = inputs.documents[ABROAD]
    return page.render(
        css=Markup(template_text("report.css") + template_text("index.css", "fairgen.evidence")),
        inputs=inputs,
        facts=facts,
        headlines={one.run.name: headline(one.figures) for one in facts},
        specs=specs,
        rows=rows,
        limits=known_limits,
        confusions={scale: confusions(renders, scale) for scale in scales},
        labels={key: text for scale in scales for key, text in SCALES[scale].labels.items()},
        renders=renders,
        measured=measured,
        installed=installed,
        same_reader=installed.same_reader(measured),
        abroad_of=abroad.get("measured", {}).get("of", {}).get("readers"),
        abroad=[(name, abroad[key]["skin_tone"]) for key, name in _ABROAD_SETS.items() if key in abroad],
        models=list(enumerate(models_of(facts).values(), 1)),
        cards=inputs.cards,
        card_words=inputs.documents["models/cards.json"],
        repairs=inputs.documents["records/repairs.json"],
        shown=[(one, file) for one in facts for file in sorted(one.run.packed)][:_SHOWN_PICTURES],
        versions=inputs.documents["environment.json"],
    )
