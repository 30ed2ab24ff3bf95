"""What ``fairgen spec source`` prints: the proposal and what it rests on, or a line for each prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fairgen.cli import common
from fairgen.common.text import visible
from fairgen.targets.parts import POPULATIONS, Population
from fairgen.targets.sources.agreement import COVERAGE_ASKED
from fairgen.targets.support import citation_state, is_unsupported, support_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fairgen.targets import Citation, Context, FairnessSpec
    from fairgen.targets.sources.combining import Combined

Reasons = Mapping[tuple[str | None, str | None], str]
"""(address, quote) of a citation that was looked up -> what came out, in words."""


@dataclass(frozen=True)
class Found:
    """What came of asking for one population: the spec, the answers it rests on, where it was written."""

    population: Population
    spec: FairnessSpec
    answers: Sequence[Combined]
    file: Path | None


def print_found(found: Sequence[Found], reasons: Reasons) -> None:
    """Print to standard output, each population apart, and then their targets side by side.

    Nothing that a model wrote is taken as markup or reaches the terminal raw.
    """
    console = common.stdout()
    for one in found:
        _say(console, f"Population: {one.population}, {POPULATIONS[one.population]}.")
        _print_answers(console, one.spec, one.answers, reasons)
        _print_watched(console, one.spec)
    if len(found) > 1 and not found[0].spec.contexts:
        console.print(_side_by_side(found))


def _print_answers(
    console: Console, spec: FairnessSpec, answers: Sequence[Combined], reasons: Reasons
) -> None:
    if spec.contexts:
        console.print(_overview(spec, answers))
        for context, answer in zip(spec.contexts, answers, strict=True):
            if context.elicitation and context.elicitation.fallback:
                _say(
                    console,
                    f"{answer.asked.question.prompt}: uniform, because {context.elicitation.fallback}.",
                )
        _say(console, "All other prompts: uniform. `fairgen spec show` shows each target and its sources.")
        return
    [answer] = answers
    _print_one(console, spec, answer, reasons)


def _print_one(console: Console, spec: FairnessSpec, answer: Combined, reasons: Reasons) -> None:
    console.print(_shares(spec, answer))
    asked, fallback = answer.asked, spec.elicitation and spec.elicitation.fallback
    if fallback:
        _say(console, f"Fallback: the target is uniform, because {fallback}.")
    chance = answer.chance_agreement
    _say(
        console,
        f"{asked.endpoint.model}: {len(answer.shares)} of {asked.samples} replies valid; agreement "
        f"{_number(answer.agreement)} (1 - mean Jensen-Shannon distance"
        + (f"; of random replies at most one in 20 reaches {chance:.2f})" if chance is not None else ")"),
    )
    if answer.range_coverage is not None:
        _say(
            console,
            f"Its ranges hold {answer.range_coverage:.0%} of the numbers of its other replies; it was asked "
            f"for {COVERAGE_ASKED:.0%}.",
        )
    if support := support_text(spec.elicitation, spec.citations):
        _say(console, f"{support[0].upper()}{support[1:]}.")
    for label, words in (("About", answer.about), ("Why", answer.why), ("Mapping", answer.mapping)):
        if words:
            _say(console, f"{label}: {words}")
    for number, citation in enumerate(answer.citations, start=1):
        _say(console, f"[{number}] {_cited(citation, reasons)}")
    if not answer.citations:
        _say(console, "It cites no source.")
    elif not answer.checked:
        _say(console, "Nobody has looked these citations up: add --check-citations, or open them.")
    for note in (spec.elicitation.notes or "").splitlines() if spec.elicitation else ():
        _say(console, f"Note: {note}")


def _print_watched(console: Console, spec: FairnessSpec) -> None:
    """Whether the model proposes the same when told that it is watched, for each target."""
    parts = [("", spec.elicitation)]
    parts += [(f"{context.prompts[0]}: ", context.elicitation) for context in spec.contexts]
    for where, asked in parts:
        if asked is not None and asked.probe is not None:
            _say(console, f"Consistency under stated oversight: {where}{asked.probe.text}")


def _say(console: Console, text: str) -> None:
    shown = " ".join(visible(text).split())
    console.print(shown, markup=False, emoji=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}"


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def _between(low: float, high: float) -> str:
    return f"{_percent(low)} - {_percent(high)}"


def _side_by_side(found: Sequence[Found]) -> Table:
    """Classes down, the target of each population across."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from skin_tone.scales import SCALES

    scale = SCALES[found[0].spec.scale]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title="Targets side by side", title_justify="left")
    table.add_column("skin tone")
    for one in found:
        table.add_column(one.population, justify="right")
    for key in scale.classes:
        shares = [_percent(one.spec.target[key]) for one in found]
        table.add_row(Text.assemble(("██ ", scale.swatches[key]), scale.labels[key]), *shares)
    table.add_row("", *(_fate(one.spec) for one in found))
    return table


def _shares(spec: FairnessSpec, answer: Combined) -> Table:
    """Classes down: the target, the mean proposal, its range over the replies, the model's own range."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from skin_tone.scales import SCALES

    scale = SCALES[spec.scale]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("skin tone", "target", "proposed", "replies from-to", "its own range"):
        table.add_column(heading, justify="left" if heading == "skin tone" else "right")
    for key, share in spec.target.items():
        proposed = [s[key] for s in answer.shares]
        table.add_row(
            Text.assemble(("██ ", scale.swatches[key]), scale.labels[key]),
            _percent(share),
            _percent(answer.proposal[key]) if answer.proposal else "–",
            _between(min(proposed), max(proposed)) if proposed else "–",
            _between(*answer.ranges[key]) if key in answer.ranges else "–",
        )
    return table


def _cited(citation: Citation, reasons: Reasons) -> str:
    source = ", ".join(str(part) for part in (citation.title, citation.publisher, citation.year) if part)
    state = citation_state(citation).replace("_", " ").replace("unquoted", "nothing to look for")
    reason = reasons.get((citation.url, citation.quote))
    quote = f" “{citation.quote}”" if citation.quote else ""
    return (
        f"{source}: {citation.claim}{quote} {citation.url or 'no address'} - {state}"
        f"{f' ({reason})' if reason else ''}"
    )


def _overview(spec: FairnessSpec, answers: Sequence[Combined]) -> Table:
    """Prompts down: valid replies, agreement, how the ranges hold, citations, and what became of it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("prompt", "valid", "agreement", "ranges hold", "citations", "target"):
        table.add_column(heading, justify="left" if heading in ("prompt", "target") else "right")
    for context, answer in zip(spec.contexts, answers, strict=True):
        found = sum(citation.checked == "found" for citation in answer.citations)
        table.add_row(
            Text(visible(answer.asked.question.prompt)),
            f"{len(answer.shares)}/{answer.asked.samples}",
            _number(answer.agreement),
            "not known" if answer.range_coverage is None else f"{answer.range_coverage:.0%}",
            f"{len(answer.citations)}" + (f", {found} found" if answer.checked else ""),
            _fate(context),
        )
    return table


def _fate(part: Context | FairnessSpec) -> str:
    if part.elicitation and part.elicitation.fallback:
        return "uniform"
    unsupported = is_unsupported(part.elicitation, part.citations)
    return "as proposed, unsupported" if unsupported else "as proposed"
