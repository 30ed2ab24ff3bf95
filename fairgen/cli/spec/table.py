"""``fairgen spec table SOURCE.yaml -o FILE``: a spec from a table of shares and a mapping of its groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from fairgen.cli import common
from fairgen.common.text import one_line, visible
from fairgen.errors import UserError

if TYPE_CHECKING:
    from fairgen.targets import FairnessSpec
    from fairgen.targets.sources.table import TableSource


def table(
    source: Path = typer.Argument(help="A table source document (YAML)."),
    out: Path | None = typer.Option(None, "-o", "--out", help="Write the spec here."),
    force: bool = typer.Option(False, "--force", help="Write over a file that is there."),
) -> None:
    """Make a spec from a table of shares by group, and a declared mapping of the groups to skin tones."""
    from fairgen.targets import save_spec
    from fairgen.targets.sources.table import load_table_source, table_spec

    if out is not None:
        if out.resolve() == source.resolve():
            raise UserError(f"-o {out} is the table source itself: choose another name.")
        common.require_free(out, force=force)
    read, rows = load_table_source(source)
    if out is not None and out.resolve() == (source.parent / read.table.file).resolve():
        raise UserError(f"-o {out} is the table itself: choose another name.")
    spec = table_spec(read, rows)
    if out is not None:
        save_spec(spec, out)
    _show(read, spec)
    typer.echo(one_line(f"Written: {out}" if out else "Not written to a file: add -o FILE."))


def _show(source: TableSource, spec: FairnessSpec) -> None:
    from rich.text import Text

    from skin_tone.scales import SCALES

    console = common.stdout()
    labels = SCALES[spec.scale].labels
    targets = common.table(["prompts"], labels.values(), title="Targets")
    groups = common.table(["group"], labels.values(), title="Mapping: judgements")
    targets.columns[0].overflow = groups.columns[0].overflow = "fold"
    groups.add_column("why", overflow="fold", min_width=24)
    everything = "all others" if spec.contexts else "all"
    for prompts, target in [
        (everything, spec.target),
        *(("\n".join(context.prompts), context.target) for context in spec.contexts),
    ]:
        targets.add_row(Text(visible(prompts)), *(common.percent(target[name]) for name in labels))
    for group, mapped in source.mapping.items():
        shares = [common.percent(mapped.shares.get(name, 0.0)) for name in labels]
        groups.add_row(Text(visible(group)), *shares, Text(visible(mapped.why)))
    console.print(targets)
    console.print(groups)
    for group, mapped in source.mapping.items():
        if max(mapped.shares.values()) == 1:
            why = "a group of people is not a skin tone, so its reason has to carry that."
            common.say(one_line(f"{group} goes to one class wholly: {why}"))
