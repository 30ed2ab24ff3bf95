"""What ``fairgen spec source`` prints: the proposal and what it rests on, or a line for each prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fairgen.cli import common
from fairgen.common.text import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fairgen.targets import Citation, Context, FairnessSpec
    from fairgen.targets.sources.llm import Combined

Reasons = Mapping[tuple[str | None, str | None], str]
"""(address, quote) of a citation that was looked up -> what came out, in words."""


def print_answers(spec: FairnessSpec, answers: Sequence[Combined], reasons: Reasons) -> None:
    """Print to standard output; nothing that a model wrote is taken as markup or reaches the terminal raw."""
    console = common.stdout()
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
    _say(
        console,
        f"{asked.endpoint.model}: {len(answer.shares)} of {asked.samples} replies valid; agreement "
        f"{_number(answer.agreement)} (1 - mean Jensen-Shannon distance); its own stated confidence "
        f"{_number(answer.confidence)}",
    )
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


def _say(console: Console, text: str) -> None:
    shown = " ".join(visible(text).split())
    console.print(shown, markup=False, emoji=False, soft_wrap=True)


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.2f}"


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def _shares(spec: FairnessSpec, answer: Combined) -> Table:
    """Classes down: the target, the mean proposal, its range over the replies, the stated confidence."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from skin_tone.scales import SCALES

    scale = SCALES[spec.scale]
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("skin tone", "target", "proposed", "replies from-to", "stated confidence"):
        table.add_column(heading, justify="left" if heading == "skin tone" else "right")
    for key, share in spec.target.items():
        proposed = [s[key] for s in answer.shares]
        table.add_row(
            Text.assemble(("██ ", scale.swatches[key]), scale.labels[key]),
            _percent(share),
            _percent(answer.proposal[key]) if answer.proposal else "–",
            f"{_percent(min(proposed))} - {_percent(max(proposed))}" if proposed else "–",
            _number(answer.class_confidence.get(key)),
        )
    return table


def _cited(citation: Citation, reasons: Reasons) -> str:
    source = ", ".join(str(part) for part in (citation.title, citation.publisher, citation.year) if part)
    state = citation.checked.replace("_", " ")
    reason = reasons.get((citation.url, citation.quote))
    quote = f" “{citation.quote}”" if citation.quote else ""
    return (
        f"{source}: {citation.claim}{quote} {citation.url or 'no address'} - {state}"
        f"{f' ({reason})' if reason else ''}"
    )


def _overview(spec: FairnessSpec, answers: Sequence[Combined]) -> Table:
    """Prompts down: valid replies, agreement, stated confidence, citations, and what became of it."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("prompt", "valid", "agreement", "confidence", "citations", "target"):
        table.add_column(heading, justify="left" if heading in ("prompt", "target") else "right")
    for context, answer in zip(spec.contexts, answers, strict=True):
        found = sum(citation.checked == "found" for citation in answer.citations)
        table.add_row(
            Text(visible(answer.asked.question.prompt)),
            f"{len(answer.shares)}/{answer.asked.samples}",
            _number(answer.agreement),
            _number(answer.confidence),
            f"{len(answer.citations)}" + (f", {found} found" if answer.checked else ""),
            _fate(context),
        )
    return table


def _fate(context: Context) -> str:
    return "uniform" if context.elicitation and context.elicitation.fallback else "as proposed"
