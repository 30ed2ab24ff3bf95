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
from fairgen.targets.support import is_unsupported, source_and_state, support_text

if TYPE_CHECKING:
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
    for one in found:
        _say(f"Population: {one.population}, {POPULATIONS[one.population]}.")
        if one.spec.contexts:
            _print_several(one.spec, one.answers)
        else:
            [answer] = one.answers
            _print_one(one.spec, answer, reasons)
        _print_watched(one.spec)
    if len(found) > 1 and not found[0].spec.contexts:
        common.stdout().print(_side_by_side(found))


def _print_several(spec: FairnessSpec, answers: Sequence[Combined]) -> None:
    common.stdout().print(_overview(spec, answers))
    for context, answer in zip(spec.contexts, answers, strict=True):
        if context.elicitation and context.elicitation.fallback:
            why = context.elicitation.fallback
            _say(f"{answer.asked.question.prompt}: uniform, because {why}.")
    _say("All other prompts: uniform. `fairgen spec show` shows each target and its sources.")


def _print_one(spec: FairnessSpec, answer: Combined, reasons: Reasons) -> None:
    common.stdout().print(_shares(spec, answer))
    asked, fallback = answer.asked, spec.elicitation and spec.elicitation.fallback
    if fallback:
        _say(f"Fallback: the target is uniform, because {fallback}.")
    chance = answer.chance_agreement
    _say(
        f"{asked.endpoint.model}: {len(answer.shares)} of {asked.samples} replies valid; agreement "
        f"{_number(answer.agreement)} (1 - mean Jensen-Shannon distance"
        + (f"; of random replies at most one in 20 reaches {chance:.2f})" if chance is not None else ")")
    )
    if answer.range_coverage is not None:
        _say(
            f"Its ranges hold {answer.range_coverage:.0%} of the numbers of its other replies; it was asked "
            f"for {COVERAGE_ASKED:.0%}."
        )
    if support := support_text(spec.elicitation, spec.citations):
        _say(f"{support[0].upper()}{support[1:]}.")
    for label, words in (("About", answer.about), ("Why", answer.why), ("Mapping", answer.mapping)):
        if words:
            _say(f"{label}: {words}")
    for number, citation in enumerate(answer.citations, start=1):
        _say(f"[{number}] {_cited(citation, reasons)}")
    if not answer.citations:
        _say("It cites no source.")
    elif not answer.checked:
        _say("Nobody has looked these citations up: add --check-citations, or open them.")
    for note in (spec.elicitation.notes or "").splitlines() if spec.elicitation else ():
        _say(f"Note: {note}")


def _print_watched(spec: FairnessSpec) -> None:
    """Whether the model proposes the same when told that it is watched, for each target."""
    parts = [("", spec.elicitation)]
    parts += [(f"{context.prompts[0]}: ", context.elicitation) for context in spec.contexts]
    for where, asked in parts:
        if asked is not None and asked.probe is not None:
            _say(f"Consistency under stated oversight: {where}{asked.probe.text}")


def _say(text: str) -> None:
    shown = " ".join(visible(text).split())
    common.stdout().print(shown, markup=False, emoji=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}"


def _between(low: float, high: float) -> str:
    return f"{common.percent(low)} - {common.percent(high)}"


def _side_by_side(found: Sequence[Found]) -> Table:
    """Classes down, the target of each population across."""
    table = common.table(["skin tone"], [one.population for one in found], title="Targets side by side")
    first = found[0].spec
    for key in first.target:
        shares = [common.percent(one.spec.target[key]) for one in found]
        table.add_row(common.tone(first.scale, key), *shares)
    table.add_row("", *(_fate(one.spec) for one in found))
    return table


def _shares(spec: FairnessSpec, answer: Combined) -> Table:
    """Classes down: the target, the mean proposal, its range over the replies, the model's own range."""
    table = common.table(["skin tone"], ["target", "proposed", "replies from-to", "its own range"])
    for key, share in spec.target.items():
        proposed = [s[key] for s in answer.shares]
        table.add_row(
            common.tone(spec.scale, key),
            common.percent(share),
            common.percent(answer.proposal[key]) if answer.proposal else "–",
            _between(min(proposed), max(proposed)) if proposed else "–",
            _between(*answer.ranges[key]) if key in answer.ranges else "–",
        )
    return table


def _cited(citation: Citation, reasons: Reasons) -> str:
    source, state = source_and_state(citation)
    reason = reasons.get((citation.url, citation.quote))
    quote = f" “{citation.quote}”" if citation.quote else ""
    return (
        f"{source}: {citation.claim}{quote} {citation.url or 'no address'} - {state}"
        f"{f' ({reason})' if reason else ''}"
    )


def _overview(spec: FairnessSpec, answers: Sequence[Combined]) -> Table:
    """Prompts down: valid replies, agreement, how the ranges hold, citations, and what became of it."""
    from rich.text import Text

    table = common.table(["prompt"], ["valid", "agreement", "ranges hold", "citations"])
    table.add_column("target")
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
