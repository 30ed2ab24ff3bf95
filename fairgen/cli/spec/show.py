"""``fairgen spec show NAME``: a spec as a person reads it, or as the document that it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common
from fairgen.cli.spec.check import CHECK_STYLES
from fairgen.common.text import visible
from fairgen.errors import UserError

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from fairgen.targets import Citation, Context, FairnessSpec

_ALLOCATIONS = {
    "exact": "exact: each set has these shares, in whole pictures",
    "expected": "expected: a set has these shares on average only",
}
_APPROVAL_STYLES = {"approved": "green", "unapproved": "", "void": "bold red"}
_WATCHED_STYLES = {"consistent": "", "differs": "red", "differs_as_control": "yellow", "not_known": "yellow"}
_BAR = 50
"""Characters of a bar that stands for every picture."""


def show(
    name: str = typer.Argument(help="A spec's name, or its file."),
    as_yaml: bool = typer.Option(False, "--yaml", help="Print the document itself, to copy or to keep."),
    as_json: bool = common.JSON,
) -> None:
    """Show a spec: shares, confidence, the judgements behind them, citations, approval, contexts."""
    from fairgen.targets import dump_spec, load_spec

    if as_yaml and as_json:
        raise UserError("--yaml and --json both say how to print: give one of them.")
    spec = load_spec(name)
    if as_yaml:
        typer.echo(dump_spec(spec), nl=False)
    elif as_json:
        more = {"hash": spec.content_hash(), "approval": spec.approval}
        common.echo_json(spec.model_dump(mode="json") | more)
    else:
        from rich.text import Text

        console = common.stdout()
        for part in _parts(spec):
            # Plain lines stay whole, to be copied or searched for; what is laid out in columns wraps itself.
            console.print(part, soft_wrap=isinstance(part, Text))


def _parts(spec: FairnessSpec) -> Iterator[RenderableType]:
    from rich.text import Text

    from fairgen.targets.origins import SOURCES

    yield Text(spec.name, style="bold") + Text(
        f"  version {spec.version}, scale {spec.scale}, source: {SOURCES[spec.source]}", style="not bold"
    )
    approval = visible(spec.approval_text)
    yield Text(approval[0].upper() + approval[1:], style=_APPROVAL_STYLES[spec.approval])
    yield ""
    yield Text("Default target, for every other prompt" if spec.contexts else "Target", style="bold")
    yield from _target(spec.scale, spec)
    for number, context in enumerate(spec.contexts, 1):
        yield ""
        yield Text(f"Context {number} of {len(spec.contexts)}", style="bold")
        yield _field("Prompts", "\n".join(context.prompts))
        yield from _target(spec.scale, context)
    yield ""
    yield _field("Allocation", _ALLOCATIONS[spec.allocation])
    yield _field("Declared by", f"{spec.declared_by} on {spec.declared_on}")
    yield Text.assemble(("  Hash         ", "dim"), spec.content_hash())


def _shares(scale_name: str, part: FairnessSpec | Context) -> RenderableType:
    """A row for each class: swatch, label, share, bar, and the confidence or range where one is stated."""
    from rich.table import Table
    from rich.text import Text

    from skin_tone import SCALES

    scale = SCALES[scale_name]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    ranges = (part.elicitation and part.elicitation.ranges) or {}
    for key, share in part.target.items():
        sure = part.confidence.classes.get(key)
        stated = [] if sure is None else [f"confidence {sure:.2f}"]
        if key in ranges:
            stated.append("the model's range {:.0%}–{:.0%}".format(*ranges[key]).replace("%", " %"))
        table.add_row(
            Text.assemble(("  ██ ", scale.swatches[key]), scale.labels[key]),
            common.percent(share),
            "█" * round(_BAR * share),
            ", ".join(stated),
        )
    return table


def _target(scale: str, part: FairnessSpec | Context) -> Iterator[RenderableType]:
    """The shares, the judgements behind them, and the evidence for them."""
    from fairgen.targets.support import is_unsupported, support_text

    yield _shares(scale, part)
    for label, words in (("About", part.about), ("Why", part.why), ("Mapping", part.mapping)):
        if words:
            yield _field(label, words)
    elicitation = part.elicitation
    if part.confidence.overall is not None:
        yield _field("Confidence", f"{part.confidence.overall:.2f} overall, as the source states it")
    if elicitation is not None:
        if elicitation.population:
            from fairgen.targets.parts import POPULATIONS

            yield _field("Population", f"{elicitation.population}, {POPULATIONS[elicitation.population]}")
        asked = f"{elicitation.model} on {elicitation.asked_on}, {len(elicitation.replies)} replies kept"
        if elicitation.agreement is not None:
            asked += f", agreement {elicitation.agreement:.2f}"
            if elicitation.chance_agreement is not None:
                asked += f" (of random replies at most one in 20 reaches {elicitation.chance_agreement:.2f})"
        if elicitation.range_coverage is not None:
            asked += f", its ranges hold {elicitation.range_coverage:.0%} of its other replies' numbers"
        yield _field("Asked", asked)
        if elicitation.fallback:
            yield _field("Fell back", f"to uniform: {elicitation.fallback}", "yellow")
        if elicitation.notes:
            yield _field("Notes", elicitation.notes)
        if elicitation.probe is not None:
            yield _field("If watched", elicitation.probe.text, _WATCHED_STYLES[elicitation.probe.verdict])
    if text := support_text(elicitation, part.citations):
        style = "bold yellow" if is_unsupported(elicitation, part.citations) else ""
        yield _field("Support", text, style)
    for citation in part.citations:
        yield _citation(citation)


def _citation(citation: Citation) -> RenderableType:
    """Title and state, then what it is to support, the quote and the address."""
    from rich.text import Text

    from fairgen.targets.support import source_and_state

    source, state = source_and_state(citation)
    if citation.checked_at is not None:
        state += f" ({citation.checked_at:%Y-%m-%d})"
    lines = [f"claim: {citation.claim}"]
    lines += [f"quote: “{citation.quote}”"] if citation.quote else []
    lines += [citation.url] if citation.url else []
    first = Text.assemble(visible(source), ": ", (state, CHECK_STYLES[citation.checked]))
    return _field("Citation", first + Text("\n" + visible("\n".join(lines))))


def _field(label: str, value: str | Text, style: str = "") -> RenderableType:
    """A label and its text, wrapped beside it; nothing in the text is markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=13, no_wrap=True)
    table.add_column(overflow="fold")
    text = Text(visible(value), style=style) if isinstance(value, str) else value
    table.add_row(Text("  " + label, style="dim"), text)
    return table
